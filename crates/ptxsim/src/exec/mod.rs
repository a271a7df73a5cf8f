//! Executes one block: its warps one after the other between two barriers, 32 lanes of a warp at a time.
//!
//! Every value of 32 bits of a warp is one line of 32 lanes, one of 64 bits two lines, low half first. Instructions come in
//! two forms, for all lanes and for some, compiled for each instruction set of the host.

#[macro_use]
mod macros;

mod atomic;
mod collective;
mod convert;
mod cost;
mod execute;
mod global;
mod integer;
mod isa;
mod lanes;
mod moves;
mod private;
mod rare;
mod shared;
mod special;
mod stamp;
mod warp;

pub use isa::Isa;

use crate::counters::Cost;
use crate::error::FaultKind;
use crate::lower::Kernel;
use crate::memory::Memory;
use crate::order::{Knowledge, Order};
use crate::shared::Shared;
use lanes::Lanes;
use warp::{Stop, Warp};

/// A trap before it is dressed as a fault.
pub(crate) struct Trap {
    pub kind: FaultKind,
    pub warp: u32,
    pub lane: u32,
    pub pc: u32,
    /// The instruction that it races with, if any.
    pub other: u32,
    pub detail: String,
}

/// What a launch is, for all its blocks.
pub(crate) struct Setting<'a> {
    pub kernel: &'a Kernel,
    pub memory: &'a Memory,
    pub order: &'a Order,
    pub parameters: &'a [u8],
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: usize,
    pub look_after_shared: bool,
    pub count: bool,
    pub isa: Isa,
    /// Basic blocks that the warps of a block may run together before it counts as endless.
    pub budget: u64,
}

/// Runs blocks, one at a time.
pub(crate) struct Runner<'a> {
    pub setting: &'a Setting<'a>,
    warps: Vec<Warp>,
    registers: Vec<Lanes>,
    predicates: Vec<u32>,
    local: Vec<u8>,
    shared: Shared,
    pub trap: Option<Box<Trap>>,
    /// How often each basic block ran.
    pub runs: Vec<u64>,
    pub costs: Vec<Cost>,
    pub divergent_branches: u64,
    /// Number of the block within the grid.
    block: u32,
    /// What it knows of other blocks' writes.
    knowledge: Knowledge,
    /// Whether writes from before the last barrier are behind no fence yet.
    dirty: bool,
    /// Global memory is only read: the block runs again for a report.
    dry: bool,
    /// Basic blocks that may still run.
    budget: u64,
}

impl<'a> Runner<'a> {
    pub fn new(setting: &'a Setting<'a>) -> Self {
        let threads: u32 = setting.block.iter().product();
        let warps = threads.div_ceil(32) as usize;
        let kernel = setting.kernel;
        Runner {
            setting,
            warps: Vec::with_capacity(warps),
            registers: vec![Lanes([0; 32]); warps * kernel.slots],
            predicates: vec![0; warps * kernel.predicates],
            local: vec![0; kernel.local_bytes as usize * warps * 32],
            shared: Shared::new(setting.shared_bytes, if setting.look_after_shared { warps } else { 0 }),
            trap: None,
            runs: vec![0; kernel.blocks],
            costs: vec![Cost::default(); if setting.count { kernel.code.len() } else { 0 }],
            divergent_branches: 0,
            block: 0,
            knowledge: Knowledge::default(),
            dirty: false,
            dry: false,
            budget: 0,
        }
    }

    /// Runs block number `number`; false when it trapped.
    pub fn run_block(&mut self, number: u32) -> bool {
        self.begin(number, false);
        let done = self.run_to_the_end();
        if let Some(first) = self.trap.take() {
            self.trap = Some(self.second_look(number, first));
        }
        done
    }

    /// Runs a block again, with a record of every shared word, where that tells more: both accesses of a race, or that an
    /// unwritten word is one that another warp is about to write.
    fn second_look(&mut self, number: u32, first: Box<Trap>) -> Box<Trap> {
        let race = first.kind == FaultKind::SharedRace;
        if !race && first.kind != FaultKind::UninitialisedShared {
            return first;
        }
        self.begin(number, true);
        self.run_to_the_end();
        match self.trap.take() {
            Some(found) if found.kind == FaultKind::SharedRace => match race || found.other == first.pc {
                true => found,
                false => first,
            },
            _ => first,
        }
    }

    fn begin(&mut self, number: u32, precise: bool) {
        let setting = self.setting;
        let threads: u32 = setting.block.iter().product();
        (self.block, self.dry, self.dirty, self.budget) = (number, precise, false, setting.budget);
        self.knowledge.clear();
        self.warps.clear();
        self.shared.begin(precise);
        let [x, y, _] = setting.grid;
        let place = [number % x, number / x % y, number / x / y];
        for warp in 0..threads.div_ceil(32) {
            self.warps.push(Warp::new((threads - warp * 32).min(32)));
            let first = warp as usize * setting.kernel.slots;
            for &(slot, bits) in &setting.kernel.constants {
                self.registers[first + usize::from(slot)] = Lanes([bits; 32]);
            }
            for &(slot, special) in &setting.kernel.specials {
                let value = |lane| special::value(special, setting, place, warp * 32 + lane);
                self.registers[first + usize::from(slot)] = Lanes(std::array::from_fn(|l| value(l as u32)));
            }
        }
    }

    /// False when it trapped.
    fn run_to_the_end(&mut self) -> bool {
        loop {
            let (mut waiting, mut ended): (Option<usize>, Option<usize>) = (None, None);
            for warp in 0..self.warps.len() {
                match if self.warps[warp].live == 0 { Stop::Ended } else { self.run_warp(warp) } {
                    Stop::Trapped => return false,
                    Stop::Ended => ended = Some(warp),
                    Stop::Barrier => match waiting {
                        Some(other) if self.warps[other].pc != self.warps[warp].pc => {
                            return self.waits_elsewhere(other, warp);
                        }
                        _ => waiting = waiting.or(Some(warp)),
                    },
                }
            }
            if self.setting.look_after_shared && self.shared.precise.is_none() && !self.shared_is_fine() {
                return false;
            }
            self.shared.next_epoch();
            self.share_knowledge();
            match (waiting, ended) {
                (None, _) => return true,
                (Some(_), None) => {}
                (Some(at), Some(ended)) => {
                    let detail = format!("warp {ended} ended before it, warp {at} waits");
                    return self.fail(FaultKind::MissingAtBarrier, at, 0, self.warps[at].pc - 1, detail);
                }
            }
        }
    }

    #[cold]
    fn waits_elsewhere(&mut self, one: usize, other: usize) -> bool {
        let kernel = self.setting.kernel;
        let pc = self.warps[other].pc - 1;
        let line = kernel.lines[self.warps[one].pc as usize - 1].1;
        let detail = format!("warp {other} waits here, warp {one} at the barrier of line {line}");
        self.fail(FaultKind::MissingAtBarrier, other, 0, pc, detail)
    }

    /// Whether no two warps raced since the last barrier.
    fn shared_is_fine(&mut self) -> bool {
        let Some(word) = self.shared.race(self.setting.kernel.shared_atomics) else { return true };
        let detail = format!("two warps touch the word at byte {} between two barriers", word * 4);
        self.fail(FaultKind::SharedRace, 0, 0, self.warps[0].pc.saturating_sub(1), detail)
    }

    /// Keeps the trap; always false.
    #[cold]
    #[inline(never)]
    fn fail(&mut self, kind: FaultKind, warp: usize, lane: u32, pc: u32, detail: String) -> bool {
        self.trap = Some(Box::new(Trap { kind, warp: warp as u32, lane, pc, other: u32::MAX, detail }));
        false
    }
}

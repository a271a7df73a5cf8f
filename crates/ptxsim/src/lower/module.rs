//! A kernel as a whole: from its text to what is run.

use std::collections::{BTreeMap, HashMap};

use super::{Lowering, References};
use crate::code::{Code, Inst, NONE};
use crate::error::Result;
use crate::flow::Flow;
use crate::parse::Text;
use crate::registers::{self, Slots};

/// Parsed PTX.
pub struct Module {
    pub(crate) kernels: Vec<Kernel>,
}

/// A kernel, ready to run.
pub(crate) struct Kernel {
    pub name: String,
    pub parameter_bytes: u32,
    pub shared_bytes: u32,
    pub local_bytes: u32,
    pub code: Vec<Inst>,
    /// Registers that a memory instruction reads or writes, in order.
    pub vectors: Vec<[u16; 4]>,
    /// Slots of 32 lanes that a warp has.
    pub slots: usize,
    pub predicates: usize,
    /// Slots with a value that never changes, the same for all lanes.
    pub constants: Vec<(u16, u32)>,
    /// Slots that hold special registers.
    pub specials: Vec<(u16, Special)>,
    /// Source file and line of each instruction.
    pub lines: Vec<(u32, u32)>,
    pub files: HashMap<u32, String>,
    /// Where the lanes of each branch meet again, by instruction.
    pub reconverge: Vec<u32>,
    /// First and last instruction of each loop.
    pub loops: Vec<(u32, u32)>,
    /// Number of basic blocks.
    pub blocks: usize,
    /// Whether it has atomics on shared memory.
    pub shared_atomics: bool,
    /// Threads that a block may have, by x, y, z, where the kernel says so; 0 for no limit.
    pub most_threads: u32,
}

/// A register that the hardware fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Special {
    Tid(usize),
    Ntid(usize),
    Ctaid(usize),
    Nctaid(usize),
    LaneId,
    WarpId,
    LaneMaskEq,
    LaneMaskLt,
    LaneMaskLe,
    LaneMaskGt,
    LaneMaskGe,
}

impl Special {
    pub(super) fn named(name: &str) -> Option<Self> {
        let axis = match name.rsplit('.').next() {
            Some("x") => 0,
            Some("y") => 1,
            _ => 2,
        };
        Some(match name.split('.').next()? {
            "%tid" => Special::Tid(axis),
            "%ntid" => Special::Ntid(axis),
            "%ctaid" => Special::Ctaid(axis),
            "%nctaid" => Special::Nctaid(axis),
            "%laneid" => Special::LaneId,
            "%warpid" => Special::WarpId,
            "%lanemask_eq" => Special::LaneMaskEq,
            "%lanemask_lt" => Special::LaneMaskLt,
            "%lanemask_le" => Special::LaneMaskLe,
            "%lanemask_gt" => Special::LaneMaskGt,
            "%lanemask_ge" => Special::LaneMaskGe,
            _ => return None,
        })
    }
}

impl Module {
    /// Reads PTX text.
    ///
    /// # Errors
    /// [`crate::Error::Parse`] for text or an instruction that is not known.
    pub fn parse(ptx: &str) -> Result<Module> {
        let (texts, files) = crate::parse::parse(ptx)?;
        let kernels = texts.into_iter().map(|text| kernel(text, &files)).collect::<Result<_>>()?;
        Ok(Module { kernels })
    }

    /// Names of its kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.kernels.iter().map(|kernel| kernel.name.as_str())
    }
}

fn kernel(text: Text, files: &HashMap<u32, String>) -> Result<Kernel> {
    let flow = Flow::of(&text)?;
    let mut lowering = Lowering::new(&text);
    let mut starts = Vec::with_capacity(text.statements.len() + 1);
    let mut blocks = 0;
    for (at, statement) in text.statements.iter().enumerate() {
        starts.push(lowering.code.len() as u32);
        if flow.leaders.contains(&at) {
            lowering.source = statement.source;
            lowering.block(blocks);
            blocks += 1;
        }
        lowering.statement(at, statement)?;
    }
    // A kernel that runs off its end returns.
    let end = lowering.code.len() as u32;
    starts.push(end);
    lowering.block(blocks);
    lowering.emit(Code::Ret, [NONE; 4], 0, References::default());

    let mut reconverge = vec![u32::MAX; lowering.code.len()];
    for (at, inst) in lowering.code.iter_mut().enumerate() {
        if inst.code == Code::Bra {
            let statement = inst.imm as usize;
            inst.imm = starts[flow.targets[&statement]];
            reconverge[at] = flow.reconverge[&statement].map_or(end, |s| starts[s]);
        }
    }
    let fixed: Vec<u16> = lowering.constants.values().chain(lowering.specials.values()).copied().collect();
    let slots = registers::allocate(&lowering.code, &lowering.references, &lowering.widths, &fixed);
    if slots.count >= usize::from(NONE) {
        return lowering.error("more registers than the simulator takes");
    }
    place(&mut lowering, &slots);
    Ok(Kernel {
        name: text.name.clone(),
        parameter_bytes: text.parameter_bytes,
        shared_bytes: text.shared_bytes,
        local_bytes: text.local_bytes,
        constants: constants(&lowering, &slots),
        specials: specials(&lowering, &slots),
        loops: loops(&lowering.code),
        shared_atomics: lowering.code.iter().any(|inst| inst.code == Code::AtomShared),
        code: lowering.code,
        vectors: lowering.vectors,
        slots: slots.count,
        predicates: lowering.predicates.len(),
        lines: lowering.lines,
        files: files.clone(),
        reconverge,
        blocks: blocks as usize + 1,
        most_threads: text.most_threads,
    })
}

/// Virtual registers become slots.
fn place(lowering: &mut Lowering<'_>, slots: &Slots) {
    let place = |r: u16| slots.places[usize::from(r)];
    for (inst, references) in lowering.code.iter_mut().zip(&lowering.references) {
        for (bit, field) in [&mut inst.d, &mut inst.a, &mut inst.b, &mut inst.c].into_iter().enumerate() {
            if references.fields >> bit & 1 != 0 {
                *field = place(*field);
            }
        }
    }
    for vector in &mut lowering.vectors {
        vector.iter_mut().filter(|r| **r != NONE).for_each(|r| *r = place(*r));
    }
}

fn constants(lowering: &Lowering<'_>, slots: &Slots) -> Vec<(u16, u32)> {
    let mut constants = Vec::new();
    for (&(bits, width), &r) in &lowering.constants {
        let slot = slots.places[usize::from(r)];
        constants.push((slot, bits as u32));
        if width == 2 {
            constants.push((slot + 1, (bits >> 32) as u32));
        }
    }
    constants.sort_unstable();
    constants
}

fn specials(lowering: &Lowering<'_>, slots: &Slots) -> Vec<(u16, Special)> {
    let mut specials: Vec<(u16, Special)> =
        lowering.specials.iter().map(|(&special, &r)| (slots.places[usize::from(r)], special)).collect();
    specials.sort_unstable_by_key(|(slot, _)| *slot);
    specials
}

/// First and last instruction of each loop, from branches backwards; those to one place are one loop.
fn loops(code: &[Inst]) -> Vec<(u32, u32)> {
    let mut loops = BTreeMap::new();
    for (at, inst) in code.iter().enumerate() {
        if inst.code == Code::Bra && inst.imm as usize <= at {
            loops.insert(inst.imm, at as u32);
        }
    }
    loops.into_iter().collect()
}

//! What a launch did.

use crate::code::{Code, Inst};
use crate::lower::Kernel;

/// Classes of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[rustfmt::skip]
#[allow(missing_docs, reason = "the names say it")]
pub enum Class {
    Fma32, Float32, Float64, Integer, Move, Predicate, Conversion, Special, LoadGlobal, StoreGlobal, LoadShared, StoreShared,
    Local, Parameter, Atomic, Shuffle, Barrier, Branch,
}

/// Number of classes.
pub const CLASSES: usize = 18;

/// Warp instructions of a launch, and what its memory accesses cost, atomics among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Warp instructions by [`Class`].
    pub instructions: [u64; CLASSES],
    /// Branches at which the lanes of a warp parted.
    pub divergent_branches: u64,
    /// Requests of warps to global memory.
    pub global_requests: u64,
    /// 32-byte sectors they touched.
    pub global_sectors: u64,
    /// Sectors that the bytes they asked for would fill.
    pub global_sectors_least: u64,
    /// Bytes that lanes asked of global memory, each for itself.
    pub global_bytes: u64,
    /// Requests of warps to shared memory.
    pub shared_requests: u64,
    /// Wavefronts they took: passes of 32 banks of four bytes.
    pub shared_wavefronts: u64,
    /// Wavefronts without bank conflicts.
    pub shared_wavefronts_least: u64,
    /// Bytes that lanes asked of shared memory, each for itself.
    pub shared_bytes: u64,
    /// The innermost loop with the most instructions.
    pub hot_loop: Option<HotLoop>,
}

/// The loop in which a launch spent most of its instructions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HotLoop {
    /// Source line of its first instruction.
    pub line: u32,
    /// Warp instructions in it by [`Class`].
    pub instructions: [u64; CLASSES],
    /// As in [`Counters`], within the loop.
    pub global_sectors: u64,
    /// As in [`Counters`], within the loop.
    pub global_sectors_least: u64,
    /// As in [`Counters`], within the loop.
    pub shared_wavefronts: u64,
    /// As in [`Counters`], within the loop.
    pub shared_wavefronts_least: u64,
}

/// Memory costs of one instruction over a launch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub requests: u64,
    /// Sectors, or wavefronts.
    pub taken: u64,
    pub least: u64,
    /// Asked for by all lanes, each for itself.
    pub bytes: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.requests += other.requests;
        self.taken += other.taken;
        self.least += other.least;
        self.bytes += other.bytes;
    }
}

impl Counters {
    /// Warp instructions in all.
    pub fn total(&self) -> u64 {
        self.instructions.iter().sum()
    }

    /// Warp instructions of `class`.
    pub fn of(&self, class: Class) -> u64 {
        self.instructions[class as usize]
    }
}

impl HotLoop {
    /// Multiply-adds as a share of the loop's instructions, register copies apart.
    pub fn fma_share(&self) -> f64 {
        let total: u64 = self.instructions.iter().sum();
        self.instructions[Class::Fma32 as usize] as f64
            / (total - self.instructions[Class::Move as usize]).max(1) as f64
    }
}

/// The class of an instruction, `None` for what is none.
pub(crate) fn class(inst: &Inst) -> Option<Class> {
    use Code::*;
    Some(match inst.code {
        Block => return None,
        FFma | FFmaDown => Class::Fma32,
        FAdd | FSub | FMul | FMin | FMax | FNeg | FAbs | FCopySign => Class::Float32,
        FDiv | FRcp | FSqrt | FSqrtFlush | FRsqrt | FEx2 | FLg2 => Class::Special,
        DAdd | DSub | DMul | DFma | DDiv | DMin | DMax | DNeg | DAbs | DSqrt | DRcp => Class::Float64,
        Mov32 | Mov64 | Pack32 | Unpack32 | Pack64 | Unpack64 => Class::Move,
        SetpS32 | SetpU32 | SetpS16 | SetpU16 | SetpS64 | SetpU64 | SetpF32 | SetpF64 | Selp32 | Selp64
        | AndPred | OrPred | XorPred | NotPred | MovPred => Class::Predicate,
        CvtS64S32 | CvtU64U32 | CvtLow32 | CvtU16 | CvtF32S32 | CvtF64F32 | Cvt => Class::Conversion,
        LdShared => Class::LoadShared,
        StShared => Class::StoreShared,
        LdGlobal | LdGlobalReadOnly => Class::LoadGlobal,
        StGlobal => Class::StoreGlobal,
        LdParam => Class::Parameter,
        LdLocal | StLocal => Class::Local,
        AtomGlobal | AtomShared => Class::Atomic,
        Shfl | Vote | ActiveMask => Class::Shuffle,
        Barrier | Fence => Class::Barrier,
        Bra | Ret => Class::Branch,
        _ => Class::Integer,
    })
}

/// Whether its memory costs are those of shared memory.
fn is_shared(inst: &Inst) -> bool {
    matches!(inst.code, Code::LdShared | Code::StShared | Code::AtomShared)
}

/// Counters from how often each basic block ran and what each instruction cost.
pub(crate) fn summarise(kernel: &Kernel, runs: &[u64], costs: &[Cost], divergent_branches: u64) -> Counters {
    let mut counters = Counters { divergent_branches, ..Counters::default() };
    let mut times = vec![0; kernel.code.len()];
    let mut now = 0;
    for (at, inst) in kernel.code.iter().enumerate() {
        if inst.code == Code::Block {
            now = runs[inst.imm as usize];
        }
        times[at] = now;
        if let Some(class) = class(inst) {
            counters.instructions[class as usize] += now;
        }
    }
    for (inst, cost) in kernel.code.iter().zip(costs) {
        let (requests, taken, least, bytes) = match is_shared(inst) {
            true => (
                &mut counters.shared_requests,
                &mut counters.shared_wavefronts,
                &mut counters.shared_wavefronts_least,
                &mut counters.shared_bytes,
            ),
            false => (
                &mut counters.global_requests,
                &mut counters.global_sectors,
                &mut counters.global_sectors_least,
                &mut counters.global_bytes,
            ),
        };
        *requests += cost.requests;
        *taken += cost.taken;
        *least += cost.least;
        *bytes += cost.bytes;
    }
    // A loop that holds another is not innermost.
    let innermost =
        |l: &&(u32, u32)| !kernel.loops.iter().any(|other| other != *l && l.0 <= other.0 && other.1 <= l.1);
    let weight = |l: &(u32, u32)| times[l.0 as usize..=l.1 as usize].iter().sum::<u64>();
    if let Some(&(first, last)) = kernel.loops.iter().filter(innermost).max_by_key(|l| weight(l)) {
        let mut hot = HotLoop { line: kernel.lines[first as usize].1, ..HotLoop::default() };
        for at in first as usize..=last as usize {
            let (inst, cost) = (&kernel.code[at], costs[at]);
            if let Some(class) = class(inst) {
                hot.instructions[class as usize] += times[at];
            }
            let (taken, least) = match is_shared(inst) {
                true => (&mut hot.shared_wavefronts, &mut hot.shared_wavefronts_least),
                false => (&mut hot.global_sectors, &mut hot.global_sectors_least),
            };
            *taken += cost.taken;
            *least += cost.least;
        }
        counters.hot_loop = Some(hot);
    }
    counters
}

//! What can go wrong: in the text, in a launch, in the simulated program.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The PTX cannot be read.
    #[error("PTX line {line}: {problem}")]
    Parse {
        /// Line of the PTX text.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The launch cannot begin.
    #[error("{kernel}: {problem}")]
    Launch {
        /// Kernel.
        kernel: String,
        /// What is wrong.
        problem: String,
    },
    /// Memory that is not there, or not that large.
    #[error("{0}")]
    Memory(String),
    /// The simulated program did something wrong.
    #[error("{0}")]
    Fault(Box<Fault>),
}

/// What a simulated thread did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// Kernel.
    pub kernel: String,
    /// Block, by x, y, z.
    pub block: [u32; 3],
    /// Thread within the block, by x, y, z.
    pub thread: [u32; 3],
    /// Source file.
    pub file: String,
    /// Line in it; 0 when the PTX was made without line numbers.
    pub line: u32,
    /// More about it.
    pub detail: String,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// An access outside every buffer or window.
    OutOfBounds,
    /// An address that is no multiple of the access's size.
    Misaligned,
    /// A read of shared memory that nobody wrote.
    UninitialisedShared,
    /// A read of global memory that nobody wrote.
    UninitialisedGlobal,
    /// Two warps, or two lanes in one store, touch a shared word between two barriers, and one writes.
    SharedRace,
    /// Two blocks touch a global word, one writes, and nothing orders them.
    GlobalRace,
    /// A barrier that only some lanes of a warp execute.
    DivergentBarrier,
    /// A barrier that a warp never reaches: it has ended, or waits at another one.
    MissingAtBarrier,
    /// A read through the read-only cache of what this launch writes.
    ReadOnlyWritten,
    /// A shuffle from a lane that does not take part, or a shuffle or vote whose member mask is not the lanes that do.
    Shuffle,
    /// A block that does not end.
    Endless,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.kind {
            FaultKind::OutOfBounds => "access out of bounds",
            FaultKind::Misaligned => "misaligned access",
            FaultKind::UninitialisedShared => "read of shared memory that nobody wrote",
            FaultKind::UninitialisedGlobal => "read of global memory that nobody wrote",
            FaultKind::SharedRace => "race in shared memory",
            FaultKind::GlobalRace => "race between blocks in global memory",
            FaultKind::DivergentBarrier => "barrier in divergent code",
            FaultKind::MissingAtBarrier => "barrier that some threads never reach",
            FaultKind::ReadOnlyWritten => "read-only load of memory that this launch writes",
            FaultKind::Shuffle => "shuffle or vote with lanes that do not take part",
            FaultKind::Endless => "block that does not end",
        };
        let ([bx, by, bz], [tx, ty, tz]) = (self.block, self.thread);
        write!(
            f,
            "{}: {what} at {}:{}, block ({bx}, {by}, {bz}), thread ({tx}, {ty}, {tz}): {}",
            self.kernel, self.file, self.line, self.detail
        )
    }
}

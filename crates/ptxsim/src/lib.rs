//! A SIMT simulator for the PTX that NVRTC makes of CUDA C++ for compute_61.
//!
//! It executes PTX, not machine code: 32 lanes at a time in vectors of the host's processor, warps of a block one after the
//! other between two barriers, blocks side by side on host threads. It looks after every access: bounds, alignment, words
//! nobody wrote, races in shared memory between two barriers and in global memory between blocks, barriers that not all
//! threads reach; each is an [`Error::Fault`] with kernel, block, thread and source line. And it counts.
//!
//! Source of the semantics: NVIDIA, "Parallel Thread Execution ISA", version 8.8. An instruction that is not known here is
//! an error by its name when the module is parsed.
//!
//! Left out: timing, textures, surfaces, clusters, tensor cores, dynamic parallelism, blocks that wait for one another.

mod code;
mod counters;
mod error;
mod exec;
mod float;
mod flow;
mod launch;
mod lower;
mod memory;
mod order;
mod parse;
mod registers;
mod shared;
mod words;

pub use counters::{Class, Counters, HotLoop};
pub use error::{Error, Fault, FaultKind};
pub use exec::Isa;
pub use launch::{Checks, Launch, Simulator};
pub use lower::Module;

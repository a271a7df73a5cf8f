//! A SIMT simulator for the PTX that NVRTC makes of CUDA C++ for compute_61.
//!
//! It executes PTX, not machine code: 32 lanes at a time in vectors of the host's processor, warps of a block one after the
//! other between two barriers, blocks side by side on host threads. It looks after every access: bounds, alignment, words
//! nobody wrote, races in shared memory between two barriers and in global memory between blocks, barriers that not all
//! threads reach; each is an [`Error::Fault`] with kernel, block, thread and source line. And it counts.
//!
//! Source of the semantics: NVIDIA, "Parallel Thread Execution ISA", version 8.8. An instruction, a modifier or a directive that
//! is not known here is an error by its name and line when the module is parsed.
//!
//! # What is looked after
//! - **Always**: bounds of buffers, windows, shared, local and parameter memory; alignment; null pointers; barriers that only some
//!   lanes of a warp execute, that a warp never reaches, or that two warps await at different places; shuffles and votes whose
//!   member mask is not the lanes that are here, or that read an absent lane; blocks that do not end.
//! - **[`Checks::shared`]**: reads of words that nobody wrote; two warps that touch a word between two barriers, one of them
//!   writing, where atomics do not race among themselves; two lanes that store different values to one place. When a read of an
//!   unwritten word turns out to be one that another warp is about to write, it is reported as the race.
//! - **[`Checks::global_init`]**: reads and atomics of words that nobody wrote.
//! - **[`Checks::global_races`]**: two blocks that touch a word, one writing, where nothing orders them; read-only loads of what
//!   the launch has written. A block's writes are ordered before another block's accesses when all are behind a fence
//!   (`__threadfence`: each thread's own, or one thread's after a barrier), then an atomic is done, and the other block does
//!   an atomic on the same word later, directly or by way of third blocks; its other warps know after their next barrier.
//!
//! # What is not
//! - Warps run in lockstep, as compute_61 has it: one instruction's lanes all read before any writes, and two instructions of a
//!   warp never race, with or without `__syncwarp`.
//! - Races between warps of one block in global memory.
//! - The order of what is looked after is that of one run: a load that came before another block's write is reported at the
//!   write, and a read-only load that came before it as a race. Of several blocks that read a word only the one with the lowest
//!   and the one with the highest number are told apart from a later write, and only by whether they released anything since.
//! - A reader needs no fence of its own behind its atomic; an atomic needs none before the next one; `volatile` is a plain access.
//! - A word of four bytes is the grain: neighbouring bytes of one word that two warps or blocks write count as a race, and a word of
//!   which one byte is written counts as written. Unwritten local memory reads as whatever was there.
//! - Memory is sequentially consistent: a missing fence is found by the race check, never by a wrong value.
//! - Rounding of approximations (`ex2.approx`, `rcp.approx`, …): correct here, within the ISA's bounds on a card.
//!
//! Left out: timing, textures, surfaces, clusters, tensor cores, dynamic parallelism, function calls, jump tables, generic addresses,
//! constant memory, float16, barriers other than 0, blocks that wait for one another.

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

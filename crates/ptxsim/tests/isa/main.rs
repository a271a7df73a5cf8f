//! Each family of instructions against a statement of its own of what the ISA says, on every instruction set of the host.

mod convert;
mod flow;
mod float;
mod integer;
mod launch;
mod memory;
mod parse;
mod predicate;
mod rows;
mod warp;

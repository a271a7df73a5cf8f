//! Each family of instructions against a statement of its own of what the ISA says, on every instruction set of the host.

#![allow(
    clippy::unwrap_used,
    clippy::precedence,
    clippy::type_complexity,
    reason = "short statements of what is expected"
)]

mod convert;
mod float;
mod flow;
mod integer;
mod launch;
mod memory;
mod parse;
mod predicate;
mod rows;
mod warp;
mod whole;

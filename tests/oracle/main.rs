//! Programs against those who know: libtorch's references of inference, training and gradients, and plain computations of what decided.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "explain")]
mod gradients;
mod inference;
#[cfg(feature = "explain")]
mod maps;
#[cfg(feature = "explain")]
mod plain;
mod training;

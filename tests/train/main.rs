//! Fine-tuning as a user drives it: what a run leaves, that it repeats, that it goes on, what it refuses.
#![cfg(all(feature = "cli", feature = "cpu"))]
#![allow(clippy::unwrap_used)] // a test may panic

mod auxiliary;
mod place;
mod refusals;
mod repeats;
mod run;
mod sweep;
#[cfg(feature = "sim")]
mod tuned;

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

/// The first CUDA device; without one the test that asks is skipped by name, or fails where a card is required.
#[cfg(feature = "cuda")]
fn card() -> Option<nodal::Device> {
    match nodal::Device::open("cuda", None) {
        Ok(device) => Some(device),
        Err(error) => {
            let required = std::env::var("NODAL_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "NODAL_REQUIRE_GPU=1, and {error}");
            // Past the test harness, which keeps what `println` prints to itself.
            let line = format!("skipped: no CUDA device ({error})\n");
            std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
            None
        }
    }
}

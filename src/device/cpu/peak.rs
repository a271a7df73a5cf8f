//! The processor's measured peak: independent multiply-adds in registers, and nothing else.

use std::time::{Duration, Instant};

use super::simd::{Isa, Simd, dispatch};
use super::threads::Threads;
use crate::error::Result;

/// Accumulators in flight: enough to hide the latency of every unit there is.
const CHAINS: usize = 12;
const ROUNDS: usize = 20_000;

/// Floating-point operations a second that `threads` threads reach with `isa`, in GFLOP/s: the best of repeated short
/// runs within about 50 ms.
///
/// # Errors
/// [`crate::Error::Device`] for an instruction set that this processor lacks.
pub fn peak_gflops(isa: Isa, threads: usize) -> Result<f64> {
    let isa = Isa::named(isa.name())?;
    let mut pool = Threads::new(threads);
    let flops = (2 * 16 * CHAINS * ROUNDS * pool.count()) as f64;
    let units = pool.count();
    let mut best = Duration::MAX;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(50) {
        let start = Instant::now();
        pool.run(units, &|_| {
            let mut out = [0.0; 16];
            // SAFETY: `isa` is available; `out` holds sixteen values.
            unsafe { chains(isa, out.as_mut_ptr()) };
            std::hint::black_box(out);
        });
        best = best.min(start.elapsed());
    }
    Ok(flops / best.as_secs_f64() / 1e9)
}

dispatch!(fn chains = chains_body(out: *mut f32));

#[inline(always)]
unsafe fn chains_body<S: Simd>(out: *mut f32) {
    // SAFETY: the caller's contract.
    unsafe {
        let (a, b) = (S::splat(std::hint::black_box(&0.5)), S::splat(std::hint::black_box(&0.25)));
        let mut acc = [S::zero(); CHAINS];
        for _ in 0..ROUNDS {
            for value in &mut acc {
                *value = S::mul_add(*value, a, b);
            }
        }
        let mut sum = S::zero();
        for value in acc {
            sum = S::add(sum, value);
        }
        S::store(out, sum);
    }
}

//! A model of a launch's time on a card: what its busiest resource needs for what the launch does, by published figures. A model,
//! never a measurement, and uncalibrated until docs/gpu-runs.md sets it beside one.
//!
//! t = start + max over resources of work / rate. A resource of the multiprocessors (issue slots, multiply-add pipe, shared
//! memory, port to the second-level cache) is as slow as the busiest of them, which has ⌈blocks / multiprocessors⌉ blocks; memory
//! is one for all. Roofline: Williams, Waterman and Patterson, CACM 52(4), 2009. Left out, so that a card is slower: latencies that
//! too few warps cannot hide, bandwidth below its nominal value, clocks below boost, the bus to the host. A card may be faster
//! where its clock exceeds the published boost, where it merges broadcasts of 128-bit shared loads across quarters of a warp, where
//! its first-level cache serves sectors, or where its second-level cache keeps parameters from run to run.

use super::card::{Card, L2_BYTES_PER_CLOCK, SHARED_BYTES_PER_CLOCK};

/// From the end of a kernel to the start of the next in a graph. Source: NVIDIA technical blog, "Getting started with CUDA
/// graphs", 2019: 3.4 µs a kernel of 2.9 µs on a V100.
const LAUNCH_GAP_US: f64 = 0.5;

/// Cycles from a load to its data in the second-level cache. Source: Jia et al., arXiv 1804.06826, table 3.1, Tesla P4.
const L2_LATENCY_CYCLES: f64 = 216.0;

/// What a launch does, on all its blocks together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Thread blocks.
    pub blocks: f64,
    /// Warp instructions of every kind, register copies apart.
    pub instructions: f64,
    /// Of them, those that the float32 pipe takes.
    pub float32: f64,
    /// 128-byte wavefronts of shared memory.
    pub shared_wavefronts: f64,
    /// 32-byte sectors that global accesses touch.
    pub global_sectors: f64,
    /// Bytes that must come from or go to memory at least.
    pub dram_bytes: f64,
    /// Round trips to the second-level cache that wait for one another.
    pub round_trips: f64,
}

/// What a launch's time is bound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Instructions a cycle.
    Issue,
    /// Multiply-adds a cycle.
    Fma,
    /// Shared memory.
    Shared,
    /// The port to the second-level cache.
    L2,
    /// Memory bandwidth.
    Dram,
    /// Starting it, and waiting for its first and last bytes.
    Launch,
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Bound::Issue => "issue",
            Bound::Fma => "fma",
            Bound::Shared => "shared",
            Bound::L2 => "l2",
            Bound::Dram => "dram",
            Bound::Launch => "launch",
        })
    }
}

/// A launch's modelled time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Microseconds.
    pub us: f64,
    /// The slowest resource.
    pub bound: Bound,
}

/// The time of a launch on `card`; its `parts` are sets of equal thread blocks. A multiprocessor has ⌈blocks / multiprocessors⌉
/// blocks of the largest part, and its share of all of them.
pub fn estimate(card: &Card, parts: &[Work]) -> Estimate {
    let trips = parts.iter().map(|work| work.round_trips).fold(0.0, f64::max);
    let start = LAUNCH_GAP_US + trips * L2_LATENCY_CYCLES / card.clock_mhz;
    let multiprocessors = card.multiprocessors as f64;
    let mut slowest = (Bound::Launch, 0.0);
    let mut together = [0.0; 5];
    for work in parts {
        let busiest = (work.blocks / multiprocessors).ceil() / work.blocks.max(1.0);
        let even = resources(card, work, 1.0 / multiprocessors);
        for ((sum, (_, us)), own) in together.iter_mut().zip(even).zip(resources(card, work, busiest)) {
            *sum += us;
            slowest = if own.1 > slowest.1 { own } else { slowest };
            slowest = if *sum > slowest.1 { (own.0, *sum) } else { slowest };
        }
    }
    let bound = if slowest.1 >= start { slowest.0 } else { Bound::Launch };
    Estimate { us: start + slowest.1, bound }
}

/// What each resource needs, in µs, when the slowest multiprocessor has a share `busiest` of the work.
fn resources(card: &Card, work: &Work, busiest: f64) -> [(Bound, f64); 5] {
    let us = |cycles: f64| cycles / card.clock_mhz;
    [
        (Bound::Issue, us(work.instructions * busiest / card.issue_per_clock)),
        (Bound::Fma, us(work.float32 * busiest / (card.fma_per_clock / 32.0))),
        (Bound::Shared, us(work.shared_wavefronts * busiest * 128.0 / SHARED_BYTES_PER_CLOCK)),
        (Bound::L2, us(work.global_sectors * busiest * 32.0 / L2_BYTES_PER_CLOCK)),
        (Bound::Dram, work.dram_bytes / (card.dram_gb_per_s * 1e3)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_multiprocessor_decides() {
        let card = Card::named("gtx-1080-ti").unwrap();
        // One warp multiply-add a cycle and scheduler: 28 · 4 · 1582 a microsecond.
        let full = Work { blocks: 28.0, float32: 28.0 * 4.0 * 1582.0, ..Work::default() };
        let one = estimate(&card, &[full]);
        assert!((one.us - LAUNCH_GAP_US - 1.0).abs() < 1e-9 && one.bound == Bound::Fma);
        // The same work in 29 blocks: one multiprocessor has two.
        let two = estimate(&card, &[Work { blocks: 29.0, ..full }]);
        assert!((two.us - LAUNCH_GAP_US - 2.0 * 28.0 / 29.0).abs() < 1e-9);
    }

    #[test]
    fn each_resource_can_be_the_bound() {
        let card = Card::named("gtx-1080-ti").unwrap();
        let bound = |work: Work| estimate(&card, &[Work { blocks: 28.0, ..work }]).bound;
        assert_eq!(bound(Work { instructions: 1e9, ..Work::default() }), Bound::Issue);
        assert_eq!(bound(Work { shared_wavefronts: 1e9, ..Work::default() }), Bound::Shared);
        assert_eq!(bound(Work { global_sectors: 1e9, ..Work::default() }), Bound::L2);
        assert_eq!(bound(Work { dram_bytes: 1e9, ..Work::default() }), Bound::Dram);
        assert_eq!(bound(Work { round_trips: 3.0, float32: 1.0, ..Work::default() }), Bound::Launch);
        // 484.4 GB/s.
        let dram = estimate(&card, &[Work { blocks: 1.0, dram_bytes: 484.4e3, ..Work::default() }]);
        assert!((dram.us - LAUNCH_GAP_US - 1.0).abs() < 1e-9);
    }
}

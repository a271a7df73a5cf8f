//! Cards by their published figures: what a program must know to be cut for one, and what the model of its time rests on.
//!
//! Sources: NVIDIA's whitepapers "Tesla P100" (2016, the Pascal SM), "Tesla V100" (2017), "A100" (2020), "Ada GPU
//! architecture" (2022), "H100" (2022) and the product pages of the GTX 1080 Ti and the H200: multiprocessors, boost clock, memory
//! bandwidth, second-level cache. Lanes, warps, shared memory and registers of a multiprocessor: CUDA C++ programming guide 12.9,
//! tables "Arithmetic instructions" and "Technical specifications per compute capability". Bytes a cycle of shared memory and
//! between a multiprocessor and the second-level cache: Jia et al., "Dissecting the NVIDIA Volta GPU architecture via
//! microbenchmarking", 2018 (arXiv 1804.06826), tables 3.1 and 3.4.

use super::{TILES, WEIGHT_TILES};
use crate::error::{Error, Result};
use crate::program::Gpu;

/// A card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Card {
    /// As on the command line.
    pub name: &'static str,
    /// As its maker calls it.
    pub title: &'static str,
    /// Major and minor compute capability.
    pub compute_capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Boost clock.
    pub clock_mhz: f64,
    /// Multiply-adds a cycle and multiprocessor in float32.
    pub fma_per_clock: f64,
    /// Warp instructions a cycle and multiprocessor; two a scheduler where it issues pairs.
    pub issue_per_clock: f64,
    /// Memory bandwidth.
    pub dram_gb_per_s: f64,
    /// Second-level cache.
    pub l2_bytes: f64,
}

/// Bytes a cycle that one multiprocessor's shared memory gives: one wavefront.
pub const SHARED_BYTES_PER_CLOCK: f64 = 128.0;

/// Bytes a cycle between one multiprocessor and the second-level cache.
pub const L2_BYTES_PER_CLOCK: f64 = 64.0;

/// The cards; the first is the one that this engine is made for.
pub const CARDS: [Card; 6] = [
    card("gtx-1080-ti", "GeForce GTX 1080 Ti", (6, 1), 28, 1582.0, 8.0, 484.4, 2816.0),
    card("v100", "Tesla V100 SXM2", (7, 0), 80, 1530.0, 4.0, 900.0, 6144.0),
    card("a100", "A100 SXM4 40 GB", (8, 0), 108, 1410.0, 4.0, 1555.0, 40_960.0),
    card("rtx-4090", "GeForce RTX 4090", (8, 9), 128, 2520.0, 4.0, 1008.0, 73_728.0),
    card("h100", "H100 SXM5", (9, 0), 132, 1980.0, 4.0, 3352.0, 51_200.0),
    card("h200", "H200 SXM5", (9, 0), 132, 1980.0, 4.0, 4800.0, 51_200.0),
];

#[allow(clippy::too_many_arguments, reason = "a row of the table above")]
const fn card(
    name: &'static str,
    title: &'static str,
    compute_capability: (u32, u32),
    multiprocessors: usize,
    clock_mhz: f64,
    issue_per_clock: f64,
    dram_gb_per_s: f64,
    l2_kib: f64,
) -> Card {
    let fma_per_clock = fma_per_clock(compute_capability);
    let l2_bytes = l2_kib * 1024.0;
    Card {
        name,
        title,
        compute_capability,
        multiprocessors,
        clock_mhz,
        fma_per_clock,
        issue_per_clock,
        dram_gb_per_s,
        l2_bytes,
    }
}

/// Multiply-adds in float32 a cycle of a multiprocessor of this compute capability.
pub const fn fma_per_clock(compute_capability: (u32, u32)) -> f64 {
    match compute_capability {
        (6, 0) | (7, _) | (8, 0) => 64.0,
        _ => 128.0,
    }
}

impl Card {
    /// The card called `name`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name that no card has.
    pub fn named(name: &str) -> Result<Self> {
        CARDS.into_iter().find(|card| card.name == name).ok_or_else(|| {
            let names: Vec<&str> = CARDS.iter().map(|card| card.name).collect();
            Error::Argument(format!("no card is called `{name}`; there are {}", names.join(", ")))
        })
    }

    /// What a program is cut for.
    pub fn gpu(&self) -> Gpu {
        Gpu {
            multiprocessors: self.multiprocessors,
            tiles: TILES.to_vec(),
            weight_tiles: WEIGHT_TILES.to_vec(),
            tuning: None,
        }
    }

    /// Highest rate of float32 arithmetic, a multiply-add counting two.
    pub fn peak_gflops(&self) -> f64 {
        2.0 * self.fma_per_clock * self.multiprocessors as f64 * self.clock_mhz / 1e3
    }
}

/// What a multiprocessor has to share out among blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiprocessor {
    /// 32-bit registers.
    pub registers: u32,
    /// Shared memory.
    pub shared_bytes: u32,
    /// Warps at most.
    pub warps: u32,
    /// Blocks at most.
    pub blocks: u32,
}

/// The multiprocessor of an architecture, 61 for compute capability 6.1. Shared memory is what kernels can have without asking
/// for more than 48 KiB a block, the largest carve-out of the first-level cache included.
pub fn multiprocessor(architecture: u32) -> Multiprocessor {
    let of = |shared_kib: u32, warps: u32, blocks: u32| Multiprocessor {
        registers: 65_536,
        shared_bytes: shared_kib * 1024,
        warps,
        blocks,
    };
    match architecture {
        61 => of(96, 64, 32),
        70 => of(96, 64, 32),
        75 => of(64, 32, 16),
        80 => of(164, 64, 32),
        86 => of(100, 48, 16),
        89 => of(100, 48, 24),
        90 | 100 => of(228, 64, 32),
        _ => of(100, 48, 24),
    }
}

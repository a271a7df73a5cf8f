//! Instruction sets of the host: the warp loop is compiled once for each.

use super::Runner;
use super::warp::Stop;

/// An instruction set of the host. Results have the same bits on all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What every host of the target has; without fused multiply-adds, which are emulated.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512: F, VL, DQ, BW.
    Avx512,
}

impl Isa {
    /// All of them, the slowest first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// The fastest that this host has.
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// Whether this host has it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Isa::Portable => true,
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Isa::Portable;
    }
}

impl Runner<'_> {
    /// Runs `warp` until a barrier or its end.
    pub(super) fn run_warp(&mut self, warp: usize) -> Stop {
        #[cfg(target_arch = "x86_64")]
        match self.setting.isa {
            // SAFETY: a simulator has only an instruction set that `is_available`.
            Isa::Avx512 => return unsafe { self.run_warp_avx512(warp) },
            // SAFETY: as above.
            Isa::Avx2 => return unsafe { self.run_warp_avx2(warp) },
            Isa::Portable => {}
        }
        self.run_warp_on::<false>(warp)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    unsafe fn run_warp_avx512(&mut self, warp: usize) -> Stop {
        self.run_warp_on::<true>(warp)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    unsafe fn run_warp_avx2(&mut self, warp: usize) -> Stop {
        self.run_warp_on::<true>(warp)
    }
}

//! The loop over a warp's instructions: branches, where lanes part and meet again, and barriers.
//!
//! Lanes that part wait on a stack: one entry for those of the other side, one for all at the place where they meet, the
//! branch's immediate post-dominator.

use super::Runner;
use super::lanes::Frame;
use crate::code::{Code, NONE};
use crate::error::FaultKind;

/// Lanes that go on later.
#[derive(Clone, Copy)]
struct Suspended {
    pc: u32,
    mask: u32,
    reconverge: u32,
}

/// A warp between two of its turns.
pub(super) struct Warp {
    pub pc: u32,
    /// Lanes that run.
    mask: u32,
    /// Where they meet others.
    reconverge: u32,
    /// Lanes that there were at the begin.
    all: u32,
    /// Lanes that have not ended.
    pub live: u32,
    suspended: Vec<Suspended>,
    /// Whether it wrote global memory since the last barrier and its last fence.
    pub dirty: bool,
}

/// Why a warp's turn ended.
pub(super) enum Stop {
    Barrier,
    Ended,
    Trapped,
}

impl Warp {
    /// One of `lanes` lanes, at the kernel's begin.
    pub fn new(lanes: u32) -> Self {
        let all = u32::MAX >> (32 - lanes);
        let suspended = Vec::with_capacity(8);
        Warp { pc: 0, mask: all, reconverge: u32::MAX, all, live: all, suspended, dirty: false }
    }

    /// The next lanes that can go on: place, mask and where they meet others.
    fn resume(&mut self) -> Option<(u32, u32, u32)> {
        while let Some(Suspended { pc, mask, reconverge }) = self.suspended.pop() {
            if mask & self.live != 0 {
                return Some((pc, mask & self.live, reconverge));
            }
        }
        None
    }
}

impl Runner<'_> {
    /// Runs `warp` until a barrier or its end; `FMA`: the host has fused multiply-adds.
    #[inline(always)]
    pub(super) fn run_warp_on<const FMA: bool>(&mut self, warp: usize) -> Stop {
        let kernel = self.setting.kernel;
        let code = kernel.code.as_slice();
        // SAFETY: a warp has `slots` registers and `predicates` predicates from there.
        let registers = unsafe { self.registers.as_mut_ptr().add(warp * kernel.slots) };
        // SAFETY: as above.
        let predicates = unsafe { self.predicates.as_mut_ptr().add(warp * kernel.predicates) };
        let Warp { mut pc, mut mask, mut reconverge, .. } = self.warps[warp];
        loop {
            // SAFETY: a kernel ends with `Ret`, and targets are instructions of it.
            let inst = unsafe { code.get_unchecked(pc as usize) };
            let mut frame = Frame { registers, predicates, mask };
            if inst.guard != NONE {
                // SAFETY: predicates were numbered when the kernel was lowered.
                frame.mask &= unsafe { frame.predicate(inst.guard) };
            }
            match inst.code {
                Code::Block => {
                    if pc == reconverge {
                        let Some(next) = self.warps[warp].resume() else { return Stop::Ended };
                        (pc, mask, reconverge) = next;
                        continue;
                    }
                    // SAFETY: the kernel's basic blocks are numbered from 0 on.
                    unsafe { *self.runs.get_unchecked_mut(inst.imm as usize) += 1 };
                    self.budget -= 1;
                    if self.budget == 0 {
                        return self.endless(warp, mask, pc);
                    }
                    pc += 1;
                }
                Code::Bra if frame.mask == mask => pc = inst.imm,
                Code::Bra if frame.mask == 0 => pc += 1,
                Code::Bra => {
                    self.divergent_branches += 1;
                    let meet = kernel.reconverge[pc as usize];
                    let (target, next, others) = (inst.imm, pc + 1, mask & !frame.mask);
                    let suspended = &mut self.warps[warp].suspended;
                    if meet != reconverge {
                        suspended.push(Suspended { pc: meet, mask, reconverge });
                    }
                    reconverge = meet;
                    if target == meet {
                        (pc, mask) = (next, others);
                    } else if next == meet {
                        (pc, mask) = (target, frame.mask);
                    } else {
                        suspended.push(Suspended { pc: target, mask: frame.mask, reconverge });
                        (pc, mask) = (next, others);
                    }
                }
                Code::Ret => {
                    let warp = &mut self.warps[warp];
                    warp.live &= !frame.mask;
                    mask &= !frame.mask;
                    if mask == 0 {
                        let Some(next) = warp.resume() else { return Stop::Ended };
                        (pc, mask, reconverge) = next;
                    } else {
                        pc += 1;
                    }
                }
                Code::Barrier => {
                    if frame.mask != self.warps[warp].all {
                        return self.bad_barrier(warp, frame.mask, pc);
                    }
                    let warp = &mut self.warps[warp];
                    (warp.pc, warp.mask, warp.reconverge) = (pc + 1, mask, reconverge);
                    return Stop::Barrier;
                }
                _ => {
                    let fine = if frame.mask == u32::MAX {
                        // SAFETY: slots were placed within a warp's registers when the kernel was lowered.
                        unsafe { self.execute::<FMA, false>(warp, frame, inst, pc) }
                    } else if frame.mask != 0 {
                        // SAFETY: as above.
                        unsafe { self.execute::<FMA, true>(warp, frame, inst, pc) }
                    } else {
                        true
                    };
                    if !fine {
                        return Stop::Trapped;
                    }
                    pc += 1;
                }
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn endless(&mut self, warp: usize, mask: u32, pc: u32) -> Stop {
        let detail = format!("its warps ran {} basic blocks", self.setting.budget);
        self.fail(FaultKind::Endless, warp, mask.trailing_zeros(), pc, detail);
        Stop::Trapped
    }

    /// A barrier that not all lanes of a warp execute: some have ended, or are elsewhere.
    #[cold]
    #[inline(never)]
    fn bad_barrier(&mut self, warp: usize, mask: u32, pc: u32) -> Stop {
        let Warp { all, live, .. } = self.warps[warp];
        let (lane, what) = match live & !mask {
            0 => ((all & !mask).trailing_zeros(), "has ended"),
            elsewhere => (elsewhere.trailing_zeros(), "is elsewhere"),
        };
        let detail = format!("lanes {mask:#010x} of {all:#010x} reach it; lane {lane} {what}");
        self.fail(FaultKind::DivergentBarrier, warp, lane, pc, detail);
        Stop::Trapped
    }
}

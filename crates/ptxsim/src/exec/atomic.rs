//! Atomics on words of global and of shared memory.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::Runner;
use super::cost::{sectors, shared_cost};
use super::lanes::Frame;
use crate::code::{ATOMICS, Atomic, Code, Inst};
use crate::error::FaultKind;
use crate::float::{bits32, flush};
use crate::shared::Touch;
use crate::words::Deed;

impl Runner<'_> {
    /// Lanes go in order; `d` is the value before, and a release of the block's writes where all are behind a fence.
    ///
    /// # Safety
    /// Slots of `i` lie within the warp's.
    pub(super) unsafe fn atomic(&mut self, warp: usize, f: Frame, i: &Inst, pc: u32) -> bool {
        let (which, wide) = (ATOMICS[i.imm as usize & 15], i.imm >> 7 & 1 != 0);
        let offset = i64::from((i.imm as i32) >> 8) as u64;
        let global = i.code == Code::AtomGlobal;
        // SAFETY: the caller's contract.
        let (b, c) = unsafe { (f.get(i.b), f.get(i.c)) };
        // SAFETY: the caller's contract.
        let base = unsafe { if wide { f.get64(i.a) } else { f.get(i.a).map(u64::from) } };
        let address = base.map(|a| a.wrapping_add(offset));
        let setting = self.setting;
        let ordered = global && setting.memory.looks_after_races();
        for l in f.lanes() {
            let _turn = ordered.then(|| setting.order.turn());
            let Some(data) = self.word_of_atomic(warp, l, pc, address[l], global) else { return false };
            if self.dry && global {
                continue;
            }
            // SAFETY: the address was checked; simulated threads touch it through atomics alone, or race.
            let word = unsafe { AtomicU32::from_ptr(data.cast()) };
            let updated =
                word.fetch_update(SeqCst, SeqCst, |old| Some(update(which, old, b[l], c[l], global)));
            let (Ok(old) | Err(old)) = updated;
            if i.d != crate::code::NONE {
                // SAFETY: the caller's contract.
                unsafe { f.slot(i.d)[l] = old };
            }
        }
        if self.setting.count {
            self.costs[pc as usize] += match global {
                true => sectors(&address, f.mask, 4),
                false => {
                    let first = address[f.mask.trailing_zeros() as usize & 31] as u32;
                    let place = |l: usize| if f.mask >> l & 1 != 0 { address[l] as u32 } else { first };
                    shared_cost(&std::array::from_fn(place), f.mask, 4)
                }
            };
        }
        true
    }

    /// The word at an address, after all checks; `None` when one failed.
    fn word_of_atomic(
        &mut self,
        warp: usize,
        lane: usize,
        pc: u32,
        address: u64,
        global: bool,
    ) -> Option<*mut u8> {
        let at = (address & 0xffff_ffff) as usize;
        let (data, bytes) = match global {
            true => self.setting.memory.bounds((address >> 32) as u32),
            false => (self.shared.data.as_mut_ptr().cast(), self.shared.bytes),
        };
        if at + 4 > bytes || !(data as usize + at).is_multiple_of(4) {
            let kind = if at + 4 > bytes { FaultKind::OutOfBounds } else { FaultKind::Misaligned };
            let detail = match global {
                true => self.setting.memory.describe(address, 4),
                false => format!("4 bytes at byte {at} of shared memory, which has {bytes}"),
            };
            self.fail(kind, warp, lane as u32, pc, detail);
            return None;
        }
        let fine = match global {
            true => self.dry || self.look_after_atomic(warp, lane, pc, address),
            false => !self.setting.look_after_shared || self.touch_shared(warp, lane, pc, at),
        };
        // SAFETY: the address was checked.
        fine.then(|| unsafe { data.add(at) })
    }

    fn look_after_atomic(&mut self, warp: usize, lane: usize, pc: u32, address: u64) -> bool {
        let setting = self.setting;
        if !setting.memory.looks_after_words() {
            return true;
        }
        // What the word has seen is known before it is judged; it is judged in the epoch that ends here.
        let epoch = self.knowledge.releases;
        if setting.memory.looks_after_races() {
            let releases = !self.dirty && self.warps.iter().all(|warp| !warp.dirty);
            let (_, word, storage) =
                setting.memory.words((address >> 32) as u32, (address & 0xffff_ffff) as usize);
            let place = (storage as u64) << 32 | word as u64;
            setting.order.atomic(place, &mut self.knowledge, warp, self.block, releases);
        }
        let after = std::mem::replace(&mut self.knowledge.releases, epoch);
        let found = self.touch_words(warp, address, 1, Deed::Atomic);
        self.knowledge.releases = after;
        match found {
            Some((_, trouble)) => self.word_trouble(warp, lane, pc, address, 4, trouble),
            None => true,
        }
    }

    fn touch_shared(&mut self, warp: usize, lane: usize, pc: u32, at: usize) -> bool {
        let shared = &mut self.shared;
        shared.atomics[warp][at / 4] = shared.epoch;
        if shared.written[at / 4] == 0 {
            let detail = format!("4 bytes at byte {at}");
            return self.fail(FaultKind::UninitialisedShared, warp, lane as u32, pc, detail);
        }
        let (warp, lane) = (warp as u32, lane as u32);
        self.touch(at as u32 / 4, Touch { warp, lane, pc, write: true, atomic: true })
    }
}

/// The word after `which`, with operands x and y. Sums of float32 in global memory flush numbers below the normal range.
fn update(which: Atomic, old: u32, x: u32, y: u32, global: bool) -> u32 {
    let float = |bits: u32| if global { flush(f32::from_bits(bits)) } else { f32::from_bits(bits) };
    match which {
        Atomic::Add => old.wrapping_add(x),
        Atomic::MinS => (old as i32).min(x as i32) as u32,
        Atomic::MinU => old.min(x),
        Atomic::MaxS => (old as i32).max(x as i32) as u32,
        Atomic::MaxU => old.max(x),
        Atomic::Exch => x,
        Atomic::Cas if old == x => y,
        Atomic::Cas => old,
        Atomic::Inc if old >= x => 0,
        Atomic::Inc => old + 1,
        Atomic::Dec if old == 0 || old > x => x,
        Atomic::Dec => old - 1,
        Atomic::And => old & x,
        Atomic::Or => old | x,
        Atomic::Xor => old ^ x,
        Atomic::AddF32 => {
            let sum = float(old) + float(x);
            bits32(if global { flush(sum) } else { sum })
        }
    }
}

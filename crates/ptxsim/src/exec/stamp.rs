//! Who touched which word of shared memory: stamps of all accesses, and the precise record of a block's second run.

use super::Runner;
use super::lanes::Frame;
use super::moves::Pattern;
use crate::error::FaultKind;
use crate::shared::Touch;

impl Runner<'_> {
    /// Stamps the words of an access; whether all that are read have been written.
    ///
    /// # Safety
    /// Addresses lie within shared memory and are aligned.
    #[inline(always)]
    pub(super) unsafe fn stamp(
        &mut self,
        warp: usize,
        address: &[u32; 32],
        size: u32,
        store: bool,
        pattern: Pattern,
    ) -> bool {
        let shared = &mut self.shared;
        let epoch = shared.epoch;
        let map = if store { &mut shared.writes[warp] } else { &mut shared.reads[warp] }.as_mut_ptr();
        let written = shared.written.as_mut_ptr();
        // SAFETY: the caller's contract; the maps have room for 32 words behind their last.
        unsafe {
            match (pattern, size) {
                (Pattern::Unit, 4..) => {
                    let mut known = true;
                    for part in 0..size as usize / 4 {
                        let at = address[0] as usize / 4 + part * 32;
                        known &= touch_words::<32>(map.add(at), written.add(at), epoch, store);
                    }
                    known
                }
                (Pattern::Broadcast, ..=4) => {
                    let at = address[0] as usize / 4;
                    touch_words::<1>(map.add(at), written.add(at), epoch, store)
                }
                (Pattern::Rows, 4) => {
                    let mut known = true;
                    for row in 0..4 {
                        let at = address[8 * row] as usize / 4;
                        known &= touch_words::<8>(map.add(at), written.add(at), epoch, store);
                    }
                    known
                }
                (Pattern::Steps, 16) => {
                    let mut known = true;
                    for row in 0..4 {
                        let at = address[8 * row] as usize / 4;
                        known &= touch_words::<4>(map.add(at), written.add(at), epoch, store);
                    }
                    known
                }
                (Pattern::Eights, 16) => touch_each::<4>(&address[..8], map, written, epoch, store),
                (Pattern::Sixteens, 16) => touch_each::<4>(&address[..16], map, written, epoch, store),
                (_, 16) => touch_each::<4>(address, map, written, epoch, store),
                (_, 8) => touch_each::<2>(address, map, written, epoch, store),
                _ => touch_each::<1>(address, map, written, epoch, store),
            }
        }
    }

    /// Records each word's access; false when it races with an earlier one.
    #[cold]
    #[inline(never)]
    pub(super) fn touch_precisely(
        &mut self,
        warp: usize,
        f: Frame,
        address: &[u32; 32],
        size: u32,
        pc: u32,
        store: bool,
    ) -> bool {
        for l in f.lanes() {
            for word in address[l] / 4..=(address[l] + size - 1) / 4 {
                let touch = Touch { warp: warp as u32, lane: l as u32, pc, write: store, atomic: false };
                if !self.touch(word, touch) {
                    return false;
                }
            }
        }
        true
    }

    /// Records one word's access; false when it races with an earlier one.
    pub(super) fn touch(&mut self, word: u32, touch: Touch) -> bool {
        let Some(other) = self.shared.precise.as_mut().and_then(|p| p.touch(word as usize, touch)) else {
            return true;
        };
        let kernel = self.setting.kernel;
        let did = if other.write { "written" } else { "read" };
        let (thread, line) = (other.warp * 32 + other.lane, kernel.lines[other.pc as usize].1);
        let detail =
            format!("byte {} was {did} by thread {thread} at line {line} with no barrier between", word * 4);
        self.fail(FaultKind::SharedRace, touch.warp as usize, touch.lane, touch.pc, detail);
        if let Some(trap) = &mut self.trap {
            trap.other = other.pc;
        }
        false
    }
}

/// Stamps `N` words side by side; whether they have been written, or are now.
///
/// # Safety
/// Both maps have as many bytes there.
#[inline(always)]
unsafe fn touch_words<const N: usize>(map: *mut u8, written: *mut u8, epoch: u8, store: bool) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        map.cast::<[u8; N]>().write([epoch; N]);
        if store {
            written.cast::<[u8; N]>().write([1; N]);
            return true;
        }
        written.cast::<[u8; N]>().read() == [1; N]
    }
}

/// As [`touch_words`], for the words of each lane.
///
/// # Safety
/// As [`touch_words`], at each address.
#[inline(always)]
unsafe fn touch_each<const N: usize>(
    address: &[u32],
    map: *mut u8,
    written: *mut u8,
    epoch: u8,
    store: bool,
) -> bool {
    let mut all = [1u8; N];
    // SAFETY: the caller's contract.
    unsafe {
        let mut before = u32::MAX;
        for &a in address {
            if N > 1 && a == before {
                continue;
            }
            before = a;
            let at = a as usize / 4;
            map.add(at).cast::<[u8; N]>().write([epoch; N]);
            if store {
                written.add(at).cast::<[u8; N]>().write([1; N]);
            } else {
                let words = written.add(at).cast::<[u8; N]>().read();
                for (all, word) in all.iter_mut().zip(words) {
                    *all &= word;
                }
            }
        }
    }
    all == [1; N]
}

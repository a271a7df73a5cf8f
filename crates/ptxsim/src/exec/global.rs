//! Loads and stores of global memory, and fences.

use super::Runner;
use super::cost::sectors;
use super::lanes::{Frame, LANE};
use super::moves::{Pattern, load_words, move_elements, store_words};
use crate::code::{Access, Code, Inst};
use crate::error::FaultKind;
use crate::words::{Deed, Trouble, Who};

impl Runner<'_> {
    /// # Safety
    /// Slots of `i` lie within the warp's.
    #[inline(always)]
    pub(super) unsafe fn global_access<const SOME: bool>(
        &mut self,
        warp: usize,
        f: Frame,
        i: &Inst,
        pc: u32,
    ) -> bool {
        let access = Access::unpack(i.b);
        let (size, store) = (access.size(), i.code == Code::StGlobal);
        let first = f.mask.trailing_zeros() as usize & 31;
        let offset = i64::from(i.imm as i32) as u64;
        // SAFETY: the caller's contract.
        let base = unsafe { f.get64(i.a) };
        let address = each!(|l| {
            let from = if !SOME || f.mask & LANE[l] != 0 { base[l] } else { base[first] };
            from.wrapping_add(offset)
        });
        let number = (address[first] >> 32) as u32;
        let (data, bytes) = self.setting.memory.bounds(number);
        let (mut largest, mut odd, mut other) = (0u32, 0u32, 0u32);
        for a in address {
            largest = largest.max(a as u32);
            odd |= (a as u32).wrapping_add(data as usize as u32);
            other |= (a >> 32) as u32 ^ number;
        }
        if other != 0 || u64::from(largest) + u64::from(size) > bytes as u64 || odd & (size - 1) != 0 {
            // SAFETY: the caller's contract.
            return unsafe { self.scattered_access(warp, f, i, pc, &address) };
        }
        let offsets = each!(|l| address[l] as u32);
        let pattern = Pattern::of(&offsets, size);
        if self.setting.count {
            let place = data as usize as u64 & 31;
            self.costs[pc as usize] += sectors(&address.map(|a| a + place), f.mask, size);
        }
        if self.setting.memory.looks_after_words()
            && !self.look_after(warp, f, i, pc, &address, pattern == Pattern::Unit)
        {
            return false;
        }
        if store {
            self.warps[warp].dirty = true;
            if self.dry {
                return true;
            }
        }
        // SAFETY: the vector was made when the kernel was lowered.
        let vector = unsafe { *self.setting.kernel.vectors.get_unchecked(usize::from(i.c)) };
        // SAFETY: addresses were checked; where the lanes lie side by side, 32 words follow the first one.
        unsafe {
            if access.bytes == 4 && !access.widen {
                match store {
                    false => load_words::<SOME>(f, data, &offsets, vector, access.count, pattern),
                    true => store_words::<SOME>(f, data, &offsets, vector, access.count, pattern),
                }
            } else {
                move_elements(f, access, vector, store, &offsets.map(|a| data.add(a as usize)));
            }
        }
        true
    }

    /// An access whose lanes point into several buffers, or one that is wrong.
    ///
    /// # Safety
    /// Slots of `i` lie within the warp's.
    #[cold]
    #[inline(never)]
    unsafe fn scattered_access(
        &mut self,
        warp: usize,
        f: Frame,
        i: &Inst,
        pc: u32,
        address: &[u64; 32],
    ) -> bool {
        let access = Access::unpack(i.b);
        let (size, store) = (access.size(), i.code == Code::StGlobal);
        let (mut places, mut real) = ([std::ptr::null_mut(); 32], [0; 32]);
        for l in f.lanes() {
            let offset = address[l] & 0xffff_ffff;
            let (data, bytes) = self.setting.memory.bounds((address[l] >> 32) as u32);
            let outside = offset + u64::from(size) > bytes as u64;
            let place = data as usize as u64 & 63;
            if outside || (offset + place) & u64::from(size - 1) != 0 {
                let kind = if outside { FaultKind::OutOfBounds } else { FaultKind::Misaligned };
                let detail = self.setting.memory.describe(address[l], size);
                return self.fail(kind, warp, l as u32, pc, detail);
            }
            // SAFETY: the address was checked.
            places[l] = unsafe { data.add(offset as usize) };
            real[l] = address[l] + (place & 31);
        }
        if self.setting.count {
            self.costs[pc as usize] += sectors(&real, f.mask, size);
        }
        if self.setting.memory.looks_after_words() && !self.look_after(warp, f, i, pc, address, false) {
            return false;
        }
        if store {
            self.warps[warp].dirty = true;
            if self.dry {
                return true;
            }
        }
        // SAFETY: each lane's address was checked.
        unsafe { move_elements(f, access, self.setting.kernel.vectors[usize::from(i.c)], store, &places) };
        true
    }

    /// Words that nobody wrote, and races between blocks; false when there is one. `unit`: the lanes lie side by side.
    #[inline(never)]
    fn look_after(
        &mut self,
        warp: usize,
        f: Frame,
        i: &Inst,
        pc: u32,
        address: &[u64; 32],
        unit: bool,
    ) -> bool {
        if self.dry {
            return true;
        }
        let deed = match i.code {
            Code::StGlobal => Deed::Store,
            Code::LdGlobalReadOnly => Deed::LoadReadOnly,
            _ => Deed::Load,
        };
        let size = Access::unpack(i.b).size() as usize;
        if unit && size >= 4 && f.mask == u32::MAX {
            return match self.touch_words(warp, address[0], 8 * size, deed) {
                Some((word, trouble)) => {
                    let lane = word * 4 / size;
                    self.word_trouble(warp, lane, pc, address[lane], size, trouble)
                }
                None => true,
            };
        }
        let mut before = u64::MAX;
        for l in f.lanes().filter(|&l| std::mem::replace(&mut before, address[l]) != address[l]) {
            if let Some((_, trouble)) = self.touch_words(warp, address[l], size.div_ceil(4), deed) {
                return self.word_trouble(warp, l, pc, address[l], size, trouble);
            }
        }
        true
    }

    /// Looks after `count` words at `address`; the first that is in trouble, counted from there.
    #[inline(always)]
    pub(super) fn touch_words(
        &self,
        warp: usize,
        address: u64,
        count: usize,
        deed: Deed,
    ) -> Option<(usize, Trouble)> {
        let (words, first, _) =
            self.setting.memory.words((address >> 32) as u32, (address & 0xffff_ffff) as usize);
        let knowledge = &self.knowledge;
        let covers = |block, epoch| knowledge.covers(warp, block, epoch);
        words.touch(first, count, deed, &Who { block: self.block, epoch: knowledge.releases, covers })
    }

    /// Dresses trouble as a fault; always false.
    #[cold]
    #[inline(never)]
    pub(super) fn word_trouble(
        &mut self,
        warp: usize,
        lane: usize,
        pc: u32,
        address: u64,
        size: usize,
        trouble: Trouble,
    ) -> bool {
        let [x, y, _] = self.setting.grid;
        let place = |n: u32| format!("({}, {}, {})", n % x, n / x % y, n / x / y);
        let (kind, more) = match trouble {
            Trouble::Unwritten => (FaultKind::UninitialisedGlobal, String::new()),
            Trouble::ReadOnlyWritten(block) => {
                (FaultKind::ReadOnlyWritten, format!("; block {} wrote it", place(block)))
            }
            Trouble::Race { block, wrote } => {
                let did = if wrote { "wrote" } else { "read" };
                let more = format!("; block {} {did} it, and nothing orders the two", place(block));
                (FaultKind::GlobalRace, more)
            }
        };
        let detail = self.setting.memory.describe(address, size as u32) + &more;
        self.fail(kind, warp, lane as u32, pc, detail)
    }

    /// A fence: `wide`, one beyond the block. Earlier writes of the warp are behind it, and those that a barrier made known.
    pub(super) fn fence(&mut self, warp: usize, wide: bool) {
        if wide {
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
            self.warps[warp].dirty = false;
            self.dirty = false;
        }
    }

    /// A barrier: what one warp knows all know, and any fence from now on covers all earlier writes.
    pub(super) fn share_knowledge(&mut self) {
        for warp in &mut self.warps {
            self.dirty |= std::mem::take(&mut warp.dirty);
        }
        self.knowledge.share();
    }
}

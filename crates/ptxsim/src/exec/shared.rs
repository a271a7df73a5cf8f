//! Loads and stores of shared memory.

use super::Runner;
use super::cost::shared_cost;
use super::lanes::{Frame, LANE};
use super::moves::{is_unit_stride, load_words, move_elements, store_words};
use crate::code::{Access, Code, Inst};
use crate::error::FaultKind;
use crate::shared::Touch;

impl Runner<'_> {
    /// # Safety
    /// Slots of `i` lie within the warp's.
    #[inline(always)]
    pub(super) unsafe fn shared_access<const SOME: bool>(
        &mut self,
        warp: usize,
        f: Frame,
        i: &Inst,
        pc: u32,
    ) -> bool {
        let access = Access::unpack(i.b);
        let (size, store) = (access.size(), i.code == Code::StShared);
        // SAFETY: the caller's contract.
        let base = unsafe { f.get(i.a) };
        let first = base[f.mask.trailing_zeros() as usize & 31];
        let (mut largest, mut odd) = (0, 0);
        let address = each!(|l| {
            let own = if !SOME || f.mask & LANE[l] != 0 { base[l] } else { first };
            own.wrapping_add(i.imm)
        });
        for a in address {
            largest = largest.max(a);
            odd |= a;
        }
        if u64::from(largest) + u64::from(size) > self.shared.bytes as u64 || odd & (size - 1) != 0 {
            return self.shared_trouble(warp, f, &address, size, pc);
        }
        if self.setting.count {
            self.costs[pc as usize] += shared_cost(&address, f.mask, size);
        }
        let unit = is_unit_stride(&address, size);
        if self.setting.look_after_shared {
            if self.shared.precise.is_some() && !self.touch_precisely(warp, f, &address, size, pc, store) {
                return false;
            }
            // SAFETY: addresses were checked.
            if !unsafe { self.stamp(warp, &address, size, store, unit) } {
                return self.unwritten_shared(warp, f, &address, size, pc);
            }
        }
        let data = self.shared.data.as_mut_ptr().cast::<u8>();
        // SAFETY: the vector was made when the kernel was lowered.
        let vector = unsafe { *self.setting.kernel.vectors.get_unchecked(usize::from(i.c)) };
        // SAFETY: addresses were checked; where the lanes lie side by side, 32 words follow the first one.
        unsafe {
            if access.bytes == 4 && !access.widen {
                let side_by_side = unit && size == 4;
                match store {
                    false if side_by_side => {
                        let words = data.add(address[0] as usize).cast::<[u32; 32]>().read();
                        f.put::<SOME>(vector[0], &words);
                    }
                    true if side_by_side && !SOME => {
                        data.add(address[0] as usize).cast::<[u32; 32]>().write(f.get(vector[0]));
                    }
                    false => load_words::<SOME>(f, data, &address, vector, access.count),
                    true => store_words::<SOME>(f, data, &address, vector, access.count),
                }
            } else {
                let places = address.map(|a| data.add(a as usize));
                move_elements(f, access, vector, store, &places);
            }
            !store || unit || !self.setting.look_after_shared || self.lanes_agree(warp, f, &address, i, pc)
        }
    }

    /// Stamps the words of an access; whether all that are read have been written.
    ///
    /// # Safety
    /// Addresses lie within shared memory and are aligned.
    #[inline(always)]
    unsafe fn stamp(&mut self, warp: usize, address: &[u32; 32], size: u32, store: bool, unit: bool) -> bool {
        let shared = &mut self.shared;
        let epoch = shared.epoch;
        let map = if store { &mut shared.writes[warp] } else { &mut shared.reads[warp] }.as_mut_ptr();
        let written = shared.written.as_mut_ptr();
        let mut known = u32::MAX;
        // SAFETY: the caller's contract; the maps have room for 32 words behind their last.
        unsafe {
            if unit && size >= 4 {
                for part in 0..size as usize / 4 {
                    let at = address[0] as usize / 4 + part * 32;
                    map.add(at).cast::<[u8; 32]>().write([epoch; 32]);
                    if store {
                        written.add(at).cast::<[u8; 32]>().write([1; 32]);
                    } else {
                        let words = written.add(at).cast::<[u8; 32]>().read();
                        known &= u32::from(words.iter().fold(1, |all, w| all & w));
                    }
                }
                return store || known == 1;
            }
            if size == 16 {
                let epochs = u32::from(epoch) * 0x0101_0101;
                let mut before = u32::MAX;
                for &a in address {
                    if a == before {
                        continue;
                    }
                    before = a;
                    map.add(a as usize / 4).cast::<u32>().write_unaligned(epochs);
                    let words = written.add(a as usize / 4).cast::<u32>();
                    if store {
                        words.write_unaligned(0x0101_0101);
                    } else {
                        known &= words.read_unaligned();
                    }
                }
                return store || known & 0x0101_0101 == 0x0101_0101;
            }
            for &a in address {
                for word in a as usize / 4..=(a + size - 1) as usize / 4 {
                    *map.add(word) = epoch;
                    if store {
                        *written.add(word) = 1;
                    } else {
                        known &= u32::from(*written.add(word));
                    }
                }
            }
        }
        store || known & 1 == 1
    }

    /// Whether no two lanes of a store wrote different values to one place: memory holds what each lane wrote.
    ///
    /// # Safety
    /// Addresses were checked; slots of `i` lie within the warp's.
    #[inline(never)]
    unsafe fn lanes_agree(&mut self, warp: usize, f: Frame, address: &[u32; 32], i: &Inst, pc: u32) -> bool {
        let access = Access::unpack(i.b);
        let vector = self.setting.kernel.vectors[usize::from(i.c)];
        let data = self.shared.data.as_ptr().cast::<u8>();
        let bytes = access.bytes as usize;
        for (j, &slot) in vector.iter().enumerate().take(access.count as usize) {
            let mut differs = 0;
            // SAFETY: the caller's contract.
            unsafe {
                if bytes == 4 {
                    let value = f.get(slot);
                    let now = each!(|l| data.add(address[l] as usize + 4 * j).cast::<u32>().read());
                    for l in 0..32 {
                        differs |= if f.mask & LANE[l] != 0 { now[l] ^ value[l] } else { 0 };
                    }
                } else {
                    for l in f.lanes() {
                        let high = if bytes == 8 { f.slot(slot + 1)[l] } else { 0 };
                        let own = (u64::from(f.slot(slot)[l]) | u64::from(high) << 32).to_le_bytes();
                        let now =
                            std::slice::from_raw_parts(data.add(address[l] as usize + bytes * j), bytes);
                        differs |= u32::from(*now != own[..bytes]);
                    }
                }
            }
            if differs != 0 {
                return self.lanes_race(warp, f, address, pc);
            }
        }
        true
    }

    #[cold]
    #[inline(never)]
    fn lanes_race(&mut self, warp: usize, f: Frame, address: &[u32; 32], pc: u32) -> bool {
        let lanes: Vec<usize> = f.lanes().collect();
        let pair = lanes.iter().enumerate().find_map(|(i, &a)| {
            lanes[i + 1..].iter().find(|&&b| address[a] == address[b]).map(|&b| (a, b))
        });
        let (a, b) = pair.unwrap_or((0, 0));
        let detail = format!("lanes {a} and {b} of one warp write different values to byte {}", address[a]);
        self.fail(FaultKind::SharedRace, warp, b as u32, pc, detail)
    }

    #[cold]
    #[inline(never)]
    fn shared_trouble(&mut self, warp: usize, f: Frame, address: &[u32; 32], size: u32, pc: u32) -> bool {
        let bytes = self.shared.bytes as u64;
        let outside = |a: u32| u64::from(a) + u64::from(size) > bytes;
        let guilty = f.lanes().find(|&l| outside(address[l]) || address[l] & (size - 1) != 0);
        let lane = guilty.unwrap_or(0);
        let kind = if outside(address[lane]) { FaultKind::OutOfBounds } else { FaultKind::Misaligned };
        let at = i64::from(address[lane] as i32);
        let detail = format!("{size} bytes at byte {at} of shared memory, which has {bytes}");
        self.fail(kind, warp, lane as u32, pc, detail)
    }

    #[cold]
    #[inline(never)]
    fn unwritten_shared(&mut self, warp: usize, f: Frame, address: &[u32; 32], size: u32, pc: u32) -> bool {
        let written =
            |a: u32| (a / 4..=(a + size - 1) / 4).all(|word| self.shared.written[word as usize] != 0);
        let lane = f.lanes().find(|&l| !written(address[l])).unwrap_or(0);
        let detail = format!("{size} bytes at byte {}", address[lane]);
        self.fail(FaultKind::UninitialisedShared, warp, lane as u32, pc, detail)
    }

    /// Records each word's access; false when it races with an earlier one.
    #[cold]
    #[inline(never)]
    fn touch_precisely(
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
        self.fail(FaultKind::SharedRace, touch.warp as usize, touch.lane, touch.pc, detail)
    }
}

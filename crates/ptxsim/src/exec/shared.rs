//! Loads and stores of shared memory.

use super::Runner;
use super::cost::shared_cost;
use super::lanes::{Frame, LANE};
use super::moves::{Pattern, load_words, move_elements, store_words};
use crate::code::{Access, Code, Inst};
use crate::error::FaultKind;

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
        let pattern = Pattern::of(&address, size);
        if self.setting.look_after_shared {
            if self.shared.precise.is_some() && !self.touch_precisely(warp, f, &address, size, pc, store) {
                return false;
            }
            // SAFETY: addresses were checked.
            if !unsafe { self.stamp(warp, &address, size, store, pattern) } {
                return self.unwritten_shared(warp, f, &address, size, pc);
            }
        }
        let data = self.shared.data.as_mut_ptr().cast::<u8>();
        // SAFETY: the vector was made when the kernel was lowered.
        let vector = unsafe { *self.setting.kernel.vectors.get_unchecked(usize::from(i.c)) };
        // SAFETY: addresses were checked; where the lanes lie side by side, 32 words follow the first one.
        unsafe {
            if access.bytes == 4 && !access.widen {
                match store {
                    false => load_words::<SOME>(f, data, &address, vector, access.count, pattern),
                    true => store_words::<SOME>(f, data, &address, vector, access.count, pattern),
                }
            } else {
                let places = address.map(|a| data.add(a as usize));
                move_elements(f, access, vector, store, &places);
            }
            let apart = pattern == Pattern::Unit || f.mask & (f.mask - 1) == 0;
            !store || apart || !self.setting.look_after_shared || self.lanes_agree(warp, f, &address, i, pc)
        }
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
        let pair = lanes
            .iter()
            .enumerate()
            .find_map(|(i, &a)| lanes[i + 1..].iter().find(|&&b| address[a] == address[b]).map(|&b| (a, b)));
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
}

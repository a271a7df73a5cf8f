//! Moves between registers and memory.

use super::lanes::{Frame, LANE};
use crate::code::Access;

/// Moves elements of any size between lanes' registers and memory, lane by lane.
///
/// # Safety
/// For each lane that takes part, `places` is memory that holds its elements; slots lie within the warp's registers.
#[inline(never)]
pub(super) unsafe fn move_elements(
    f: Frame,
    access: Access,
    vector: [u16; 4],
    store: bool,
    places: &[*mut u8; 32],
) {
    for (j, &slot) in vector.iter().enumerate().take(access.count as usize) {
        let wide = access.bytes == 8 || (access.widen && !store);
        for l in f.lanes() {
            // SAFETY: the caller's contract.
            unsafe {
                let at = places[l].add(j * access.bytes as usize);
                if store {
                    let low = f.slot(slot)[l];
                    match access.bytes {
                        1 => at.write(low as u8),
                        2 => at.cast::<u16>().write_unaligned(low as u16),
                        4 => at.cast::<u32>().write_unaligned(low),
                        _ => {
                            at.cast::<u32>().write_unaligned(low);
                            at.add(4).cast::<u32>().write_unaligned(f.slot(slot + 1)[l]);
                        }
                    }
                    continue;
                }
                let low = match (access.bytes, access.signed) {
                    (1, false) => u32::from(at.read()),
                    (1, true) => at.cast::<i8>().read() as u32,
                    (2, false) => u32::from(at.cast::<u16>().read_unaligned()),
                    (2, true) => at.cast::<i16>().read_unaligned() as u32,
                    _ => at.cast::<u32>().read_unaligned(),
                };
                f.slot(slot)[l] = low;
                if wide {
                    f.slot(slot + 1)[l] = match (access.bytes, access.signed) {
                        (8, _) => at.add(4).cast::<u32>().read_unaligned(),
                        (_, true) => ((low as i32) >> 31) as u32,
                        (_, false) => 0,
                    };
                }
            }
        }
    }
}

/// Words of four bytes into registers: `vector[j]` of lane l is word j behind `data + offsets[l]`.
///
/// # Safety
/// Each offset has `count` words behind it, and is aligned as a vector of them is; slots lie within the warp's registers.
#[inline(always)]
pub(super) unsafe fn load_words<const SOME: bool>(
    f: Frame,
    data: *const u8,
    offsets: &[u32; 32],
    vector: [u16; 4],
    count: u32,
    pattern: Pattern,
) {
    // SAFETY: the caller's contract; lanes side by side have their words side by side.
    unsafe {
        match pattern {
            Pattern::Broadcast => {
                for (j, &slot) in vector.iter().enumerate().take(count as usize) {
                    let word = data.add(offsets[0] as usize + 4 * j).cast::<u32>().read();
                    f.put::<SOME>(slot, &[word; 32]);
                }
                return;
            }
            Pattern::Unit if count == 1 => {
                f.put::<SOME>(vector[0], &data.add(offsets[0] as usize).cast::<[u32; 32]>().read());
                return;
            }
            Pattern::Rows if count == 1 => {
                let mut value = [0; 32];
                for row in (0..32).step_by(8) {
                    let words = data.add(offsets[row] as usize).cast::<[u32; 8]>().read();
                    value[row..row + 8].copy_from_slice(&words);
                }
                f.put::<SOME>(vector[0], &value);
                return;
            }
            _ => {}
        }
        if count == 4 {
            let mut out = [[0u32; 32]; 4];
            match pattern {
                Pattern::Steps => load_steps(data, offsets, &mut out),
                Pattern::Eights => {
                    load_quads::<8>(data, offsets, &mut out);
                    for words in &mut out {
                        words.copy_within(0..8, 8);
                        words.copy_within(0..16, 16);
                    }
                }
                Pattern::Sixteens => {
                    load_quads::<16>(data, offsets, &mut out);
                    for words in &mut out {
                        words.copy_within(0..16, 16);
                    }
                }
                _ => load_quads::<32>(data, offsets, &mut out),
            }
            for (value, slot) in out.iter().zip(vector) {
                f.put::<SOME>(slot, value);
            }
            return;
        }
        for (j, &slot) in vector.iter().enumerate().take(count as usize) {
            let value = each!(|l| data.add(offsets[l] as usize + 4 * j).cast::<u32>().read());
            f.put::<SOME>(slot, &value);
        }
    }
}

/// Words of four bytes out of registers, as [`load_words`]; of lanes that write the same place the last one wins.
///
/// # Safety
/// As [`load_words`].
#[inline(always)]
pub(super) unsafe fn store_words<const SOME: bool>(
    f: Frame,
    data: *mut u8,
    offsets: &[u32; 32],
    vector: [u16; 4],
    count: u32,
    pattern: Pattern,
) {
    // SAFETY: the caller's contract; lanes side by side have their words side by side.
    unsafe {
        if !SOME && pattern == Pattern::Unit && count == 1 {
            data.add(offsets[0] as usize).cast::<[u32; 32]>().write(f.get(vector[0]));
            return;
        }
        for (j, &slot) in vector.iter().enumerate().take(count as usize) {
            let value = f.slot(slot);
            for l in 0..32 {
                if !SOME || f.mask & LANE[l] != 0 {
                    data.add(offsets[l] as usize + 4 * j).cast::<u32>().write(value[l]);
                }
            }
        }
    }
}

/// How the offsets of lanes lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// All the same.
    Broadcast,
    /// One behind the other.
    Unit,
    /// One behind the other within each eight lanes.
    Rows,
    /// The same within each eight lanes.
    Steps,
    /// Those of the first eight lanes again and again, of the first sixteen twice.
    Eights,
    Sixteens,
    Scattered,
}

impl Pattern {
    #[inline(always)]
    pub fn of(offsets: &[u32; 32], size: u32) -> Self {
        let (mut broadcast, mut unit) = (0, 0);
        for l in 0..32 {
            broadcast |= offsets[l] ^ offsets[0];
            unit |= offsets[l] ^ offsets[0].wrapping_add(l as u32 * size);
        }
        if broadcast == 0 {
            return Pattern::Broadcast;
        }
        if unit == 0 {
            return Pattern::Unit;
        }
        let (mut rows, mut steps, mut eights, mut sixteens) = (0, 0, 0, 0);
        for row in (0..32).step_by(8) {
            for l in 0..8 {
                let offset = offsets[row + l];
                rows |= offset ^ offsets[row].wrapping_add(l as u32 * size);
                steps |= offset ^ offsets[row];
                eights |= offset ^ offsets[l];
                sixteens |= offset ^ offsets[row % 16 + l];
            }
        }
        match () {
            _ if steps == 0 => Pattern::Steps,
            _ if eights == 0 => Pattern::Eights,
            _ if sixteens == 0 => Pattern::Sixteens,
            _ if rows == 0 => Pattern::Rows,
            _ => Pattern::Scattered,
        }
    }
}

/// As [`load_quads`], where each eight lanes have one offset.
///
/// # Safety
/// As [`load_quads`].
#[inline(always)]
unsafe fn load_steps(data: *const u8, offsets: &[u32; 32], out: &mut [[u32; 32]; 4]) {
    for row in 0..4 {
        // SAFETY: the caller's contract.
        let quad = unsafe { data.add(offsets[8 * row] as usize).cast::<[u32; 4]>().read_unaligned() };
        for (words, word) in out.iter_mut().zip(quad) {
            for l in 0..8 {
                words[8 * row + l] = word;
            }
        }
    }
}

/// Sixteen bytes at each of the first `N` offsets, as four lines of lanes.
///
/// # Safety
/// Each offset has sixteen bytes behind it.
#[inline(always)]
unsafe fn load_quads<const N: usize>(data: *const u8, offsets: &[u32; 32], out: &mut [[u32; 32]; 4]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's contract; SSE2 is part of x86-64.
    unsafe {
        use std::arch::x86_64::*;
        for l in (0..N).step_by(4) {
            let a = _mm_loadu_ps(data.add(offsets[l] as usize).cast());
            let b = _mm_loadu_ps(data.add(offsets[l + 1] as usize).cast());
            let c = _mm_loadu_ps(data.add(offsets[l + 2] as usize).cast());
            let d = _mm_loadu_ps(data.add(offsets[l + 3] as usize).cast());
            let (ab_low, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
            _mm_storeu_ps(out[0].as_mut_ptr().add(l).cast(), _mm_movelh_ps(ab_low, cd_low));
            _mm_storeu_ps(out[1].as_mut_ptr().add(l).cast(), _mm_movehl_ps(cd_low, ab_low));
            _mm_storeu_ps(out[2].as_mut_ptr().add(l).cast(), _mm_movelh_ps(ab_high, cd_high));
            _mm_storeu_ps(out[3].as_mut_ptr().add(l).cast(), _mm_movehl_ps(cd_high, ab_high));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    for l in 0..N {
        // SAFETY: the caller's contract.
        let quad = unsafe { data.add(offsets[l] as usize).cast::<[u32; 4]>().read_unaligned() };
        (0..4).for_each(|j| out[j][l] = quad[j]);
    }
}

//! What an access costs in passes over shared memory and in sectors of global memory.

use super::moves::is_broadcast;
use crate::counters::Cost;

/// Wavefronts of a shared access: 32 banks of four bytes, one word of each at a time; lanes that want the same word share it.
/// Accesses of 8 and 16 bytes go in halves and quarters of a warp.
/// Source: CUDA C++ programming guide 12.9, "Shared memory" of compute capability 5.x and later.
#[inline(never)]
pub(super) fn shared_cost(address: &[u32; 32], mask: u32, size: u32) -> Cost {
    let bytes = u64::from(mask.count_ones() * size);
    if size <= 4 && is_broadcast(address) {
        return Cost { requests: 1, taken: 1, least: 1, bytes };
    }
    // An aligned access of several words occupies as many banks side by side: count by units of its size.
    let unit = size.max(4);
    let (shift, slots) = (unit.trailing_zeros(), 128 / unit);
    let (mut taken, mut least) = (0, 0);
    for first in (0..32).step_by(slots as usize) {
        let group = mask >> first & (u32::MAX >> (32 - slots));
        if group == 0 {
            continue;
        }
        let (passes, distinct) = passes(&address[first..first + slots as usize], group, shift, slots);
        taken += passes;
        least += u64::from(distinct.div_ceil(slots));
    }
    Cost { requests: 1, taken, least, bytes }
}

/// Passes for the lanes of `group`, and the distinct units that they want.
#[inline(always)]
fn passes(address: &[u32], group: u32, shift: u32, slots: u32) -> (u64, u32) {
    let (mut holder, mut used, mut conflict) = ([0u32; 32], 0u32, false);
    for (l, a) in address.iter().enumerate() {
        let unit = a >> shift;
        let slot = unit & (slots - 1);
        let wanted = group >> l & 1 != 0;
        let taken = used >> slot & 1 != 0;
        conflict |= wanted && taken && holder[slot as usize & 31] != unit;
        if wanted && !taken {
            holder[slot as usize & 31] = unit;
            used |= 1 << slot;
        }
    }
    if !conflict {
        return (1, used.count_ones());
    }
    let (mut seen, mut count, mut depth) = ([0u32; 32], 0, [0u32; 32]);
    for (l, a) in address.iter().enumerate() {
        let unit = a >> shift;
        if group >> l & 1 != 0 && !seen[..count].contains(&unit) {
            seen[count] = unit;
            count += 1;
            depth[(unit & (slots - 1)) as usize & 31] += 1;
        }
    }
    (u64::from(depth.into_iter().max().unwrap_or(0)), count as u32)
}

/// Sectors of 32 bytes that a global access touches, and how many its bytes would fill.
#[inline(never)]
pub(super) fn sectors(address: &[u64; 32], mask: u32, size: u32) -> Cost {
    let bytes = u64::from(mask.count_ones() * size);
    let (mut touched, mut sectors) = ([u64::MAX; 32], 0);
    let (mut places, mut distinct) = ([u64::MAX; 32], 0);
    let (mut highest, mut before) = (0, u64::MAX);
    for (l, &at) in address.iter().enumerate() {
        if mask >> l & 1 == 0 || at == before {
            continue;
        }
        before = at;
        // Addresses that rise from lane to lane need no search.
        let rises = at > highest;
        if rises || !places[..distinct].contains(&at) {
            places[distinct] = at;
            distinct += 1;
        }
        let sector = at / 32;
        if (rises && sector > highest / 32) || !touched[..sectors].contains(&sector) {
            touched[sectors] = sector;
            sectors += 1;
        }
        highest = highest.max(at);
    }
    Cost { requests: 1, taken: sectors as u64, least: (distinct as u64 * u64::from(size)).div_ceil(32), bytes }
}

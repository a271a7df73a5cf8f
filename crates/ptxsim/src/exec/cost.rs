//! What an access costs in passes over shared memory and in sectors of global memory.

use crate::counters::Cost;

/// Wavefronts of a shared access: 32 banks of four bytes, one word of each at a time; lanes that want the same word share it.
/// Accesses of 8 and 16 bytes go in halves and quarters of a warp.
/// Source: CUDA C++ programming guide 12.9, "Shared memory" of compute capability 5.x and later.
#[inline(always)]
pub(super) fn shared_cost(address: &[u32; 32], mask: u32, size: u32) -> Cost {
    let quick = match size {
        _ if mask != u32::MAX => None,
        16 => without_conflict::<8>(address, 4),
        8 => without_conflict::<16>(address, 3),
        _ => without_conflict::<32>(address, 2),
    };
    let (taken, least) = quick.unwrap_or_else(|| all_passes(address, mask, size));
    Cost { requests: 1, taken, least, bytes: u64::from(mask.count_ones() * size) }
}

/// Wavefronts of groups of `N` lanes that all lie within as many units side by side, which share no bank.
#[inline(always)]
fn without_conflict<const N: usize>(address: &[u32; 32], shift: u32) -> Option<(u64, u64)> {
    let groups = 32 / N as u64;
    for group in address.chunks_exact(N) {
        let (mut lowest, mut highest) = (u32::MAX, 0);
        for a in group {
            lowest = lowest.min(a >> shift);
            highest = highest.max(a >> shift);
        }
        if highest - lowest >= N as u32 {
            return None;
        }
    }
    Some((groups, groups))
}

#[inline(never)]
fn all_passes(address: &[u32; 32], mask: u32, size: u32) -> (u64, u64) {
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
    (taken, least)
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
    let apart = |l: usize| address[l].wrapping_sub(address[0]);
    if mask == u32::MAX && (0..32).all(|l| apart(l) == l as u64 * u64::from(size)) {
        let taken = (address[0] % 32 + bytes).div_ceil(32);
        return Cost { requests: 1, taken, least: u64::from(size), bytes };
    }
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
    Cost {
        requests: 1,
        taken: sectors as u64,
        least: (distinct as u64 * u64::from(size)).div_ceil(32),
        bytes,
    }
}

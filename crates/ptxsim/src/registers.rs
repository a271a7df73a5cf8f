//! Virtual registers into slots: a linear scan over live intervals. Source: Poletto and Sarkar, "Linear scan register
//! allocation", TOPLAS 21(5), 1999.
//!
//! Writes are masked lane by lane, so what holds for the path of one lane holds under divergence too.

use std::collections::BTreeSet;

use crate::code::{Code, Inst, NONE};
use crate::lower::References;

/// Where each virtual register lies.
pub(crate) struct Slots {
    pub places: Vec<u16>,
    /// Slots in all.
    pub count: usize,
}

/// Slots of all registers; `fixed` ones keep theirs for good, `widths` counts slots of each. The code's branches have their
/// targets.
pub(crate) fn allocate(code: &[Inst], references: &[References], widths: &[u8], fixed: &[u16]) -> Slots {
    let intervals = intervals(code, references, widths.len());
    let mut places = vec![0u16; widths.len()];
    let mut count = 0usize;
    let mut is_fixed = vec![false; widths.len()];
    for &r in fixed {
        is_fixed[usize::from(r)] = true;
        places[usize::from(r)] = count as u16;
        count += usize::from(widths[usize::from(r)]);
    }
    let mut order: Vec<usize> =
        (0..widths.len()).filter(|&r| !is_fixed[r] && intervals[r].is_some()).collect();
    order.sort_by_key(|&r| intervals[r].map(|(first, _)| first));
    let mut free: [Vec<u16>; 3] = Default::default();
    // Registers in use, by the end of their interval.
    let mut active: BTreeSet<(u32, usize)> = BTreeSet::new();
    for r in order {
        let Some((first, last)) = intervals[r] else { continue };
        while let Some(&(end, other)) = active.first().filter(|(end, _)| *end < first) {
            active.remove(&(end, other));
            free[usize::from(widths[other])].push(places[other]);
        }
        let width = usize::from(widths[r]);
        places[r] = free[width].pop().unwrap_or_else(|| {
            count += width;
            (count - width) as u16
        });
        active.insert((last, r));
    }
    Slots { places, count }
}

/// A set of registers.
#[derive(Clone, PartialEq)]
struct Set(Vec<u64>);

impl Set {
    fn insert(&mut self, r: u16) {
        self.0[usize::from(r) / 64] |= 1 << (r % 64);
    }

    fn contains(&self, r: u16) -> bool {
        self.0[usize::from(r) / 64] >> (r % 64) & 1 != 0
    }

    /// Adds what is in `other` but not in `but`; whether anything is new.
    fn add(&mut self, other: &Set, but: Option<&Set>) -> bool {
        let mut new = 0;
        for (i, word) in self.0.iter_mut().enumerate() {
            let more = other.0[i] & !but.map_or(0, |but| but.0[i]) & !*word;
            new |= more;
            *word |= more;
        }
        new != 0
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        let bits = |(i, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| i * 64 + bit)
        };
        self.0.iter().enumerate().flat_map(bits)
    }
}

/// First and last instruction at which each register's value counts: where it is live, by the usual equations over basic
/// blocks, and where it is mentioned.
fn intervals(code: &[Inst], references: &[References], registers: usize) -> Vec<Option<(u32, u32)>> {
    let starts: Vec<usize> = (0..code.len()).filter(|&at| code[at].code == Code::Block).collect();
    let end_of = |block: usize| starts.get(block + 1).map_or(code.len(), |next| *next);
    let empty = Set(vec![0; registers.div_ceil(64)]);
    // Registers that a block reads before it writes them, and that it writes for certain.
    let (mut live_in, mut written) = (vec![empty.clone(); starts.len()], vec![empty.clone(); starts.len()]);
    for (block, &start) in starts.iter().enumerate() {
        for at in start..end_of(block) {
            for &r in references[at].reads.iter().filter(|&&r| r != NONE) {
                if !written[block].contains(r) {
                    live_in[block].insert(r);
                }
            }
            if code[at].guard == NONE {
                references[at].writes.iter().for_each(|&r| written[block].insert(r));
            }
        }
    }
    let mut live_out = vec![empty; starts.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for block in (0..starts.len()).rev() {
            for next in successors(code, end_of(block) - 1) {
                changed |= live_out[block].add(&live_in[code[next].imm as usize], None);
            }
            changed |= live_in[block].add(&live_out[block], Some(&written[block]));
        }
    }
    let mut intervals: Vec<Option<(u32, u32)>> = vec![None; registers];
    let mut touch = |r: usize, at: usize| {
        let (first, last) = intervals[r].get_or_insert((at as u32, at as u32));
        (*first, *last) = ((*first).min(at as u32), (*last).max(at as u32));
    };
    for (block, &start) in starts.iter().enumerate() {
        live_in[block].iter().for_each(|r| touch(r, start));
        live_out[block].iter().for_each(|r| touch(r, end_of(block) - 1));
    }
    for (at, references) in references.iter().enumerate() {
        references.reads.iter().chain(&references.writes).for_each(|&r| touch(usize::from(r), at));
    }
    intervals
}

/// The blocks that may follow the one whose last instruction is `last`, by their first instructions.
fn successors(code: &[Inst], last: usize) -> impl Iterator<Item = usize> {
    let inst = code[last];
    let goes = (inst.code == Code::Bra).then_some(inst.imm as usize);
    let stays = inst.guard != NONE || !matches!(inst.code, Code::Bra | Code::Ret);
    goes.into_iter().chain((stays && last + 1 < code.len()).then_some(last + 1))
}

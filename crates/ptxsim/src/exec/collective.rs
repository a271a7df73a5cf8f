//! Shuffles and votes: what the lanes of a warp tell each other.

use super::Runner;
use super::lanes::Frame;
use crate::code::{Inst, NONE};
use crate::error::FaultKind;

impl Runner<'_> {
    /// `d|p = a of lane b, within segments and limits c`. Source: the ISA's pseudocode of `shfl.sync`.
    ///
    /// # Safety
    /// Slots and predicates of `i` lie within the warp's.
    pub(super) unsafe fn shuffle(&mut self, warp: usize, f: Frame, i: &Inst, pc: u32) -> bool {
        // SAFETY: the caller's contract.
        let [a, b, c, members] =
            self.setting.kernel.vectors[usize::from(i.c)].map(|slot| unsafe { f.get(slot) });
        if !self.members_are_here(warp, f, &members, pc) {
            return false;
        }
        let (mut out, mut found) = ([0u32; 32], 0u32);
        for l in f.lanes() {
            let (by, limit, segment) = (b[l] & 31, c[l] & 31, c[l] >> 8 & 31);
            let lane = l as u32;
            let (least, last) = (lane & segment, (lane & segment) | (limit & !segment));
            let (from, inside) = match i.imm & 3 {
                0 => (least | (by & !segment), (least | (by & !segment)) <= last),
                1 => (lane.wrapping_sub(by), lane.wrapping_sub(by) as i32 >= last as i32),
                2 => (lane + by, lane + by <= last),
                _ => (lane ^ by, lane ^ by <= last),
            };
            let from = if inside { from } else { lane };
            if f.mask >> from & 1 == 0 {
                let detail = format!("lane {l} reads lane {from}");
                return self.fail(FaultKind::Shuffle, warp, lane, pc, detail);
            }
            out[l] = a[from as usize];
            found |= u32::from(inside) << l;
        }
        let predicate = (i.imm >> 16) as u16;
        // SAFETY: the caller's contract.
        unsafe {
            f.put::<true>(i.d, &out);
            if predicate != NONE {
                f.set_predicate(predicate, found);
            }
        }
        true
    }

    /// `d = all, any, uni or ballot of predicate a`.
    ///
    /// # Safety
    /// As [`Runner::shuffle`].
    pub(super) unsafe fn vote(&mut self, warp: usize, f: Frame, i: &Inst, pc: u32) -> bool {
        // SAFETY: the caller's contract.
        let (ballot, members) = unsafe { (f.predicate(i.a) & f.mask, f.get(i.b)) };
        if !self.members_are_here(warp, f, &members, pc) {
            return false;
        }
        let holds = match i.imm {
            0 => ballot == f.mask,
            1 => ballot != 0,
            _ => ballot == f.mask || ballot == 0,
        };
        // SAFETY: the caller's contract.
        unsafe {
            match i.imm {
                3 => f.put::<true>(i.d, &[ballot; 32]),
                _ => f.set_predicate(i.d, if holds { u32::MAX } else { 0 }),
            }
        }
        true
    }

    /// Whether the lanes that execute are those that the member mask names, ended ones apart.
    fn members_are_here(&mut self, warp: usize, f: Frame, members: &[u32; 32], pc: u32) -> bool {
        let live = self.warps[warp].live;
        for l in f.lanes() {
            if members[l] & live != f.mask {
                let (named, here) = (members[l], f.mask);
                let detail = format!("lane {l} names lanes {named:#010x}, lanes {here:#010x} are here");
                return self.fail(FaultKind::Shuffle, warp, l as u32, pc, detail);
            }
        }
        true
    }
}

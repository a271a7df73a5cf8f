//! Parameters and local memory.

use super::Runner;
use super::lanes::Frame;
use super::moves::move_elements;
use crate::code::{Access, Code, Inst};
use crate::error::FaultKind;

impl Runner<'_> {
    /// # Safety
    /// Slots of `i` lie within the warp's.
    pub(super) unsafe fn load_parameter(&mut self, warp: usize, f: Frame, i: &Inst, pc: u32) -> bool {
        let access = Access::unpack(i.b);
        // SAFETY: the caller's contract.
        let base = unsafe { f.get(i.a) };
        let data = self.setting.parameters;
        let mut places = [std::ptr::null_mut(); 32];
        for l in f.lanes() {
            let at = base[l].wrapping_add(i.imm) as usize;
            if at + access.size() as usize > data.len() {
                let detail = format!("{} bytes at byte {at} of the parameters", access.size());
                return self.fail(FaultKind::OutOfBounds, warp, l as u32, pc, detail);
            }
            // SAFETY: the place was checked; parameters are only read.
            places[l] = unsafe { data.as_ptr().add(at).cast_mut() };
        }
        // SAFETY: places were checked.
        unsafe { move_elements(f, access, self.setting.kernel.vectors[usize::from(i.c)], false, &places) };
        true
    }

    /// Each lane has local memory of its own.
    ///
    /// # Safety
    /// Slots of `i` lie within the warp's.
    pub(super) unsafe fn local_access(&mut self, warp: usize, f: Frame, i: &Inst, pc: u32) -> bool {
        let access = Access::unpack(i.b);
        let (size, own) = (access.size() as usize, self.setting.kernel.local_bytes as usize);
        // SAFETY: the caller's contract.
        let base = unsafe { f.get(i.a) };
        let mut places = [std::ptr::null_mut(); 32];
        for l in f.lanes() {
            let at = base[l].wrapping_add(i.imm) as usize;
            let outside = at + size > own;
            if outside || !at.is_multiple_of(size) {
                let kind = if outside { FaultKind::OutOfBounds } else { FaultKind::Misaligned };
                let detail = format!("{size} bytes at byte {at} of local memory, which has {own}");
                return self.fail(kind, warp, l as u32, pc, detail);
            }
            // SAFETY: the place was checked.
            places[l] = unsafe { self.local.as_mut_ptr().add((warp * 32 + l) * own + at) };
        }
        let (vector, store) = (self.setting.kernel.vectors[usize::from(i.c)], i.code == Code::StLocal);
        // SAFETY: places were checked.
        unsafe { move_elements(f, access, vector, store, &places) };
        true
    }
}

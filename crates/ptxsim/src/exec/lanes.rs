//! Registers of a warp.

use crate::code::NEGATED;

/// One register of a warp.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub [u32; 32]);

/// The bit of each lane in a mask.
pub(super) const LANE: [u32; 32] = {
    let mut bits = [0; 32];
    let mut l = 0;
    while l < 32 {
        bits[l] = 1 << l;
        l += 1;
    }
    bits
};

/// What one instruction works on.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// The warp's first register.
    pub registers: *mut Lanes,
    /// The warp's first predicate.
    pub predicates: *mut u32,
    /// Lanes that take part.
    pub mask: u32,
}

impl Frame {
    /// Lanes that take part, as numbers.
    pub fn lanes(self) -> impl Iterator<Item = usize> {
        (0..32).filter(move |l| self.mask >> l & 1 != 0)
    }

    /// The register itself.
    ///
    /// # Safety
    /// `slot` is one of the warp's, and no other reference to it lives.
    #[inline(always)]
    pub unsafe fn slot<'a>(self, slot: u16) -> &'a mut [u32; 32] {
        // SAFETY: the caller's contract.
        unsafe { &mut (*self.registers.add(usize::from(slot))).0 }
    }

    /// A copy of 32 bits of all lanes.
    ///
    /// # Safety
    /// `slot` is one of the warp's.
    #[inline(always)]
    pub unsafe fn get(self, slot: u16) -> [u32; 32] {
        // SAFETY: the caller's contract.
        unsafe { (*self.registers.add(usize::from(slot))).0 }
    }

    /// A copy of 64 bits of all lanes.
    ///
    /// # Safety
    /// `slot` and the one behind it are the warp's.
    #[inline(always)]
    pub unsafe fn get64(self, slot: u16) -> [u64; 32] {
        // SAFETY: the caller's contract.
        let (low, high) = unsafe { (self.get(slot), self.get(slot + 1)) };
        let mut out = [0; 32];
        for l in 0..32 {
            out[l] = u64::from(low[l]) | u64::from(high[l]) << 32;
        }
        out
    }

    /// Overwrites the lanes that take part; `SOME`: these may not be all.
    ///
    /// # Safety
    /// `slot` is one of the warp's.
    #[inline(always)]
    pub unsafe fn put<const SOME: bool>(self, slot: u16, value: &[u32; 32]) {
        // SAFETY: the caller's contract.
        let to = unsafe { self.slot(slot) };
        if SOME {
            for l in 0..32 {
                to[l] = if self.mask & LANE[l] != 0 { value[l] } else { to[l] };
            }
        } else {
            *to = *value;
        }
    }

    /// As [`Frame::put`], for 64 bits.
    ///
    /// # Safety
    /// `slot` and the one behind it are the warp's.
    #[inline(always)]
    pub unsafe fn put64<const SOME: bool>(self, slot: u16, value: &[u64; 32]) {
        let (mut low, mut high) = ([0; 32], [0; 32]);
        for l in 0..32 {
            low[l] = value[l] as u32;
            high[l] = (value[l] >> 32) as u32;
        }
        // SAFETY: the caller's contract.
        unsafe {
            self.put::<SOME>(slot, &low);
            self.put::<SOME>(slot + 1, &high);
        }
    }

    /// A predicate's lanes, those of its opposite where the number says so.
    ///
    /// # Safety
    /// `which` is a predicate of the warp.
    #[inline(always)]
    pub unsafe fn predicate(self, which: u16) -> u32 {
        // SAFETY: the caller's contract.
        let value = unsafe { *self.predicates.add(usize::from(which & !NEGATED)) };
        if which & NEGATED != 0 { !value } else { value }
    }

    /// Overwrites a predicate's lanes that take part.
    ///
    /// # Safety
    /// `which` is a predicate of the warp.
    #[inline(always)]
    pub unsafe fn set_predicate(self, which: u16, value: u32) {
        // SAFETY: the caller's contract.
        let to = unsafe { &mut *self.predicates.add(usize::from(which)) };
        *to = (*to & !self.mask) | (value & self.mask);
    }
}

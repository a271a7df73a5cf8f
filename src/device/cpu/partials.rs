//! Sums whose terms several units share: each unit leaves its part, and the one that is last adds all parts in order, so that the
//! bits depend neither on the number of threads nor on who was last.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for the parts of several sums, and how many are there.
pub(super) struct Partials {
    /// `[sums][parts][values]`.
    values: Box<[UnsafeCell<f64>]>,
    /// Parts that are there, of each sum; 0 before and after a run.
    there: Box<[AtomicUsize]>,
    parts: usize,
    each: usize,
}

// SAFETY: a part is written by one unit, and read only by the one that saw all parts counted.
unsafe impl Sync for Partials {}

impl Partials {
    /// Room for `sums` of at most `parts` parts, `each` values a part.
    pub fn new(sums: usize, parts: usize, each: usize) -> Self {
        Partials {
            values: (0..sums * parts * each).map(|_| UnsafeCell::new(0.0)).collect(),
            there: (0..sums).map(|_| AtomicUsize::new(0)).collect(),
            parts,
            each,
        }
    }

    /// Leaves part number `part` of `parts` of sum number `sum`; the last one gets the sum of all, added in order of their numbers
    /// into `values`.
    ///
    /// # Safety
    /// In a run each part is left once, and `parts` is the same for all of a sum.
    pub unsafe fn add(&self, sum: usize, part: usize, parts: usize, values: &mut [f64]) -> bool {
        let own = |part: usize| {
            let first = (sum * self.parts + part) * self.each;
            &self.values[first..first + self.each]
        };
        for (to, value) in own(part).iter().zip(&*values) {
            // SAFETY: nobody else writes this part, and it is read only when it is counted.
            unsafe { *to.get() = *value };
        }
        if self.there[sum].fetch_add(1, Ordering::AcqRel) + 1 < parts {
            return false;
        }
        self.there[sum].store(0, Ordering::Relaxed);
        values.fill(0.0);
        for part in 0..parts {
            for (value, from) in values.iter_mut().zip(own(part)) {
                // SAFETY: all parts are counted, and so written.
                *value += unsafe { *from.get() };
            }
        }
        true
    }
}

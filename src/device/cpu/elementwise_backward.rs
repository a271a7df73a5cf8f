//! Gradients of what touches each value by itself: relu_backward, dx = dy where y > 0 or is no number, else 0; concat_backward,
//! dx = an input's channels of dy. Source: torch.nn.ReLU, torch.cat. One unit is one 16-channel block of one image.

use super::elementwise::MapView;
use super::simd::{Isa, Simd, dispatch};

/// A gradient that goes on value by value.
pub(super) struct ElementwiseBackward {
    pub isa: Isa,
    /// What ReLU gave; without, all of dy goes on.
    pub relu: Option<MapView>,
    pub dy: MapView,
    pub dx: MapView,
    /// Whether dx is added to.
    pub accumulate: bool,
}

impl ElementwiseBackward {
    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        images * self.dx.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds all views; dx overlaps none of the others; nobody else touches this unit's dx.
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe { unit_of(self.isa, self, unit, arena) }
    }
}

dispatch!(fn unit_of = unit_body(op: &ElementwiseBackward, unit: usize, arena: *mut f32));

#[inline(always)]
unsafe fn unit_body<S: Simd>(op: &ElementwiseBackward, unit: usize, arena: *mut f32) {
    let (image, block) = (unit / op.dx.blocks(), unit % op.dx.blocks());
    // SAFETY: the caller's contract: every view has this block of this image.
    unsafe {
        let at = |map: &MapView| arena.add(map.block(image, block));
        let (y, dy, dx) = (op.relu.as_ref().map(at), at(&op.dy), at(&op.dx));
        for i in (0..op.dx.h * op.dx.w * 16).step_by(16) {
            let mut g = S::load(dy.add(i));
            if let Some(y) = y {
                g = S::where_positive(S::load(y.add(i)), g);
            }
            if op.accumulate {
                g = S::add(S::load(dx.add(i)), g);
            }
            S::store(dx.add(i), g);
        }
    }
}

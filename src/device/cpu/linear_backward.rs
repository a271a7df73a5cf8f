//! linear_backward: dW[k,c] = Σ_n dy[n,k]·x[n,c], db[k] = Σ_n dy[n,k], dx[n,c] = Σ_k dy[n,k]·W[k,c]. Source: torch.nn.Linear. Sums are
//! taken in float64, in order of n and of k. One unit is [`CHANNELS`] input channels of a row of dW, with the first of them db, or of an
//! image of dx.

use super::elementwise::MapView;
use super::simd::{Isa, Simd, dispatch};

/// Input channels of a unit.
const CHANNELS: usize = 512;

/// The gradients of a fully connected layer.
pub(super) struct LinearBackward {
    pub isa: Isa,
    /// x, one value a channel.
    pub input: MapView,
    /// One value an output.
    pub dy: MapView,
    pub dx: Option<MapView>,
    /// Where W begins.
    pub weight: usize,
    /// Where dW and db begin.
    pub gradients: [usize; 2],
}

impl LinearBackward {
    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        let rows = self.dy.c + self.dx.map_or(0, |_| images);
        rows * self.input.c.div_ceil(CHANNELS)
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds all places; nobody else touches what this unit writes.
    pub unsafe fn run(&self, unit: usize, images: usize, arena: *mut f32) {
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe { row(self.isa, self, unit, images, arena) }
    }
}

dispatch!(fn row = row_body(op: &LinearBackward, unit: usize, images: usize, arena: *mut f32));

#[inline(always)]
unsafe fn row_body<S: Simd>(op: &LinearBackward, unit: usize, images: usize, arena: *mut f32) {
    let (c, k, [dw, db]) = (op.input.c, op.dy.c, op.gradients);
    let pieces = c.div_ceil(CHANNELS);
    let (row, first) = (unit / pieces, unit % pieces * CHANNELS);
    let width = CHANNELS.min(c - first);
    let mut sums = [0.0f64; CHANNELS];
    let sums = &mut sums[..width];
    // SAFETY: a map of one pixel is its channels in a row in every layout; the caller's contract covers the rest.
    unsafe {
        let dy = |image: usize, k: usize| f64::from(*arena.add(op.dy.block(image, 0) + k));
        let to = match op.dx {
            _ if row < k => {
                for image in 0..images {
                    add_scaled(sums, dy(image, row), arena.add(op.input.block(image, 0) + first));
                }
                if first == 0 {
                    let bias: f64 = (0..images).map(|image| dy(image, row)).sum();
                    *arena.add(db + row) = bias as f32;
                }
                dw + row * c + first
            }
            Some(dx) => {
                for k in 0..k {
                    add_scaled(sums, dy(row - op.dy.c, k), arena.add(op.weight + k * c + first));
                }
                dx.block(row - k, 0) + first
            }
            None => return,
        };
        let to = std::slice::from_raw_parts_mut(arena.add(to), width);
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = *sum as f32);
    }
}

/// sums += a·x.
///
/// # Safety
/// As many values lie at `x` as there are sums.
#[inline(always)]
unsafe fn add_scaled(sums: &mut [f64], a: f64, x: *const f32) {
    // SAFETY: the caller's contract.
    let x = unsafe { std::slice::from_raw_parts(x, sums.len()) };
    sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += a * f64::from(*x));
}

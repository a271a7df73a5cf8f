//! max_pool2d: y[n,c,p,q] = max_{r,s} x[n, c, p·stride_h − pad_h + r, q·stride_w − pad_w + s]; padding never wins.
//! avg_pool2d: the sum of the same values over R·S (padding included) or over the number of them inside the map
//! (excluded), then bias and ReLU where the pool was moved behind its 1×1 convolution.
//! global_avg_pool: the mean of a channel's map.
//!
//! Source: torch.nn.MaxPool2d and AvgPool2d, floor mode. One unit is one output row of one 16-channel block.

use super::elementwise::MapView;
use super::simd::{Isa, Simd, dispatch};
use crate::network::Window;

/// What a pool takes of its window.
#[derive(Clone)]
pub(super) enum Kind {
    Max,
    /// The mean; whether it is over the whole window, and bias for ReLU, one value a channel.
    Average {
        whole: bool,
        bias: Option<Vec<f32>>,
    },
}

/// A pool over blocked maps.
pub(super) struct Pool2d {
    pub isa: Isa,
    pub kind: Kind,
    pub window: Window,
    pub input: MapView,
    pub output: MapView,
}

impl Pool2d {
    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        images * self.output.blocks() * self.output.h
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds both views; nobody else touches this unit's output.
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe { row(self.isa, self, unit, arena) }
    }
}

dispatch!(fn row = row_body(pool: &Pool2d, unit: usize, arena: *mut f32));

#[inline(always)]
unsafe fn row_body<S: Simd>(pool: &Pool2d, unit: usize, arena: *mut f32) {
    let (p, image_block) = (unit % pool.output.h, unit / pool.output.h);
    let (block, image) = (image_block % pool.output.blocks(), image_block / pool.output.blocks());
    let Window { kernel: (r, s), stride, padding } = pool.window;
    let inside = |first: isize, size: usize, limit: usize| {
        (first.max(0) as usize, (first + size as isize).clamp(0, limit as isize) as usize)
    };
    let (h0, h1) = inside((p * stride.0) as isize - padding.0 as isize, r, pool.input.h);
    // SAFETY: rows and columns are clamped to the map; the caller's contract covers the rest.
    unsafe {
        let x = arena.add(pool.input.block(image, block)).cast_const();
        let y = arena.add(pool.output.block(image, block) + p * pool.output.w * 16);
        for q in 0..pool.output.w {
            let (w0, w1) = inside((q * stride.1) as isize - padding.1 as isize, s, pool.input.w);
            let mut value = S::load(x.add((h0 * pool.input.w + w0) * 16));
            for h in h0..h1 {
                for w in w0..w1 {
                    let next = S::load(x.add((h * pool.input.w + w) * 16));
                    value = match pool.kind {
                        Kind::Max => S::max(value, next),
                        Kind::Average { .. } if h == h0 && w == w0 => value,
                        Kind::Average { .. } => S::add(value, next),
                    };
                }
            }
            if let Kind::Average { whole, bias } = &pool.kind {
                let count = if *whole { r * s } else { (h1 - h0) * (w1 - w0) };
                value = S::mul(value, S::splat(&(1.0 / count as f32)));
                if let Some(bias) = bias {
                    value = S::max(S::zero(), S::add(value, S::load(bias.as_ptr().add(block * 16))));
                }
            }
            S::store(y.add(q * 16), value);
        }
    }
}

/// The mean of each channel's map; one unit an image.
pub(super) struct GlobalAvgPool {
    pub input: MapView,
    pub output: MapView,
}

impl GlobalAvgPool {
    /// Computes one image.
    ///
    /// # Safety
    /// As [`Pool2d::run`].
    pub unsafe fn run(&self, image: usize, arena: *mut f32) {
        let pixels = self.input.h * self.input.w;
        for block in 0..self.input.blocks() {
            let mut sum = [0.0f64; 16];
            // SAFETY: the caller's contract.
            unsafe {
                let x = arena.add(self.input.block(image, block));
                for i in 0..pixels * 16 {
                    sum[i % 16] += f64::from(*x.add(i));
                }
                let y = arena.add(self.output.block(image, block));
                for (lane, sum) in sum.iter().enumerate() {
                    *y.add(lane) = (sum / pixels as f64) as f32;
                }
            }
        }
    }
}

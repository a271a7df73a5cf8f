//! max_pool2d_backward: dx[n,c,h,w] = Σ dy[n,c,p,q] over the windows in which (h, w) holds the first largest value in reading order,
//! or the last NaN.
//! avg_pool2d_backward: dx[n,c,h,w] = Σ dy[n,c,p,q] / d[p,q] over the windows that cover (h, w), d = R·S (padding included) or the
//! number of values inside the map (excluded).
//! global_avg_pool_backward: dx[n,c,h,w] = dy[n,c] / (H·W).
//!
//! Source: torch.nn.MaxPool2d, AvgPool2d, AdaptiveAvgPool2d((1, 1)). One unit is one 16-channel block of one image, whose windows
//! give in reading order.

use super::elementwise::MapView;
use super::simd::{Isa, Simd, dispatch};
use crate::network::Window;

/// What the pool took of its window.
pub(super) enum Taken {
    /// The largest value of x.
    Max(MapView),
    /// The mean; whether it is over the whole window.
    Average { whole: bool },
}

/// The gradient of a pool over blocked maps.
pub(super) struct Pool2dBackward {
    pub isa: Isa,
    pub taken: Taken,
    pub window: Window,
    pub dy: MapView,
    pub dx: MapView,
    /// Whether dx is added to.
    pub accumulate: bool,
}

impl Pool2dBackward {
    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        images * self.dx.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds all views; nobody else touches this unit's dx.
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe { block(self.isa, self, unit, arena) }
    }
}

/// A window's rows and columns inside the map.
#[derive(Clone, Copy)]
struct Inside {
    rows: (usize, usize),
    columns: (usize, usize),
}

dispatch!(fn block = block_body(pool: &Pool2dBackward, unit: usize, arena: *mut f32));

#[inline(always)]
unsafe fn block_body<S: Simd>(pool: &Pool2dBackward, unit: usize, arena: *mut f32) {
    let (block, image) = (unit % pool.dx.blocks(), unit / pool.dx.blocks());
    let Window { kernel, stride, padding } = pool.window;
    let inside = |i: usize, stride: usize, padding: usize, size: usize, limit: usize| {
        let first = (i * stride) as isize - padding as isize;
        (first.max(0) as usize, (first + size as isize).clamp(0, limit as isize) as usize)
    };
    let (h, w) = (pool.dx.h, pool.dx.w);
    // SAFETY: rows and columns are clamped to the map; the caller's contract covers the rest.
    unsafe {
        let dy = arena.add(pool.dy.block(image, block)).cast_const();
        let dx = arena.add(pool.dx.block(image, block));
        // Rows of dx that hold a sum.
        let mut begun = if pool.accumulate { h } else { 0 };
        let mut begin = |end: usize| {
            if end > begun {
                std::slice::from_raw_parts_mut(dx.add(begun * w * 16), (end - begun) * w * 16).fill(0.0);
                begun = end;
            }
        };
        for p in 0..pool.dy.h {
            let rows = inside(p, stride.0, padding.0, kernel.0, h);
            begin(rows.1);
            for q in 0..pool.dy.w {
                let window = Inside { rows, columns: inside(q, stride.1, padding.1, kernel.1, w) };
                let dy = S::load(dy.add((p * pool.dy.w + q) * 16));
                match &pool.taken {
                    Taken::Max(x) => {
                        let x = arena.add(x.block(image, block)).cast_const();
                        give_to_largest::<S>(x, dx, dy, window, w);
                    }
                    Taken::Average { whole } => {
                        let count = match whole {
                            true => kernel.0 * kernel.1,
                            false => (rows.1 - rows.0) * (window.columns.1 - window.columns.0),
                        };
                        give_to_all::<S>(dx, S::mul(dy, S::splat(&(1.0 / count as f32))), window, w);
                    }
                }
            }
        }
        begin(h);
    }
}

/// Adds `dy` to dx where each channel has its largest x. Pixels of a window are numbered in reading order.
#[inline(always)]
unsafe fn give_to_largest<S: Simd>(x: *const f32, dx: *mut f32, dy: S::V, window: Inside, width: usize) {
    let Inside { rows, columns } = window;
    // SAFETY: the caller's contract.
    unsafe {
        let mut largest = S::load(x.add((rows.0 * width + columns.0) * 16));
        let one = S::splat(&1.0);
        // Far below 2²⁴, so that float32 counts them. A first NaN is larger than itself.
        let (mut which, mut number) = (S::zero(), S::zero());
        for row in rows.0..rows.1 {
            for column in columns.0..columns.1 {
                let next = S::load(x.add((row * width + column) * 16));
                which = S::where_larger(next, largest, number, which);
                largest = S::where_larger(next, largest, next, largest);
                number = S::add(number, one);
            }
        }
        number = S::zero();
        for row in rows.0..rows.1 {
            for column in columns.0..columns.1 {
                let to = dx.add((row * width + column) * 16);
                S::store(to, S::add(S::load(to), S::where_equal(which, number, dy)));
                number = S::add(number, one);
            }
        }
    }
}

/// Adds `share` to dx in the whole window.
#[inline(always)]
unsafe fn give_to_all<S: Simd>(dx: *mut f32, share: S::V, window: Inside, width: usize) {
    for row in window.rows.0..window.rows.1 {
        for column in window.columns.0..window.columns.1 {
            // SAFETY: the caller's contract.
            unsafe {
                let to = dx.add((row * width + column) * 16);
                S::store(to, S::add(S::load(to), share));
            }
        }
    }
}

/// The gradient of the global mean; one unit a 16-channel block of an image.
pub(super) struct GlobalAvgPoolBackward {
    pub dy: MapView,
    pub dx: MapView,
}

impl GlobalAvgPoolBackward {
    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        images * self.dx.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// As [`Pool2dBackward::run`].
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        let (block, image) = (unit % self.dx.blocks(), unit / self.dx.blocks());
        let pixels = self.dx.h * self.dx.w;
        let share = 1.0 / pixels as f32;
        // SAFETY: the caller's contract.
        unsafe {
            let dy = arena.add(self.dy.block(image, block)).cast::<[f32; 16]>().read();
            let dx = std::slice::from_raw_parts_mut(
                arena.add(self.dx.block(image, block)).cast::<[f32; 16]>(),
                pixels,
            );
            dx.fill(dy.map(|dy| dy * share));
        }
    }
}

//! Batch norm by the batch's own statistics, with ReLU or without, forward and backward. With M = N·H·W values a channel,
//!
//! mean = Σ z/M, s = 1/√(Σ (z − mean)²/M + ε), ẑ = (z − mean)·s, v = γ·ẑ + β;
//! with ReLU y = max(v, 0), g = dy where v > 0, else 0; without y = v, g = dy;
//! dβ = Σ g, dγ = Σ g·ẑ, dz = γ·s·(g − dβ/M − ẑ·dγ/M).
//!
//! Source: Ioffe and Szegedy, arXiv 1502.03167; torch.nn.BatchNorm2d in training mode, whose running variance is the unbiased one.
//!
//! Sums are taken in float32 over runs of [`RUN`] pixels, the squares about the run's own mean, and float64 beyond (the pairwise
//! scheme of Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983, of which float64 needs no more than the
//! sums themselves). One unit is one 16-channel block of a few images.

use super::elementwise::MapView;
use super::partials::Partials;
use super::simd::{Isa, Simd, dispatch};
use crate::network::BATCH_NORM_EPS;

/// Pixels whose sums are taken in float32.
const RUN: usize = 64;

/// Pixels of a unit at least, where there are as many.
const UNIT_PIXELS: usize = 4096;

/// A batch norm and its places in the arena; offsets in values.
pub(super) struct BatchNorm {
    pub isa: Isa,
    /// z.
    pub input: MapView,
    /// Mean, then 1/√(variance + ε), C values each.
    pub stats: usize,
    /// γ, then β.
    pub parameters: usize,
    /// dγ, then dβ.
    pub gradients: usize,
    /// Whether ReLU follows in the same step.
    pub relu: bool,
    pub pass: Pass,
}

/// What is computed.
pub(super) enum Pass {
    /// Statistics; running mean, then running variance, and the share m of the new ones.
    Stats { running: usize, momentum: f32, partials: Partials },
    /// y.
    Normalize { y: MapView },
    /// dγ and dβ.
    Sums { dy: MapView, partials: Partials },
    /// dz.
    Backward { dy: MapView, dz: MapView },
}

impl BatchNorm {
    /// Room for the sums over `batch` images of a map like `input`.
    pub fn partials(input: &MapView, batch: usize) -> Partials {
        Partials::new(input.blocks(), batch.div_ceil(images_each(input)), 32)
    }

    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        self.input.blocks() * images.div_ceil(images_each(&self.input))
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds all places; nobody else touches what this unit writes; each unit runs once.
    pub unsafe fn run(&self, unit: usize, images: usize, arena: *mut f32) {
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe { unit_of(self.isa, self, unit, images, arena) }
    }
}

/// Images of a unit.
fn images_each(map: &MapView) -> usize {
    UNIT_PIXELS.div_ceil(map.h * map.w)
}

dispatch!(fn unit_of = unit_body(op: &BatchNorm, unit: usize, images: usize, arena: *mut f32));

#[inline(always)]
unsafe fn unit_body<S: Simd>(op: &BatchNorm, unit: usize, images: usize, arena: *mut f32) {
    let (block, part) = (unit % op.input.blocks(), unit / op.input.blocks());
    let (each, pixels) = (images_each(&op.input), op.input.h * op.input.w);
    let own = part * each..((part + 1) * each).min(images);
    let parts = images.div_ceil(each);
    let at = |map: &MapView, image: usize| map.block(image, block);
    // SAFETY: views lie in the arena; the caller's contract covers the rest.
    unsafe {
        match &op.pass {
            Pass::Stats { running, momentum, partials } => {
                let mut sums = [0.0; 32];
                for image in own {
                    add_squares::<S>(arena.add(at(&op.input, image)), pixels, &mut sums);
                }
                if partials.add(block, part, parts, &mut sums) {
                    let count = (images * pixels) as f64;
                    op.finish(block, count, &sums, (*running, f64::from(*momentum)), arena);
                }
            }
            Pass::Normalize { y } => {
                let norm = Norm::<S>::of(op, block, arena);
                for image in own {
                    let (z, y) = (arena.add(at(&op.input, image)), arena.add(at(y, image)));
                    for i in (0..pixels * 16).step_by(16) {
                        S::store(y.add(i), norm.forward(z.add(i)));
                    }
                }
            }
            Pass::Sums { dy, partials } => {
                let (norm, mut sums) = (Norm::<S>::of(op, block, arena), [0.0; 32]);
                for image in own {
                    let (z, dy) = (arena.add(at(&op.input, image)), arena.add(at(dy, image)));
                    add_products::<S>(&norm, z, dy, pixels, &mut sums);
                }
                if partials.add(block, part, parts, &mut sums) {
                    let to = arena.add(op.gradients + block * 16);
                    for lane in 0..16 {
                        *to.add(op.input.c + lane) = sums[lane] as f32;
                        *to.add(lane) = (sums[16 + lane] * f64::from(norm.inv_std[lane])) as f32;
                    }
                }
            }
            Pass::Backward { dy, dz } => {
                let norm = Norm::<S>::of(op, block, arena);
                let [minus_mean_g, minus_slope] =
                    op.backward_terms(block, images * pixels, &norm.inv_std, arena);
                let minus_mean_g = S::load(minus_mean_g.as_ptr());
                let minus_slope = S::load(minus_slope.as_ptr());
                for image in own {
                    let [z, dy, dz] = [&op.input, dy, dz].map(|map| arena.add(at(map, image)));
                    for i in (0..pixels * 16).step_by(16) {
                        let (g, d) = norm.back(z.add(i), dy.add(i));
                        let rest = S::mul_add(d, minus_slope, S::add(g, minus_mean_g));
                        S::store(dz.add(i), S::mul(norm.scale, rest));
                    }
                }
            }
        }
    }
}

impl BatchNorm {
    /// Statistics of a block from Σ z and Σ z² over `count` values, and the running ones.
    ///
    /// # Safety
    /// As [`BatchNorm::run`].
    unsafe fn finish(
        &self,
        block: usize,
        count: f64,
        sums: &[f64; 32],
        (running, m): (usize, f64),
        arena: *mut f32,
    ) {
        for lane in 0..16 {
            let mean = sums[lane] / count;
            let variance = sums[16 + lane] / count - mean * mean;
            // Not `max`, which would hide a NaN.
            let variance = if variance < 0.0 { 0.0 } else { variance };
            let unbiased = variance * count / (count - 1.0).max(1.0);
            let channel = block * 16 + lane;
            // SAFETY: the caller's contract.
            unsafe {
                let stats = arena.add(self.stats + channel);
                *stats = mean as f32;
                *stats.add(self.input.c) = (1.0 / (variance + BATCH_NORM_EPS).sqrt()) as f32;
                for (kept, new) in [(running, mean), (running + self.input.c, unbiased)] {
                    let kept = arena.add(kept + channel);
                    *kept = ((1.0 - m) * f64::from(*kept) + m * new) as f32;
                }
            }
        }
    }

    /// −dβ/M and −s·dγ/M of a block's channels.
    ///
    /// # Safety
    /// As [`BatchNorm::run`].
    unsafe fn backward_terms(
        &self,
        block: usize,
        count: usize,
        inv_std: &[f32; 16],
        arena: *mut f32,
    ) -> [[f32; 16]; 2] {
        let of = |which: usize, lane: usize| {
            // SAFETY: the caller's contract.
            f64::from(unsafe { *arena.add(self.gradients + which * self.input.c + block * 16 + lane) })
        };
        let count = count as f64;
        [
            std::array::from_fn(|lane| (-of(1, lane) / count) as f32),
            std::array::from_fn(|lane| (-of(0, lane) * f64::from(inv_std[lane]) / count) as f32),
        ]
    }
}

/// What turns sixteen channels of z into γ·ẑ + β.
struct Norm<S: Simd> {
    minus_mean: S::V,
    /// γ·s.
    scale: S::V,
    shift: S::V,
    relu: bool,
    inv_std: [f32; 16],
}

impl<S: Simd> Norm<S> {
    #[inline(always)]
    unsafe fn of(op: &BatchNorm, block: usize, arena: *mut f32) -> Self {
        // SAFETY: the caller's contract: the places lie in the arena.
        unsafe {
            let stats = arena.add(op.stats + block * 16);
            let parameters = arena.add(op.parameters + block * 16);
            let minus_mean: [f32; 16] = std::array::from_fn(|lane| -*stats.add(lane));
            let inv_std: [f32; 16] = std::array::from_fn(|lane| *stats.add(op.input.c + lane));
            Norm {
                minus_mean: S::load(minus_mean.as_ptr()),
                scale: S::mul(S::load(parameters), S::load(inv_std.as_ptr())),
                shift: S::load(parameters.add(op.input.c)),
                relu: op.relu,
                inv_std,
            }
        }
    }

    /// z − mean.
    #[inline(always)]
    unsafe fn centred(&self, z: *const f32) -> S::V {
        // SAFETY: the caller's contract.
        unsafe { S::add(S::load(z), self.minus_mean) }
    }

    /// γ·ẑ + β.
    #[inline(always)]
    unsafe fn value(&self, centred: S::V) -> S::V {
        // SAFETY: the caller's contract.
        unsafe { S::mul_add(centred, self.scale, self.shift) }
    }

    /// y.
    #[inline(always)]
    unsafe fn forward(&self, z: *const f32) -> S::V {
        // SAFETY: the caller's contract.
        unsafe {
            let value = self.value(self.centred(z));
            if self.relu { S::max(S::zero(), value) } else { value }
        }
    }

    /// g and z − mean.
    #[inline(always)]
    unsafe fn back(&self, z: *const f32, dy: *const f32) -> (S::V, S::V) {
        // SAFETY: the caller's contract.
        unsafe {
            let (centred, dy) = (self.centred(z), S::load(dy));
            (if self.relu { S::where_positive(self.value(centred), dy) } else { dy }, centred)
        }
    }
}

/// Adds Σ z and Σ z² of `pixels` pixels, 16 channels each, to `sums`.
#[inline(always)]
unsafe fn add_squares<S: Simd>(z: *const f32, pixels: usize, sums: &mut [f64; 32]) {
    for first in (0..pixels).step_by(RUN) {
        let n = RUN.min(pixels - first);
        let whole = n / 4 * 4;
        // SAFETY: the caller's contract: `pixels`·16 values.
        unsafe {
            let z = z.add(first * 16);
            let mut own = [S::zero(); 4];
            for i in (0..whole).step_by(4) {
                for (j, own) in own.iter_mut().enumerate() {
                    *own = S::add(*own, S::load(z.add((i + j) * 16)));
                }
            }
            for i in whole..n {
                own[0] = S::add(own[0], S::load(z.add(i * 16)));
            }
            let minus_mean = S::mul(sum::<S>(own), S::splat(&(-1.0 / n as f32)));
            let (mut rest, mut squares) = ([S::zero(); 4], [S::zero(); 4]);
            for i in (0..whole).step_by(4) {
                for j in 0..4 {
                    let d = S::add(S::load(z.add((i + j) * 16)), minus_mean);
                    (rest[j], squares[j]) = (S::add(rest[j], d), S::mul_add(d, d, squares[j]));
                }
            }
            for i in whole..n {
                let d = S::add(S::load(z.add(i * 16)), minus_mean);
                (rest[0], squares[0]) = (S::add(rest[0], d), S::mul_add(d, d, squares[0]));
            }
            // Σ z = Σ d + n·mean, Σ z² = Σ d² + mean·(2·Σ d + n·mean).
            let minus_mean = values::<S>(minus_mean);
            let (rest, squares) = (values::<S>(sum::<S>(rest)), values::<S>(sum::<S>(squares)));
            for lane in 0..16 {
                let (mean, rest) = (-f64::from(minus_mean[lane]), f64::from(rest[lane]));
                sums[lane] += rest + n as f64 * mean;
                sums[16 + lane] += f64::from(squares[lane]) + mean * (2.0 * rest + n as f64 * mean);
            }
        }
    }
}

/// Adds Σ g and Σ g·(z − mean) of `pixels` pixels, 16 channels each, to `sums`.
#[inline(always)]
unsafe fn add_products<S: Simd>(
    norm: &Norm<S>,
    z: *const f32,
    dy: *const f32,
    pixels: usize,
    sums: &mut [f64; 32],
) {
    for first in (0..pixels).step_by(RUN) {
        let n = RUN.min(pixels - first);
        let whole = n / 4 * 4;
        // SAFETY: the caller's contract: `pixels`·16 values each.
        unsafe {
            let (z, dy) = (z.add(first * 16), dy.add(first * 16));
            let (mut gs, mut products) = ([S::zero(); 4], [S::zero(); 4]);
            for i in (0..whole).step_by(4) {
                for j in 0..4 {
                    let (g, d) = norm.back(z.add((i + j) * 16), dy.add((i + j) * 16));
                    (gs[j], products[j]) = (S::add(gs[j], g), S::mul_add(g, d, products[j]));
                }
            }
            for i in whole..n {
                let (g, d) = norm.back(z.add(i * 16), dy.add(i * 16));
                (gs[0], products[0]) = (S::add(gs[0], g), S::mul_add(g, d, products[0]));
            }
            let (gs, products) = (values::<S>(sum::<S>(gs)), values::<S>(sum::<S>(products)));
            for lane in 0..16 {
                sums[lane] += f64::from(gs[lane]);
                sums[16 + lane] += f64::from(products[lane]);
            }
        }
    }
}

/// The sum of four sums that did not wait for one another.
#[inline(always)]
unsafe fn sum<S: Simd>([a, b, c, d]: [S::V; 4]) -> S::V {
    // SAFETY: the instruction set is there.
    unsafe { S::add(S::add(a, b), S::add(c, d)) }
}

#[inline(always)]
unsafe fn values<S: Simd>(v: S::V) -> [f32; 16] {
    let mut values = [0.0; 16];
    // SAFETY: room for sixteen.
    unsafe { S::store(values.as_mut_ptr(), v) };
    values
}

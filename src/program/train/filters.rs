//! Filters that learn, and those of data gradients: where each value that a convolution reads lies among the layers' own.
//!
//! A data gradient is a convolution of dz with the filters seen from their outputs. With u the forward stride, rows
//! h = u·a + φ of dx take the taps r ≡ φ + pad (mod u): with r = r₀ + u·t and p = a + d − t,
//! `dx[n, c, u·a + φ] = Σ_{k,t} dz[n, k, a + d − t]·W[k, c, r₀ + u·t]`, r₀ = (φ + pad) mod u, d = (φ + pad − r₀)/u; columns
//! likewise. For each (φ_h, φ_w) that is a convolution of stride 1 without a zero in between.
//! Source: Dumoulin and Visin, arXiv 1603.07285, chapter 4.

use crate::error::Result;
use crate::network::Window;
use crate::program::{Conv2d, FoldedBatchNorm, Phase, View};
use crate::weights::Weights;

/// Filters of one or several layers over one input, among the parameters that learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedFilters {
    /// Each layer's filters `[K,C,R,S]`, in order of output channel.
    pub layers: Vec<LayerFilters>,
    /// Where the device has them in its own order.
    pub packed: View,
    /// For a data gradient: the convolution whose gradient it is.
    pub transposed: Option<Transposed>,
}

/// One layer's filters among the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerFilters {
    /// Their first value, counted from the buffer's begin.
    pub first: usize,
    /// K.
    pub channels: usize,
}

/// How a data gradient reads the filters of its convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transposed {
    /// The convolution's window.
    pub window: Window,
    /// r₀ and s₀: its first tap of this phase.
    pub first_tap: (usize, usize),
}

/// Filters of one or several layers over one input as the weights have them, batch norm folded in, seen from their outputs: what a
/// data gradient in inference reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldedTransposed {
    /// Whose filters, in order of output channel, and how many output channels each has.
    pub layers: Vec<(String, usize)>,
    /// The convolution whose gradient it is.
    pub transposed: Transposed,
}

impl FoldedTransposed {
    /// The filters `[K,C,R,S]` of `conv`, which reads them.
    ///
    /// # Errors
    /// As [`Weights::f32`].
    pub fn filters(&self, conv: &Conv2d, weights: &Weights) -> Result<Vec<f32>> {
        let (mut all, mut layers) = (Vec::new(), Vec::with_capacity(self.layers.len()));
        for (layer, channels) in &self.layers {
            layers.push(LayerFilters { first: all.len(), channels: *channels });
            let source = weights.f32(&format!("{layer}.conv.weight"))?;
            let scales = FoldedBatchNorm::of(weights, layer)?.scale;
            for (filter, scale) in source.chunks_exact(source.len() / channels).zip(scales) {
                all.extend(filter.iter().map(|&value| (f64::from(value) * scale) as f32));
            }
        }
        let (channels, terms, (r, s)) = (conv.input.channels, conv.terms(), conv.window.kernel);
        let own = (0..conv.output_channels() * terms).map(|i| {
            let (k, c, tap) = (i / terms, i / (r * s) % channels, i % (r * s));
            all[place(&layers, Some(&self.transposed), conv, (k, c), (tap / s, tap % s))]
        });
        Ok(own.collect())
    }
}

impl LearnedFilters {
    /// Where the value for output channel `k`, input channel `c` and tap (`r`, `s`) of `conv`, whose filters these are, lies in the
    /// buffer of all parameters.
    pub fn parameter(&self, conv: &Conv2d, k: usize, c: usize, r: usize, s: usize) -> usize {
        place(&self.layers, self.transposed.as_ref(), conv, (k, c), (r, s))
    }
}

/// Where the value for output channel `k`, input channel `c` and tap (`r`, `s`) of `conv` lies among the filters of `layers`.
fn place(
    layers: &[LayerFilters],
    transposed: Option<&Transposed>,
    conv: &Conv2d,
    (k, c): (usize, usize),
    (r, s): (usize, usize),
) -> usize {
    let (k, c, channels, window, (r, s)) = match transposed {
        None => (k, c, conv.input.channels, conv.window, (r, s)),
        Some(Transposed { window, first_tap }) => {
            let back =
                |tap: usize, taps: usize, stride: usize, first: usize| first + stride * (taps - 1 - tap);
            let (taps, stride) = (conv.window.kernel, window.stride);
            let tap = (back(r, taps.0, stride.0, first_tap.0), back(s, taps.1, stride.1, first_tap.1));
            (c, k, conv.output_channels(), *window, tap)
        }
    };
    let mut own = k;
    for layer in layers {
        if own < layer.channels {
            return layer.first + ((own * channels + c) * window.kernel.0 + r) * window.kernel.1 + s;
        }
        own -= layer.channels;
    }
    unreachable!("output channel {k} of a convolution that has fewer")
}

/// The phases of the data gradient of a convolution by `window` over an `h`×`w` map: pixels, stride-1 window and first tap of each
/// that has a tap. The window must be larger than its padding, and no smaller than its stride.
pub(in crate::program) fn phases(
    window: Window,
    (h, w): (usize, usize),
) -> Vec<(Phase, Window, (usize, usize))> {
    // r₀, number of taps, padding in front.
    let along = |phase: usize, taps: usize, stride: usize, padding: usize| {
        let first = (phase + padding) % stride;
        let own = taps.saturating_sub(first).div_ceil(stride);
        let shift = (phase + padding - first) / stride;
        (own > 0).then(|| (first, own, (own - 1).saturating_sub(shift)))
    };
    let ((rows, columns), stride, padding) = (window.kernel, window.stride, window.padding);
    let mut phases = Vec::new();
    for first in (0..stride.0.min(h)).flat_map(|row| (0..stride.1.min(w)).map(move |column| (row, column))) {
        let (Some(down), Some(right)) =
            (along(first.0, rows, stride.0, padding.0), along(first.1, columns, stride.1, padding.1))
        else {
            continue;
        };
        let kernel = (down.1, right.1);
        let own = Window { kernel, stride: (1, 1), padding: (down.2, right.2) };
        phases.push((Phase { stride, first }, own, (down.0, right.0)));
    }
    phases
}

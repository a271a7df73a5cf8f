//! Launches of `kernels/conv2d.cu`, and its packed filters.

use super::launch::{Kernel, Launch, Pointer, Region};
use super::parameters::{MapView, Parameters, constant};
use crate::error::Result;
use crate::program::{
    BufferId, Conv2d, Conv2dGroup, Epilogue, Filters as From, Layout, Phase, Program, Tile, Tiling, View,
};
use crate::program::{MAX_GROUP, STEP_TERMS, packed_values, tiles};
use crate::weights::Weights;

const fn tile(pixels: usize, channels: usize, groups: usize) -> Tile {
    Tile { pixels, channels, groups }
}

/// The tiles there are kernels for.
pub const TILES: [Tile; 4] = [tile(128, 128, 1), tile(128, 64, 2), tile(64, 64, 4), tile(128, 32, 4)];

/// Parts of a convolution at most.
const MAX_PARTS: usize = 4;

/// Bytes of a `ConvPart` and of a `Conv2dProblem`.
const PART_BYTES: usize = 24;
const PROBLEM_BYTES: usize = 5 * 8 + 24 * 4 + MAX_PARTS * PART_BYTES;

/// The kernel for `tile`, one of [`TILES`].
pub(super) fn kernel(tile: Tile) -> Kernel {
    let name = match (tile.pixels, tile.channels) {
        (128, 128) => "conv2d_forward_implicit_gemm_128x128x1_f32",
        (128, 64) => "conv2d_forward_implicit_gemm_128x64x2_f32",
        (128, _) => "conv2d_forward_implicit_gemm_128x32x4_f32",
        _ => "conv2d_forward_implicit_gemm_64x64x4_f32",
    };
    Kernel { module: "conv2d", name, threads: tile.threads() as u32 }
}

/// Whether the kernels can compute `group`.
pub(super) fn fits(program: &Program, group: &Conv2dGroup) -> bool {
    let conv = |(conv, _): &(Conv2d, Tiling)| {
        let channels = match program.buffers[conv.input.buffer].layout {
            Layout::ColumnPairs => conv.window.stride.1 == 2 && conv.window.padding.1 == 0,
            _ => conv.input.channels.is_multiple_of(STEP_TERMS),
        };
        let (r, s) = conv.window.kernel;
        channels
            && r <= 15
            && s <= 15
            && conv.window.padding.0 <= r
            && conv.window.padding.1 <= s
            && conv.parts.len() <= MAX_PARTS
    };
    TILES.contains(&group.tile) && group.convs.len() <= MAX_GROUP && group.convs.iter().all(conv)
}

/// For each convolution the filters, `[K/channels][steps][8][channels]`, then the bias [K]; of filters that learn nothing.
pub(super) fn constants(program: &Program, weights: &Weights, group: &Conv2dGroup) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    for (conv, tiling) in group.convs.iter().filter(|(conv, _)| learned(conv).is_none()) {
        let filters = Filters { conv, tiling, tile: group.tile, pairs: column_pairs(program, conv) };
        let first = values.len();
        values.resize(first + filters.values(), 0.0);
        let (mut k, mut bias) = (0, Vec::with_capacity(conv.output_channels()));
        for (source, folded) in conv.fixed_filters(weights)? {
            for (filter, scale) in source.chunks_exact(conv.terms()).zip(&folded.scale) {
                filters.put(&mut values[first..], k, filter, *scale);
                k += 1;
            }
            bias.extend(folded.bias);
        }
        values.extend(bias);
    }
    Ok(values)
}

pub(super) fn column_pairs(program: &Program, conv: &Conv2d) -> bool {
    program.buffers[conv.input.buffer].layout == Layout::ColumnPairs
}

/// Where the packed filters of `conv` lie, if they learn.
fn learned(conv: &Conv2d) -> Option<View> {
    match &conv.filters {
        From::Learned(learned) => Some(learned.packed),
        From::Folded | From::FoldedTransposed(_) | From::Plain => None,
    }
}

/// `values` 32-bit values of a buffer that belongs to no image, from number `first` on.
fn values(program: &Program, buffer: BufferId, first: usize, values: usize) -> Pointer {
    let offset_bytes = program.buffers[buffer].offset_bytes + first * size_of::<f32>();
    Pointer { region: Region::Arena, offset_bytes, bytes: values * size_of::<f32>() }
}

/// A view of a buffer that belongs to no image.
pub(super) fn whole(program: &Program, view: View) -> Pointer {
    values(program, view.buffer, view.channel, view.channels)
}

/// `count` counters from number `first` on.
pub(super) fn tickets(program: &Program, first: usize, count: usize) -> Option<Pointer> {
    program.tickets.map(|buffer| values(program, buffer, first, count))
}

/// Packed filters of one convolution.
struct Filters<'a> {
    conv: &'a Conv2d,
    tiling: &'a Tiling,
    tile: Tile,
    /// Whether the input holds column pairs: two taps of a row are channels 0–3 and 4–7 of one.
    pairs: bool,
}

impl Filters<'_> {
    /// Steps of eight terms, those that only fill up included.
    fn steps(&self) -> usize {
        self.tiling.slices * self.tile.groups * self.tiling.steps
    }

    fn values(&self) -> usize {
        packed_values(self.conv, self.tile, self.tiling)
    }

    /// Puts `filter`, [C,R,S], times `scale` where the kernel reads output channel `k`.
    fn put(&self, packed: &mut [f32], k: usize, filter: &[f32], scale: f64) {
        let (channels, (r, s)) = (self.conv.input.channels, self.conv.window.kernel);
        let row = k / self.tile.channels * self.steps() * STEP_TERMS;
        for (i, &value) in filter.iter().enumerate() {
            let (c, r_, s_) = (i / (r * s), i / s % r, i % s);
            let term = match self.pairs {
                true => (r_ * s.div_ceil(2) + s_ / 2) * STEP_TERMS + s_ % 2 * 4 + c,
                false => (r_ * s + s_) * channels + c,
            };
            packed[(row + term) * self.tile.channels + k % self.tile.channels] =
                (f64::from(value) * scale) as f32;
        }
    }
}

/// All convolutions of `group` on the first `images` images.
pub(super) fn launch(program: &Program, group: &Conv2dGroup, images: usize, mut constants: usize) -> Launch {
    let mut parameters = Parameters::default().ints([group.convs.len(), 0]);
    let mut blocks = 0;
    for (conv, tiling) in &group.convs {
        let pairs = column_pairs(program, conv);
        let filters = Filters { conv, tiling, tile: group.tile, pairs };
        let (m, n) = tiles(program, conv, group.tile, images);
        let end = parameters.len() + PROBLEM_BYTES;
        parameters = problem(parameters, program, group, &filters, images, (constants, blocks)).pad_to(end);
        if learned(conv).is_none() {
            constants += (filters.values() + conv.output_channels()) * size_of::<f32>();
        }
        blocks += m * n * tiling.slices;
    }
    let whole = 8 + MAX_GROUP * PROBLEM_BYTES;
    parameters.pad_to(whole).launch(kernel(group.tile), [blocks, 1, 1])
}

/// Appends a `Conv2dProblem`; its constants and its blocks begin at `first`.
fn problem(
    parameters: Parameters,
    program: &Program,
    group: &Conv2dGroup,
    filters: &Filters<'_>,
    images: usize,
    first: (usize, usize),
) -> Parameters {
    let (conv, tiling) = (filters.conv, filters.tiling);
    let x = MapView::new(program, conv.input, images);
    let k = conv.output_channels();
    let (weight, bias) = match learned(conv) {
        Some(packed) => (whole(program, packed), None),
        None => {
            let weight = constant(first.0, filters.values());
            (weight, Some(constant(first.0 + weight.bytes, k)))
        }
    };
    let (m, n) = tiles(program, conv, group.tile, images);
    let sliced = tiling.slices > 1;
    let outputs = group.tile.pixels * group.tile.channels;
    let partials = group.workspace.filter(|_| sliced);
    let count = m * n * tiling.slices * outputs;
    let partials = partials.map(|view| values(program, view.buffer, tiling.first_partial, count));
    let tickets = tickets(program, tiling.first_ticket, m * n).filter(|_| sliced);
    let y = MapView::new(program, conv.parts[0].output, images).shape;
    let ((p, q), Phase { stride: (down, right), first: (row, column) }) =
        (conv.output_size(program), conv.phase);
    let ((r, s), stride, pad) = (conv.window.kernel, conv.window.stride, conv.window.padding);
    let (w, c8, s, stride_w) = match filters.pairs {
        true => (x.shape.w.div_ceil(2), 1, s.div_ceil(2), 1),
        false => (x.shape.w, x.shape.c / STEP_TERMS, s, stride.1),
    };
    let parameters = parameters
        .pointer(x.pointer())
        .pointer(weight)
        .pointer(bias)
        .pointer(partials)
        .pointer(tickets)
        .ints([first.1, images * p * q, x.shape.h, w, c8, x.image_stride, p, q, r, s])
        .ints([stride.0, stride_w, pad.0, pad.1])
        .ints([y.h * y.w, row * y.w + column, down * y.w, right].map(|pixels| 2 * pixels))
        .ints([k / 4, m, n, tiling.slices, tiling.steps, conv.parts.len()]);
    let mut quad = 0;
    conv.parts.iter().fold(parameters, |parameters, part| {
        let y = MapView::new(program, part.output, images);
        let [relu, add] = [Epilogue::BiasRelu, Epilogue::Accumulate].map(|e| usize::from(part.epilogue == e));
        let parameters = parameters.pointer(y.pointer()).ints([y.image_stride, quad, relu, add]);
        quad += part.output.channels / 4;
        parameters
    })
}

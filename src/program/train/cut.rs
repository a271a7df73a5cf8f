//! How the steps that only training has are cut into thread blocks on a GPU.
//!
//! The gradient of filters is a matrix product of M = K output channels by C·R·S filter values over N·P·Q pixels. That sum is
//! long and the product small, so that slices of the sum fill the GPU: a block computes a tile of the product for one slice, its
//! warps in groups that share the slice out among them. As with convolutions the choice minimises an estimate of clock cycles.

use super::op::{Packing, TrainOp, WeightCut};
use crate::program::schedule::{buffer, packed_values};
use crate::program::{Conv2d, Filters, Gpu, Layout, Program, StepOp, Tile, Tiling, View};

/// Pixels that one step of the kernel's loop adds.
pub(crate) const STEP_PIXELS: usize = 8;

/// Slices at most; the sum over slices is the work of one thread block.
const MAX_SLICES: usize = 64;

/// Pixels at most that one thread adds one behind the other: the rounding error of a sum of n float32 of random sign grows as √n.
const MAX_CHAIN: usize = 8192;

/// Cuts the gradients of filters, whose counters follow the first `tickets`, and has filters packed for the launches that read them.
pub(in crate::program) fn cut(program: &mut Program, gpu: &Gpu, tickets: &mut usize) {
    let cuts = convolution_cuts(program);
    let mut steps = std::mem::take(&mut program.steps);
    for step in &mut steps {
        match &mut step.op {
            StepOp::Conv2dGroup(group) => {
                for (conv, tiling) in &mut group.convs {
                    resize(program, conv, group.tile, tiling);
                }
            }
            StepOp::Train(TrainOp::PackFilters { convs, .. }) => {
                for Packing { conv, cut } in convs {
                    *cut = cuts
                        .iter()
                        .find(|(packed, ..)| Some(*packed) == buffer_of(conv))
                        .map(|own| (own.1, own.2));
                    if let Some((tile, tiling)) = cut {
                        resize(program, conv, *tile, tiling);
                    }
                }
            }
            StepOp::Train(TrainOp::Conv2dBackwardWeight { conv, cut, .. }) => {
                let (tile, slices) = choose(program, gpu, conv);
                let (m, n) = weight_tiles(program, conv, tile);
                let mut own = WeightCut { tile, slices, workspace: None, first_ticket: *tickets };
                if slices > 1 {
                    let partials = m * n * slices * tile.0 * tile.1;
                    own.workspace = Some(buffer(program, &format!("{}.partials", step.name), partials));
                    *tickets += m * n;
                }
                *cut = Some(own);
            }
            _ => {}
        }
    }
    program.steps = steps;
    super::sums::cut(program, gpu, tickets);
}

/// Where each convolution that learns finds its filters, and how it is cut.
fn convolution_cuts(program: &Program) -> Vec<(usize, Tile, Tiling)> {
    let groups = program.steps.iter().filter_map(|step| match &step.op {
        StepOp::Conv2dGroup(group) => Some(group),
        _ => None,
    });
    groups
        .flat_map(|group| group.convs.iter().map(|(conv, tiling)| (buffer_of(conv), group.tile, *tiling)))
        .filter_map(|(packed, tile, tiling)| Some((packed?, tile, tiling)))
        .collect()
}

fn buffer_of(conv: &Conv2d) -> Option<usize> {
    match &conv.filters {
        Filters::Learned(learned) => Some(learned.packed.buffer),
        _ => None,
    }
}

/// Gives the packed filters of `conv` the room that its thread blocks read.
fn resize(program: &mut Program, conv: &mut Conv2d, tile: Tile, tiling: &Tiling) {
    let values = packed_values(conv, tile, tiling);
    let Filters::Learned(learned) = &mut conv.filters else { return };
    learned.packed = View { channel: 0, channels: values, ..learned.packed };
    let buffer = &mut program.buffers[learned.packed.buffer];
    buffer.shape.c = values;
    buffer.bytes = values * size_of::<f32>();
}

/// Groups of warps in a block of 256 threads: a warp has 32 output channels × 64 filter values, eight by eight a thread.
pub(crate) fn weight_groups((k, columns): (usize, usize)) -> usize {
    8 * 32 * 64 / (k * columns)
}

/// Filter values of one output channel as the kernel counts them: taps times channels, four for up to four in column pairs.
pub(crate) fn weight_columns(program: &Program, conv: &Conv2d) -> usize {
    let (r, s) = conv.window.kernel;
    match program.buffers[conv.input.buffer].layout {
        Layout::ColumnPairs => r * s * 4,
        _ => r * s * conv.input.channels,
    }
}

/// Tiles of the gradient of the filters of `conv` along output channels and filter values.
pub(crate) fn weight_tiles(program: &Program, conv: &Conv2d, tile: (usize, usize)) -> (usize, usize) {
    (conv.output_channels().div_ceil(tile.0), weight_columns(program, conv).div_ceil(tile.1))
}

/// Steps of eight pixels that each group of warps adds for `images` images.
pub(crate) fn weight_steps(program: &Program, conv: &Conv2d, cut: &WeightCut, images: usize) -> usize {
    let (p, q) = conv.output_size(program);
    (images * p * q).div_ceil(STEP_PIXELS * cut.slices * weight_groups(cut.tile))
}

/// The cheapest tile and number of slices.
fn choose(program: &Program, gpu: &Gpu, conv: &Conv2d) -> ((usize, usize), usize) {
    let (p, q) = conv.output_size(program);
    let pixels = program.options.batch * p * q;
    let mut best = (f64::INFINITY, (gpu.weight_tiles[0], 1));
    for &tile in &gpu.weight_tiles {
        let least = pixels.div_ceil(MAX_CHAIN * weight_groups(tile)).min(MAX_SLICES);
        let most = pixels.div_ceil(STEP_PIXELS * weight_groups(tile)).clamp(least, MAX_SLICES);
        for slices in least..=most {
            let cost = cost(program, gpu, conv, tile, slices);
            if cost < best.0 {
                best = (cost, (tile, slices));
            }
        }
    }
    best.1
}

/// Clock cycles of a launch, estimated as those of convolutions are: multiply-adds of the busiest multiprocessor, and as often as
/// shared memory is read for them what is written to it for each row and column of a tile; start and end of a block; partial sums
/// through the second-level cache, at the end by one block a tile.
fn cost(program: &Program, gpu: &Gpu, conv: &Conv2d, tile: (usize, usize), slices: usize) -> f64 {
    /// Launch, first loads, epilogue.
    const FIXED: f64 = 3000.0;
    /// Partial sums a cycle and multiprocessor.
    const PARTIALS: f64 = 4.0;
    /// Multiply-adds a cycle and multiprocessor.
    const RATE: f64 = 128.0;

    let (m, n) = weight_tiles(program, conv, tile);
    let cut = WeightCut { tile, slices, workspace: None, first_ticket: 0 };
    let terms = weight_steps(program, conv, &cut, program.options.batch) * weight_groups(tile) * STEP_PIXELS;
    let outputs = (tile.0 * tile.1) as f64;
    let blocks = m * n * slices;
    let busiest = blocks.div_ceil(gpu.multiprocessors) as f64;
    let idle = if busiest < 2.0 { 1.3 } else { 1.08 };
    let stores = 1.0 + 4.0 * (1.0 / tile.0 as f64 + 1.0 / tile.1 as f64);
    let sum = busiest * outputs * (terms as f64 / RATE * stores + 0.25) * idle;
    let partials = match slices {
        1 => 0.0,
        _ => outputs / PARTIALS * (slices as f64 + 2.0 * blocks as f64 / gpu.multiprocessors as f64),
    };
    FIXED + sum + partials
}

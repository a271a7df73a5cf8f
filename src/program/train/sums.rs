//! How a GPU cuts what is bound by memory: batch norm over a map's pixels, the norm of all gradients.
//!
//! Where a sum is over more than one thread block's share, the blocks leave parts of it, and the one that comes last adds them.

use super::op::TrainOp;
use crate::program::schedule::buffer;
use crate::program::{Gpu, MapShape, Program, StepOp, View};

/// How a sum is cut into thread blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumCut {
    /// Parts that different thread blocks compute.
    pub slices: usize,
    /// Room for the parts, where there are several.
    pub workspace: Option<View>,
    /// First of its counters in [`Program::tickets`]; used when there are several slices.
    pub first_ticket: usize,
}

/// Thread blocks of a launch for each multiprocessor, which holds about half of them at once.
const BLOCKS: usize = 16;

/// Pixels of a thread block at least: eight of each pair of threads.
const MIN_PIXELS: usize = 1024;

/// Values of a thread block at least.
const MIN_VALUES: usize = 4096;

/// Sums of eight channels, in 32-bit values: two each, in float64.
const BLOCK_SUMS: usize = 32;

/// Gives every sum its slices, with counters that follow the first `tickets`.
pub(super) fn cut(program: &mut Program, gpu: &Gpu, tickets: &mut usize) {
    let mut steps = std::mem::take(&mut program.steps);
    for step in &mut steps {
        let StepOp::Train(op) = &mut step.op else { continue };
        let (cut, slices, sums, values) = match op {
            TrainOp::BatchNormStats { input, cut, .. } | TrainOp::NormalizeSums { input, cut, .. } => {
                (cut, map_slices(program, gpu, *input), input.channels / 8, BLOCK_SUMS)
            }
            TrainOp::GradientNorm { gradients, cut, .. } => {
                let slices = gradients.channels.div_ceil(MIN_VALUES).clamp(1, BLOCKS * gpu.multiprocessors);
                (cut, slices, 1, 2)
            }
            _ => continue,
        };
        let mut own = SumCut { slices, workspace: None, first_ticket: *tickets };
        if slices > 1 {
            own.workspace = Some(buffer(program, &format!("{}.partials", step.name), sums * slices * values));
            *tickets += sums;
        }
        *cut = Some(own);
    }
    program.steps = steps;
}

/// Thread blocks that share out the pixels of eight channels of `view`, images included.
pub(crate) fn map_slices(program: &Program, gpu: &Gpu, view: View) -> usize {
    let MapShape { c, h, w } = program.shape(view);
    let pixels = program.options.batch * h * w;
    (BLOCKS * gpu.multiprocessors).div_ceil((c / 8).max(1)).min(pixels.div_ceil(MIN_PIXELS)).max(1)
}

//! *How* a network runs: steps over buffers in one arena, for one batch, input size and target. Still plain data:
//! nothing here allocates a tensor or knows a device.
//!
//! A program is a list of [`Step`]s, each with a `level`. Steps of one level touch nothing of each other's output and
//! may run side by side; a level begins when the one before has ended. Buffers whose levels do not meet share memory.
//!
//! Fusion happens here ([`Fusion::Full`]): batch norm folded into filters, bias and ReLU at the end of the
//! convolution, branches that write their channel range of the block's output, sibling 1×1 convolutions as one, the
//! average pool moved behind its 1×1 convolution.

mod arena;
mod describe;
mod fold;
mod lower;
mod step;

pub use describe::StepSummary;
pub use fold::{BatchNorm, FoldedBatchNorm};
pub use step::{Average, Conv2d, ConvPart, Epilogue, Pool2d, PoolKind, Step, StepOp};

use crate::error::{Error, Result};
use crate::network::{MapShape, Network};

/// How a feature map lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// N, C, H, W; the width is contiguous.
    Nchw,
    /// N, C/16, H, W, 16; sixteen channels of one pixel are contiguous.
    Blocked16,
}

/// What a program must know of where it will run. Plain data, never a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Layout of every map inside; the input is always [`Layout::Nchw`].
    pub layout: Layout,
    /// Every buffer begins at a multiple of this many bytes.
    pub alignment_bytes: usize,
}

impl Target {
    /// The CPU: sixteen float32 fill an AVX-512 register and a cache line.
    pub fn cpu() -> Self {
        Target { layout: Layout::Blocked16, alignment_bytes: 64 }
    }
}

/// How much is fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fusion {
    /// Convolution, batch norm, ReLU and concat are steps of their own.
    None,
    /// All that can be fused is.
    #[default]
    Full,
}

/// Which outputs are still there when the program has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Keep {
    /// The last layer's only: buffers share memory.
    #[default]
    Output,
    /// Every layer's: nothing is shared.
    Layers,
}

/// What to lower a network for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Images a run takes at most.
    pub batch: usize,
    /// How much is fused.
    pub fusion: Fusion,
    /// What outlives the run.
    pub keep: Keep,
    /// Where it will run.
    pub target: Target,
}

impl Options {
    /// `batch` images, everything fused, only the output kept.
    pub fn new(batch: usize, target: Target) -> Self {
        Options { batch, fusion: Fusion::Full, keep: Keep::Output, target }
    }
}

/// Index of a buffer in [`Program::buffers`].
pub type BufferId = usize;

/// A range of channels of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The buffer.
    pub buffer: BufferId,
    /// First channel.
    pub channel: usize,
    /// Number of channels.
    pub channels: usize,
}

/// A feature map of the whole batch in the arena.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The layer whose output it holds.
    pub name: String,
    /// Shape of one image's map.
    pub shape: MapShape,
    /// How it lies in memory.
    pub layout: Layout,
    /// Where it begins in the arena.
    pub offset_bytes: usize,
    /// Its size for the whole batch.
    pub bytes: usize,
    /// First level that writes it and last level that reads it.
    pub live: (usize, usize),
}

/// A network lowered for one batch, size and target.
#[derive(Clone, Debug)]
pub struct Program {
    /// The network it computes.
    pub network: Network,
    /// What it was lowered for.
    pub options: Options,
    /// Maps in the arena; float32.
    pub buffers: Vec<Buffer>,
    /// What is done, in order of level.
    pub steps: Vec<Step>,
    /// Size of the arena.
    pub arena_bytes: usize,
    /// Where the images go, [`Layout::Nchw`].
    pub input: View,
    /// Where the last layer's output is found.
    pub logits: View,
    /// Where each layer's output lies: valid after a run only under [`Keep::Layers`]. Layers that fusion dissolved
    /// (a pool moved behind its convolution) are absent. Without fusion `NAME.conv` and `NAME.bn` stand here too.
    pub outputs: Vec<(String, View)>,
}

impl Program {
    /// Lowers `network`.
    ///
    /// # Errors
    /// [`Error::Argument`] when the batch is 0 or so large that a map exceeds 2³¹ elements.
    pub fn lower(network: &Network, options: &Options) -> Result<Self> {
        let largest = network.layers.iter().map(|l| l.output.elements()).max().unwrap_or(0);
        let limit = (i32::MAX as usize) / largest.max(1);
        if options.batch == 0 || options.batch > limit {
            return Err(Error::Argument(format!(
                "a batch of {} images of {}×{}: give a number from 1 to {limit}",
                options.batch, network.size.0, network.size.1
            )));
        }
        let mut program = lower::lower(network, options);
        arena::place(&mut program);
        Ok(program)
    }

    /// Number of levels; a step's `level` is below it.
    pub fn levels(&self) -> usize {
        self.steps.last().map_or(0, |step| step.level + 1)
    }

    /// Shape of one image's part of `view`.
    pub fn shape(&self, view: View) -> MapShape {
        MapShape { c: view.channels, ..self.buffers[view.buffer].shape }
    }

    /// Floating-point operations of one run on the whole batch.
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(|step| step.flops(self)).sum()
    }
}

#[cfg(test)]
mod tests;

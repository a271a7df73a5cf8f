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
mod crop;
mod describe;
mod fold;
mod gradient;
mod lower;
mod schedule;
mod step;
mod train;
mod tuning;

pub(crate) use crop::crop_bytes;
pub use crop::{Crop, Input, Mean, Normalization, Samples};
pub use describe::StepSummary;
pub use fold::{BatchNorm, FoldedBatchNorm};
pub use gradient::LogitGradient;
pub use schedule::{Gpu, Tile, Tiling};
#[cfg(any(feature = "cuda", feature = "sim"))]
pub(crate) use schedule::{MAX_GROUP, MAX_SLICES, STEP_TERMS, packed_values, tiles, total_steps};
pub use step::{
    Average, Conv2d, Conv2dGroup, ConvPart, Epilogue, Filters, Phase, Pool2d, PoolKind, Step, StepOp,
};
pub use train::{
    AuxiliaryLoss, Controls, FoldedTransposed, GradientCopy, LayerFilters, Learned, LearnedFilters,
    LearnedSet, MemoryUse, Packing, PoolBackward, SumCut, TrainOp, Training, Transposed, WeightCut,
};
#[cfg(any(feature = "cuda", feature = "sim"))]
pub(crate) use train::{STEP_PIXELS, map_slices, weight_columns, weight_steps, weight_tiles};
pub use tuning::{TunedCut, Tuning};

use crate::error::{Error, Result};
use crate::network::{MapShape, Network};

/// How a feature map lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// N, C, H, W; the width is contiguous.
    Nchw,
    /// N, C/16, H, W, 16; sixteen channels of one pixel are contiguous.
    Blocked16,
    /// N, C/8, H, W, 8; eight channels of one pixel are contiguous.
    Blocked8,
    /// N, H, 2·⌈W/2⌉, 4 for up to four channels, the missing ones 0. A convolution of horizontal stride 2 reads it as one of
    /// stride 1 over eight channels, those of two neighbouring columns, with half the taps in a row.
    ColumnPairs,
    /// One [`Crop`] an image, as its file has it, in room for 3·H·W float32.
    Crops,
}

impl Layout {
    /// Values that `shape` takes for one image, padding included.
    pub fn values(self, shape: MapShape) -> usize {
        match self {
            Layout::Nchw | Layout::Blocked16 | Layout::Blocked8 => shape.elements(),
            Layout::ColumnPairs => 8 * shape.h * shape.w.div_ceil(2),
            Layout::Crops => crop_bytes(shape) / size_of::<f32>(),
        }
    }

    /// Where channel `c` of the pixel in row `h` and column `w` lies in one image's map of `shape`.
    pub fn index(self, shape: MapShape, c: usize, h: usize, w: usize) -> usize {
        let blocked = |lanes: usize| (c / lanes * shape.h * shape.w + h * shape.w + w) * lanes + c % lanes;
        match self {
            Layout::Nchw | Layout::Crops => blocked(1),
            Layout::Blocked8 => blocked(8),
            Layout::Blocked16 => blocked(16),
            Layout::ColumnPairs => (h * shape.w.next_multiple_of(2) + w) * 4 + c,
        }
    }
}

/// What a program must know of where it will run. Plain data, never a handle.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Layout of every map inside but the input's.
    pub layout: Layout,
    /// Every buffer begins at a multiple of this many bytes.
    pub alignment_bytes: usize,
    /// The GPU whose thread blocks convolutions are cut into; `None` for a device that cuts them itself.
    pub gpu: Option<Gpu>,
}

impl Target {
    /// The CPU: sixteen float32 fill an AVX-512 register and a cache line.
    pub fn cpu() -> Self {
        Target { layout: Layout::Blocked16, alignment_bytes: 64, gpu: None }
    }

    /// A GPU: eight float32 are one sector of memory.
    pub fn gpu(gpu: Gpu) -> Self {
        Target { layout: Layout::Blocked8, alignment_bytes: 256, gpu: Some(gpu) }
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
    /// What it reads.
    pub input: Input,
    /// How it learns; `None` for inference.
    pub training: Option<Training>,
    /// In inference, the layer by whose output the logits' gradient is taken too.
    pub gradient: Option<String>,
}

impl Options {
    /// `batch` images of values, everything fused, only the output kept.
    pub fn new(batch: usize, target: Target) -> Self {
        Options {
            batch,
            fusion: Fusion::Full,
            keep: Keep::Output,
            target,
            input: Input::Values,
            training: None,
            gradient: None,
        }
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

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Role {
    /// A feature map of the whole batch.
    #[default]
    Map,
    /// The gradient of one.
    MapGradient,
    /// Parameters that learn.
    Parameters,
    /// Their gradients.
    Gradients,
    /// Their momenta.
    Momentum,
    /// Statistics, counters, partial sums: what belongs to no image.
    Workspace,
}

impl Role {
    /// Whether there is one of it for each image.
    pub fn is_per_image(self) -> bool {
        matches!(self, Role::Map | Role::MapGradient)
    }
}

/// A feature map of the whole batch in the arena, or what belongs to no image.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The layer whose output it holds.
    pub name: String,
    /// What it holds.
    pub role: Role,
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

impl Buffer {
    /// A buffer that has no place yet.
    fn new(name: &str, role: Role, shape: MapShape, layout: Layout, bytes: usize) -> Self {
        Buffer { name: name.into(), role, shape, layout, offset_bytes: 0, bytes, live: (0, 0) }
    }
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
    /// Where the images go, [`Layout::Nchw`] or [`Layout::Crops`]. On a GPU this buffer lies outside the arena, in memory that
    /// the host can write.
    pub input: View,
    /// Where the last layer's output is found.
    pub logits: View,
    /// Where the probabilities of the classes are found, two where there is one logit.
    pub probabilities: View,
    /// Where each layer's output lies: valid after a run only under [`Keep::Layers`]. Layers that fusion dissolved
    /// (a pool moved behind its convolution) are absent. Without fusion `NAME.conv` and `NAME.bn` stand here too. In a program
    /// for training the gradient of each of these, where one is taken, is called `grad.NAME`.
    pub outputs: Vec<(String, View)>,
    /// Counters of finished slices, 32-bit, zero before the first run and after each; where convolutions are cut along
    /// their sums.
    pub tickets: Option<BufferId>,
    /// What learns, in a program for training.
    pub learned: Option<LearnedSet>,
    /// Where the gradient of the logits begins and ends, in a program that takes one.
    pub gradient: Option<LogitGradient>,
}

impl Program {
    /// Lowers `network`, with its auxiliary head where that learns, and else without.
    ///
    /// # Errors
    /// [`Error::Argument`] when the batch is 0 or so large that a map exceeds 2³¹ elements; [`Error::Shape`] for a mean image of
    /// another size than the network's input; [`Error::Argument`] for training or a gradient that is not planned, an auxiliary head
    /// included that the input is too small for, and for a tuning table that was made for another program.
    pub fn lower(network: &Network, options: &Options) -> Result<Self> {
        let auxiliary = options.training.as_ref().is_some_and(|training| training.auxiliary.is_some());
        let network = &network.with_auxiliary_head(auxiliary)?;
        let largest = network.layers.iter().map(|l| l.output.elements()).max().unwrap_or(0);
        let limit = (i32::MAX as usize) / largest.max(1);
        if options.batch == 0 || options.batch > limit {
            return Err(Error::Argument(format!(
                "a batch of {} images of {}×{}: give a number from 1 to {limit}",
                options.batch, network.size.0, network.size.1
            )));
        }
        if let Input::Crops(normalization) = &options.input {
            normalization.check(network.layers[0].output)?;
        }
        if let Some(layer) = &options.gradient {
            gradient::check(network, options, layer)?;
            return Ok(gradient::lower(network, options, layer)?.placed());
        }
        if let Some(training) = &options.training {
            training.check(network, options)?;
            return Ok(train::lower(network, options, training).placed());
        }
        if let Some(gpu) = &options.target.gpu
            && let Some(tuning) = &gpu.tuning
        {
            tuning.check(options.batch, network.size, &gpu.tiles)?;
            let program = lower::lower(network, options).placed();
            tuning.check_names(&program.steps)?;
            return Ok(program);
        }
        Ok(lower::lower(network, options).placed())
    }

    /// Cuts convolutions for the target and gives every buffer its place in the arena.
    fn placed(mut self) -> Self {
        if let Some(gpu) = self.options.target.gpu.clone() {
            schedule::schedule(&mut self, &gpu);
        }
        arena::place(&mut self);
        self
    }

    /// Copies what `view` holds for the first `images` images to `out`, N·C·H·W; `map` is the memory of its buffer.
    #[cfg(any(feature = "cpu", feature = "cuda", feature = "sim"))]
    pub(crate) fn unpack(&self, view: View, images: usize, map: &[f32], out: &mut [f32]) {
        let &Buffer { shape, layout, .. } = &self.buffers[view.buffer];
        let MapShape { c, h, w } = self.shape(view);
        if layout == Layout::Nchw {
            let own = c * h * w;
            for (image, out) in out.chunks_exact_mut(own.max(1)).take(images).enumerate() {
                let first = image * shape.elements() + view.channel * h * w;
                out.copy_from_slice(&map[first..first + own]);
            }
            return;
        }
        for (i, out) in out.iter_mut().enumerate().take(images * c * h * w) {
            let (pixel, channel, image) = (i % (h * w), view.channel + i / (h * w) % c, i / (h * w * c));
            let at = layout.index(shape, channel, pixel / w, pixel % w);
            *out = map[image * layout.values(shape) + at];
        }
    }

    /// Whether `buffer` holds values when a run begins: the input, counters, and what a training program keeps or is given.
    pub fn outlasts(&self, buffer: BufferId) -> bool {
        let learned =
            |learned: &LearnedSet| learned.lasting().contains(&buffer) || learned.given().contains(&buffer);
        buffer == self.input.buffer
            || Some(buffer) == self.tickets
            || self.gradient.as_ref().is_some_and(|gradient| gradient.seed.buffer == buffer)
            || self.learned.as_ref().is_some_and(learned)
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
pub(crate) mod testing;
#[cfg(test)]
mod tests;

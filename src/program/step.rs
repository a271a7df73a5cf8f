//! The steps a program consists of.

use super::{
    FoldedTransposed, Layout, LearnedFilters, Mean, Normalization, Program, Tile, Tiling, TrainOp, View,
};
use crate::network::{AvgPoolPadding, MapShape, Window};

/// One launch-sized piece of work.
#[derive(Clone, Debug)]
pub struct Step {
    /// The layers it computes, joined by `+` where siblings are merged.
    pub name: String,
    /// When it runs: after all steps of lower levels, beside those of its own.
    pub level: usize,
    /// What it does.
    pub op: StepOp,
}

/// What a step does. Every output is overwritten.
#[derive(Clone, Debug)]
pub enum StepOp {
    /// Convolution, possibly of several siblings over one input.
    Conv2d(Conv2d),
    /// Convolutions of one level in one launch, cut into thread blocks.
    Conv2dGroup(Conv2dGroup),
    /// Crops put in the middle of zeros, grey ones in all channels, normalised.
    Crop {
        /// What is done to pixels.
        normalization: Normalization,
        /// The crops.
        input: View,
        /// What is written.
        output: View,
    },
    /// The images, NCHW, brought into the layout of their buffer.
    Pack {
        /// What is read.
        input: View,
        /// What is written.
        output: View,
    },
    /// γ·(x − mean)/√(var + ε) + β by `layer`'s running statistics.
    BatchNorm {
        /// The layer that owns the statistics.
        layer: String,
        /// What is read.
        input: View,
        /// What is written.
        output: View,
    },
    /// max(x, 0).
    Relu {
        /// What is read.
        input: View,
        /// What is written.
        output: View,
    },
    /// Maximum or mean over a window.
    Pool2d(Pool2d),
    /// What only training does.
    Train(TrainOp),
    /// Copies of `inputs` one behind the other along the channels.
    Concat {
        /// What is read, in channel order.
        inputs: Vec<View>,
        /// What is written.
        output: View,
    },
    /// Mean of each channel's map.
    GlobalAvgPool {
        /// What is read.
        input: View,
        /// What is written.
        output: View,
    },
    /// Probabilities of the classes from logits: softmax; one logit counts as the two logits 0 and x (sigmoid).
    Softmax {
        /// What is read, K logits.
        input: View,
        /// What is written, max(K, 2) probabilities.
        output: View,
    },
    /// y = W·x + b with `layer`'s weight and bias.
    Linear {
        /// The layer that owns weight and bias.
        layer: String,
        /// Weight and bias, where they learn.
        learned: Option<[View; 2]>,
        /// What is read.
        input: View,
        /// What is written.
        output: View,
    },
}

/// A convolution over one input whose output channels may go to several places.
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// Filter size, stride, padding.
    pub window: Window,
    /// What is read.
    pub input: View,
    /// Where its filters come from.
    pub filters: Filters,
    /// Whose filters, and where their outputs go, in order of output channel.
    pub parts: Vec<ConvPart>,
    /// Which pixels of the outputs it writes.
    pub phase: Phase,
}

/// Where a convolution's filters come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filters {
    /// The weights, batch norm folded in.
    Folded,
    /// The weights as they are.
    Plain,
    /// The weights, batch norm folded in, seen from their outputs: for a data gradient in inference.
    FoldedTransposed(FoldedTransposed),
    /// Parameters that learn, brought into the device's order by [`TrainOp::PackFilters`] before each use.
    Learned(LearnedFilters),
}

/// A regular grid of pixels: p·stride + first for each p, likewise in the other direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phase {
    /// From one pixel to the next, down and to the right.
    pub stride: (usize, usize),
    /// The first row and column.
    pub first: (usize, usize),
}

impl Phase {
    /// Every pixel.
    pub const ALL: Phase = Phase { stride: (1, 1), first: (0, 0) };
}

/// Convolutions that one launch computes; a thread block belongs to one of them.
#[derive(Clone, Debug)]
pub struct Conv2dGroup {
    /// The convolutions, and how each is cut; they write disjoint views.
    pub convs: Vec<(Conv2d, Tiling)>,
    /// The outputs of one thread block.
    pub tile: Tile,
    /// Room for the partial sums of convolutions that are cut along their sums.
    pub workspace: Option<View>,
}

/// One layer's share of a convolution.
#[derive(Clone, Debug)]
pub struct ConvPart {
    /// The layer that owns the filters.
    pub layer: String,
    /// Where its channels go.
    pub output: View,
    /// What follows the sum of products.
    pub epilogue: Epilogue,
}

/// What a step does to a value before it writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// Adds the folded batch norm's bias, then ReLU.
    BiasRelu,
    /// Adds what stands there.
    Accumulate,
}

/// A pool over a window.
#[derive(Clone, Debug)]
pub struct Pool2d {
    /// Maximum or mean.
    pub kind: PoolKind,
    /// Window size, stride, padding.
    pub window: Window,
    /// What is read.
    pub input: View,
    /// What is written.
    pub output: View,
}

/// What a pool takes of its window.
#[derive(Clone, Debug)]
pub enum PoolKind {
    /// The largest value; padding never wins.
    Max,
    /// The mean.
    Average(Average),
}

/// How a mean is taken.
#[derive(Clone, Debug)]
pub struct Average {
    /// What it is divided by at the border.
    pub padding: AvgPoolPadding,
    /// The layer whose folded bias and ReLU follow, when the pool was moved behind that layer's 1×1 convolution.
    pub bias_relu: Option<String>,
}

impl Conv2d {
    /// The views it overwrites.
    pub fn outputs(&self) -> impl Iterator<Item = View> {
        self.parts.iter().map(|part| part.output)
    }

    /// Output channels K of all parts.
    pub fn output_channels(&self) -> usize {
        self.outputs().map(|view| view.channels).sum()
    }

    /// Terms of the sum for one output: C·R·S.
    pub fn terms(&self) -> usize {
        self.input.channels * self.window.kernel.0 * self.window.kernel.1
    }

    /// Height and width of what it writes, the pixels of its phase.
    pub fn output_size(&self, program: &Program) -> (usize, usize) {
        let MapShape { h, w, .. } = program.shape(self.parts[0].output);
        let Phase { stride, first } = self.phase;
        ((h - first.0).div_ceil(stride.0), (w - first.1).div_ceil(stride.1))
    }

    fn kind(&self) -> &'static str {
        if self.is_transposed() { "conv2d_backward_data" } else { "conv2d" }
    }

    /// Whether it is the data gradient of another convolution.
    pub fn is_transposed(&self) -> bool {
        match &self.filters {
            Filters::FoldedTransposed(_) => true,
            Filters::Learned(learned) => learned.transposed.is_some(),
            Filters::Folded | Filters::Plain => false,
        }
    }

    /// Floating-point operations on the whole batch; of a data gradient those of the convolution whose gradient it is, share of its
    /// taps.
    fn flops(&self, program: &Program) -> u64 {
        let batch = program.options.batch as u64;
        let elements = |view: View| program.shape(view).elements() as u64;
        let taps = (self.window.kernel.0 * self.window.kernel.1) as u64;
        match self.is_transposed() {
            true => 2 * batch * elements(self.input) * taps * self.output_channels() as u64,
            false => 2 * batch * self.outputs().map(elements).sum::<u64>() * self.terms() as u64,
        }
    }

    /// The views it reads: maps, filters that were packed before, and what it adds to.
    fn reads(&self) -> Vec<View> {
        let accumulated = self.parts.iter().filter(|part| part.epilogue == Epilogue::Accumulate);
        let packed = match &self.filters {
            Filters::Learned(learned) => Some(learned.packed),
            _ => None,
        };
        [self.input].into_iter().chain(packed).chain(accumulated.map(|part| part.output)).collect()
    }

    /// Values that come from the weights.
    fn parameters(&self) -> usize {
        if matches!(self.filters, Filters::Learned(_)) {
            return 0;
        }
        let bias = self.parts.iter().filter(|part| part.epilogue == Epilogue::BiasRelu);
        self.output_channels() * self.terms() + bias.map(|part| part.output.channels).sum::<usize>()
    }
}

impl Step {
    /// The views it reads.
    pub fn inputs(&self) -> Vec<View> {
        match &self.op {
            StepOp::Conv2d(conv) => conv.reads(),
            StepOp::Conv2dGroup(group) => group.convs.iter().flat_map(|(conv, _)| conv.reads()).collect(),
            StepOp::Pool2d(pool) => vec![pool.input],
            StepOp::Concat { inputs, .. } => inputs.clone(),
            StepOp::Train(op) => op.inputs(),
            StepOp::Linear { input, learned, .. } => {
                [*input].into_iter().chain(learned.iter().flatten().copied()).collect()
            }
            StepOp::BatchNorm { input, .. }
            | StepOp::Relu { input, .. }
            | StepOp::GlobalAvgPool { input, .. }
            | StepOp::Pack { input, .. }
            | StepOp::Crop { input, .. }
            | StepOp::Softmax { input, .. } => vec![*input],
        }
    }

    /// The views it overwrites, workspace apart.
    pub fn outputs(&self) -> Vec<View> {
        match &self.op {
            StepOp::Conv2d(conv) => conv.outputs().collect(),
            StepOp::Conv2dGroup(group) => group.convs.iter().flat_map(|(conv, _)| conv.outputs()).collect(),
            StepOp::Pool2d(pool) => vec![pool.output],
            StepOp::Train(op) => op.outputs(),
            StepOp::BatchNorm { output, .. }
            | StepOp::Relu { output, .. }
            | StepOp::Concat { output, .. }
            | StepOp::GlobalAvgPool { output, .. }
            | StepOp::Pack { output, .. }
            | StepOp::Crop { output, .. }
            | StepOp::Softmax { output, .. }
            | StepOp::Linear { output, .. } => vec![*output],
        }
    }

    /// Memory it uses beside its views.
    pub fn workspace(&self) -> Option<View> {
        match &self.op {
            StepOp::Conv2dGroup(group) => group.workspace,
            StepOp::Train(op) => op.workspace(),
            _ => None,
        }
    }

    /// What kind of step it is, in a word.
    pub fn kind(&self) -> &'static str {
        match &self.op {
            StepOp::Conv2d(conv) => conv.kind(),
            StepOp::Conv2dGroup(group) => group.convs[0].0.kind(),
            StepOp::Train(op) => op.kind(),
            StepOp::Pack { .. } => "pack",
            StepOp::Crop { .. } => "crop",
            StepOp::BatchNorm { .. } => "batch_norm",
            StepOp::Relu { .. } => "relu",
            StepOp::Pool2d(Pool2d { kind: PoolKind::Max, .. }) => "max_pool2d",
            StepOp::Pool2d(Pool2d { kind: PoolKind::Average(_), .. }) => "avg_pool2d",
            StepOp::Concat { .. } => "concat",
            StepOp::GlobalAvgPool { .. } => "global_avg_pool",
            StepOp::Linear { .. } => "linear",
            StepOp::Softmax { .. } => "softmax",
        }
    }

    /// Floating-point operations on the whole batch; a multiply-add counts two, a comparison one.
    pub fn flops(&self, program: &Program) -> u64 {
        let batch = program.options.batch as u64;
        let input = |view: View| program.shape(view);
        let written: u64 = self.outputs().iter().map(|&v| program.shape(v).elements() as u64).sum();
        let each = match &self.op {
            StepOp::Train(op) => return op.flops(program),
            StepOp::Conv2d(conv) => return conv.flops(program),
            StepOp::Conv2dGroup(group) => {
                return group.convs.iter().map(|(conv, _)| conv.flops(program)).sum();
            }
            StepOp::Pool2d(pool) => (pool.window.kernel.0 * pool.window.kernel.1) as u64,
            StepOp::BatchNorm { .. } | StepOp::Softmax { .. } => 2,
            StepOp::Crop { .. } => 3,
            StepOp::Relu { .. } => 1,
            StepOp::Concat { .. } | StepOp::Pack { .. } => 0,
            StepOp::GlobalAvgPool { input: view, .. } => (input(*view).h * input(*view).w) as u64,
            StepOp::Linear { input: view, .. } => 2 * input(*view).elements() as u64,
        };
        batch * written * each
    }

    /// Bytes of its parameters.
    pub fn parameter_bytes(&self, program: &Program) -> u64 {
        let values = match &self.op {
            StepOp::Conv2d(conv) => conv.parameters(),
            StepOp::Conv2dGroup(group) => group.convs.iter().map(|(conv, _)| conv.parameters()).sum(),
            StepOp::Pool2d(Pool2d {
                kind: PoolKind::Average(Average { bias_relu: Some(_), .. }),
                output,
                ..
            }) => output.channels,
            StepOp::BatchNorm { output, .. } => 4 * output.channels,
            StepOp::Crop {
                normalization: Normalization { mean: Mean::Image { values, .. }, .. }, ..
            } => values.len(),
            StepOp::Linear { input, output, learned: None, .. } => {
                (program.shape(*input).elements() + 1) * output.channels
            }
            _ => 0,
        };
        4 * values as u64
    }

    /// Bytes it must move at least: inputs and parameters read once, outputs written once, a phase its share of them. Crops, of
    /// which nobody knows the size, count nothing.
    pub fn bytes(&self, program: &Program) -> u64 {
        let sum = |views: Vec<View>| views.into_iter().map(|view| view_bytes(program, view)).sum::<u64>();
        let conv = |conv: &Conv2d| {
            let (h, w) = conv.phase.stride;
            sum(conv.reads()) + sum(conv.outputs().collect()) / (h * w) as u64
        };
        let views = match &self.op {
            StepOp::Conv2d(own) => conv(own),
            StepOp::Conv2dGroup(group) => group.convs.iter().map(|(own, _)| conv(own)).sum(),
            _ => sum(self.inputs()) + sum(self.outputs()),
        };
        views + self.parameter_bytes(program)
    }
}

/// Bytes of the whole batch's part of `view`.
fn view_bytes(program: &Program, view: View) -> u64 {
    let buffer = &program.buffers[view.buffer];
    match buffer.layout {
        Layout::Crops => 0,
        _ if !buffer.role.is_per_image() => 4 * view.channels as u64,
        _ => 4 * program.shape(view).elements() as u64 * program.options.batch as u64,
    }
}

//! The steps that only training has.

use super::sums::SumCut;
use crate::network::{AvgPoolPadding, Window};
use crate::program::{Conv2d, MapShape, Program, Tile, Tiling, View};

/// What a training step does. Gradients of maps are overwritten, or added to where `accumulate` says so; gradients of
/// parameters are overwritten. `parameters` and `gradients` are ranges of the buffers that hold them all.
#[derive(Clone, Debug)]
pub enum TrainOp {
    /// Filters that learn, brought into the order in which the device's convolutions read them.
    PackFilters {
        /// All parameters.
        parameters: View,
        /// The convolutions, each with where its filters go ([`LearnedFilters::packed`](super::LearnedFilters)).
        convs: Vec<Packing>,
    },
    /// Mean and 1/√(variance + ε) of each channel over the batch, the variance that of the batch itself; running ← (1 − m)·running +
    /// m·batch, with the unbiased variance.
    BatchNormStats {
        /// The layer whose batch norm it is.
        layer: String,
        /// The convolution's output z.
        input: View,
        /// Mean, then 1/√(variance + ε), C values each.
        stats: View,
        /// Running mean, then running variance, C values each.
        running: View,
        /// m.
        momentum: f32,
        /// How it is cut for a GPU.
        cut: Option<SumCut>,
    },
    /// y = γ·(z − mean)/√(variance + ε) + β, and with `relu` the larger of that and 0.
    Normalize {
        /// The layer that owns γ and β.
        layer: String,
        /// z.
        input: View,
        /// What [`TrainOp::BatchNormStats`] wrote.
        stats: View,
        /// γ, then β.
        parameters: View,
        /// Whether ReLU follows in the same step.
        relu: bool,
        /// y.
        output: View,
    },
    /// dx = dy where y > 0 (or is no number), else 0.
    ReluBackward {
        /// y, what ReLU gave.
        output: View,
        /// dy.
        dy: View,
        /// dx.
        dx: View,
        /// Whether dx is added to.
        accumulate: bool,
    },
    /// The gradient of each input of a concat: its channels of dy.
    ConcatBackward {
        /// The inputs through which a gradient must go.
        parts: Vec<GradientCopy>,
    },
    /// y = x/keep with probability `keep`, else 0, by a generator keyed with seed, step and the value's place: forward on x, backward
    /// on dy, which are treated the same.
    Dropout {
        /// x.
        input: View,
        /// y.
        output: View,
        /// [`Controls`](super::Controls).
        controls: View,
        /// The share that is kept.
        keep: f32,
    },
    /// −Σ t·log p over the batch and its gradient; p as [`StepOp::Softmax`](crate::program::StepOp).
    Loss {
        /// N·K values.
        logits: View,
        /// t: N·max(K, 2) weights.
        targets: View,
        /// One value.
        loss: View,
        /// N·K values.
        gradient: View,
    },
    /// dW = dyᵀ·x, db = Σ dy, dx = dy·W.
    LinearBackward {
        /// The layer.
        layer: String,
        /// x.
        input: View,
        /// dy.
        dy: View,
        /// dx, where something below learns.
        dx: Option<View>,
        /// W and b.
        parameters: [View; 2],
        /// dW and db.
        gradients: [View; 2],
    },
    /// dx = dy / (H·W) at each pixel.
    GlobalAvgPoolBackward {
        /// dy.
        dy: View,
        /// dx.
        dx: View,
    },
    /// dx of a pool over a window.
    Pool2dBackward {
        /// Maximum or mean.
        kind: PoolBackward,
        /// Size, stride, padding.
        window: Window,
        /// dy.
        dy: View,
        /// dx.
        dx: View,
        /// Whether dx is added to.
        accumulate: bool,
    },
    /// dγ = Σ dy·ẑ and dβ = Σ dy over the batch, ẑ = (z − mean)/√(variance + ε); with `relu` only where ReLU was not flat, which is
    /// told from γ·ẑ + β.
    NormalizeSums {
        /// The layer that owns γ and β.
        layer: String,
        /// z.
        input: View,
        /// As in [`TrainOp::Normalize`].
        stats: View,
        /// γ, then β.
        parameters: View,
        /// As in [`TrainOp::Normalize`].
        relu: bool,
        /// dy.
        dy: View,
        /// dγ, then dβ.
        gradients: View,
        /// How it is cut for a GPU.
        cut: Option<SumCut>,
    },
    /// dz = γ/√(variance + ε)·(dy − dβ/M − ẑ·dγ/M), M = N·H·W, dy counted as 0 where there is `relu` and it was flat.
    NormalizeBackward {
        /// The layer that owns γ and β.
        layer: String,
        /// z.
        input: View,
        /// As in [`TrainOp::Normalize`].
        stats: View,
        /// γ, then β.
        parameters: View,
        /// As in [`TrainOp::Normalize`].
        relu: bool,
        /// dγ, then dβ, as [`TrainOp::NormalizeSums`] wrote them.
        gradients: View,
        /// dy.
        dy: View,
        /// dz.
        dz: View,
    },
    /// `dW[k,c,r,s] = Σ_{n,p,q} dz[n,k,p,q]·x[n, c, p·stride_h − pad_h + r, q·stride_w − pad_w + s]`.
    Conv2dBackwardWeight {
        /// The convolution.
        conv: Conv2d,
        /// dz of all its parts.
        dz: View,
        /// dW of each part, `[K,C,R,S]`.
        gradients: Vec<View>,
        /// How it is cut for a GPU.
        cut: Option<WeightCut>,
    },
    /// ‖g‖₂ of all gradients.
    GradientNorm {
        /// g.
        gradients: View,
        /// One value.
        norm: View,
        /// How it is cut for a GPU.
        cut: Option<SumCut>,
    },
    /// g ← g·min(1, clip/‖g‖) + λw, v ← μv + g, w ← w − lr·v, or with Nesterov w ← w − lr·(g + μv), for all parameters that learn.
    /// Source: torch.optim.SGD and torch.nn.utils.clip_grad_norm_.
    Update {
        /// w.
        parameters: View,
        /// g.
        gradients: View,
        /// v.
        momentum: View,
        /// ‖g‖₂.
        norm: View,
        /// [`Controls`](super::Controls).
        controls: View,
    },
}

/// A gradient that goes on unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GradientCopy {
    /// dy.
    pub dy: View,
    /// dx, as many channels.
    pub dx: View,
    /// Whether dx is added to.
    pub accumulate: bool,
}

/// A convolution whose filters are packed, and for a GPU how it is cut.
#[derive(Clone, Debug)]
pub struct Packing {
    /// The convolution.
    pub conv: Conv2d,
    /// Its thread blocks, which read the filters in an order of their own.
    pub cut: Option<(Tile, Tiling)>,
}

/// What a pool took of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolBackward {
    /// The first largest value of x in reading order, or the last NaN, takes the gradient.
    Max {
        /// x.
        input: View,
    },
    /// All values share it; what they are divided by at the border.
    Average(AvgPoolPadding),
}

/// How the gradient of filters is cut into thread blocks: tiles of K × C·R·S, slices of the sum over pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightCut {
    /// Output channels and filter values of one thread block.
    pub tile: (usize, usize),
    /// Parts of the sum over N·P·Q that different thread blocks compute.
    pub slices: usize,
    /// Room for partial sums, where there are several slices.
    pub workspace: Option<View>,
    /// First of its counters in [`Program::tickets`], one a tile; used when there are several slices.
    pub first_ticket: usize,
}

impl TrainOp {
    /// The views it reads.
    pub fn inputs(&self) -> Vec<View> {
        use TrainOp::*;
        let also = |view: View, and: bool| if and { vec![view] } else { vec![] };
        match self {
            PackFilters { parameters, .. } => vec![*parameters],
            BatchNormStats { input, running, .. } => vec![*input, *running],
            Normalize { input, stats, parameters, .. } => vec![*input, *stats, *parameters],
            ReluBackward { output, dy, dx, accumulate } => {
                [vec![*output, *dy], also(*dx, *accumulate)].concat()
            }
            ConcatBackward { parts } => parts
                .iter()
                .flat_map(|part| [vec![part.dy], also(part.dx, part.accumulate)].concat())
                .collect(),
            Dropout { input, controls, .. } => vec![*input, *controls],
            Loss { logits, targets, .. } => vec![*logits, *targets],
            LinearBackward { input, dy, parameters, .. } => {
                [*input, *dy].iter().chain(parameters).copied().collect()
            }
            GlobalAvgPoolBackward { dy, .. } => vec![*dy],
            Pool2dBackward { kind: PoolBackward::Max { input }, dy, dx, accumulate, .. } => {
                [vec![*dy, *input], also(*dx, *accumulate)].concat()
            }
            Pool2dBackward { dy, dx, accumulate, .. } => [vec![*dy], also(*dx, *accumulate)].concat(),
            NormalizeSums { input, stats, dy, parameters, .. } => vec![*input, *stats, *dy, *parameters],
            NormalizeBackward { input, stats, parameters, gradients, dy, .. } => {
                vec![*input, *stats, *dy, *parameters, *gradients]
            }
            Conv2dBackwardWeight { conv, dz, .. } => vec![conv.input, *dz],
            GradientNorm { gradients, .. } => vec![*gradients],
            Update { parameters, gradients, momentum, norm, controls } => {
                vec![*parameters, *gradients, *momentum, *norm, *controls]
            }
        }
    }

    /// The views it writes, workspace apart.
    pub fn outputs(&self) -> Vec<View> {
        use TrainOp::*;
        match self {
            PackFilters { convs, .. } => convs.iter().filter_map(Packing::packed).collect(),
            BatchNormStats { stats, running, .. } => vec![*stats, *running],
            Normalize { output, .. } | Dropout { output, .. } => vec![*output],
            Loss { loss, gradient, .. } => vec![*loss, *gradient],
            LinearBackward { dx, gradients, .. } => dx.iter().chain(gradients).copied().collect(),
            GlobalAvgPoolBackward { dx, .. } | Pool2dBackward { dx, .. } | ReluBackward { dx, .. } => {
                vec![*dx]
            }
            ConcatBackward { parts } => parts.iter().map(|part| part.dx).collect(),
            NormalizeSums { gradients, .. } => vec![*gradients],
            NormalizeBackward { dz, .. } => vec![*dz],
            Conv2dBackwardWeight { gradients, .. } => gradients.clone(),
            GradientNorm { norm, .. } => vec![*norm],
            Update { parameters, momentum, .. } => vec![*parameters, *momentum],
        }
    }

    /// Memory it uses beside its views.
    pub fn workspace(&self) -> Option<View> {
        match self {
            TrainOp::Conv2dBackwardWeight { cut: Some(cut), .. } => cut.workspace,
            TrainOp::BatchNormStats { cut, .. }
            | TrainOp::NormalizeSums { cut, .. }
            | TrainOp::GradientNorm { cut, .. } => cut.and_then(|cut| cut.workspace),
            _ => None,
        }
    }

    /// What kind of step it is, in a word.
    pub fn kind(&self) -> &'static str {
        use TrainOp::*;
        match self {
            PackFilters { .. } => "pack_filters",
            BatchNormStats { .. } => "batch_norm_stats",
            Normalize { .. } => "normalize",
            ReluBackward { .. } => "relu_backward",
            ConcatBackward { .. } => "concat_backward",
            Dropout { .. } => "dropout",
            Loss { .. } => "loss",
            LinearBackward { .. } => "linear_backward",
            GlobalAvgPoolBackward { .. } => "global_avg_pool_backward",
            Pool2dBackward { kind: PoolBackward::Max { .. }, .. } => "max_pool2d_backward",
            Pool2dBackward { .. } => "avg_pool2d_backward",
            NormalizeSums { .. } => "normalize_sums",
            NormalizeBackward { .. } => "normalize_backward",
            Conv2dBackwardWeight { .. } => "conv2d_backward_weight",
            GradientNorm { .. } => "gradient_norm",
            Update { .. } => "update",
        }
    }

    /// Floating-point operations on the whole batch.
    pub fn flops(&self, program: &Program) -> u64 {
        use TrainOp::*;
        let batch = program.options.batch as u64;
        let map = |view: &View| batch * program.shape(*view).elements() as u64;
        match self {
            PackFilters { .. } | ConcatBackward { .. } => 0,
            ReluBackward { dx, .. } => map(dx),
            // Two sums of a difference.
            BatchNormStats { input, .. } => 4 * map(input),
            Normalize { input, .. } => 3 * map(input),
            Dropout { input, .. } => map(input),
            Loss { logits, .. } => 4 * map(logits),
            LinearBackward { input, dy, dx, .. } => {
                let MapShape { c, .. } = program.shape(*dy);
                2 * map(input) * c as u64 * if dx.is_some() { 2 } else { 1 } + map(dy)
            }
            GlobalAvgPoolBackward { dx, .. } => map(dx),
            Pool2dBackward { window, dy, .. } => map(dy) * (window.kernel.0 * window.kernel.1) as u64,
            NormalizeSums { input, .. } => 5 * map(input),
            NormalizeBackward { input, .. } => 7 * map(input),
            Conv2dBackwardWeight { conv, dz, .. } => 2 * map(dz) * conv.terms() as u64,
            GradientNorm { gradients, .. } => 2 * gradients.channels as u64,
            Update { parameters, .. } => 6 * parameters.channels as u64,
        }
    }
}

impl Packing {
    /// Where the filters go.
    pub fn packed(&self) -> Option<View> {
        match &self.conv.filters {
            crate::program::Filters::Learned(learned) => Some(learned.packed),
            _ => None,
        }
    }
}

//! The steps that only training has.

use crate::network::Window;
use crate::program::{Conv2d, MapShape, Program, View};

/// What a training step does. Gradients of maps are overwritten, or added to where `accumulate` says so; gradients of
/// parameters are overwritten.
#[derive(Clone, Debug)]
pub enum TrainOp {
    /// Mean and 1/√(variance + ε) of each channel over the batch; the running statistics follow.
    BatchNormStats {
        /// The layer whose batch norm it is.
        layer: String,
        /// The convolution's output z.
        input: View,
        /// Mean, then 1/√(variance + ε), C values each.
        stats: View,
    },
    /// y = max(γ·(z − mean)/√(variance + ε) + β, 0).
    Normalize {
        /// The layer that owns γ and β.
        layer: String,
        /// z.
        input: View,
        /// What [`TrainOp::BatchNormStats`] wrote.
        stats: View,
        /// y.
        output: View,
    },
    /// The batch's mean loss of logits and labels, and its gradient.
    Loss {
        /// N·K values.
        logits: View,
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
        /// dW and db in the gradients of all parameters.
        gradients: View,
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
        /// Size, stride, padding.
        window: Window,
        /// x of a maximum, whose gradient goes to the first largest value; a mean needs none.
        largest_of: Option<View>,
        /// dy.
        dy: View,
        /// dx.
        dx: View,
        /// Whether dx is added to.
        accumulate: bool,
    },
    /// dz, dγ and dβ of batch norm and ReLU; where ReLU was flat is told from z.
    NormalizeBackward {
        /// The layer that owns γ and β.
        layer: String,
        /// z.
        input: View,
        /// As in [`TrainOp::Normalize`].
        stats: View,
        /// dy.
        dy: View,
        /// dz.
        dz: View,
        /// dγ, then dβ, in the gradients of all parameters.
        gradients: View,
    },
    /// `dW[k,c,r,s] = Σ_{n,p,q} dz[n,k,p,q]·x[n, c, p·stride_h − pad_h + r, q·stride_w − pad_w + s]`.
    Conv2dBackwardWeight {
        /// The convolution.
        conv: Conv2d,
        /// dz of all its parts.
        dz: View,
        /// dW of each part in the gradients of all parameters.
        gradients: Vec<View>,
    },
    /// dx of a convolution, of all its parts in one.
    Conv2dBackwardData {
        /// The convolution.
        conv: Conv2d,
        /// dz of all its parts.
        dz: View,
        /// dx.
        dx: View,
        /// Whether dx is added to.
        accumulate: bool,
    },
    /// g += λw, v ← μv + g, w ← w − lr·v for all parameters that learn. Source: torch.optim.SGD.
    Update {
        /// w.
        parameters: View,
        /// g.
        gradients: View,
        /// v.
        momentum: View,
    },
}

impl TrainOp {
    /// The views it reads, parameters apart.
    pub fn inputs(&self) -> Vec<View> {
        use TrainOp::*;
        let also = |view: View, and: bool| if and { vec![view] } else { vec![] };
        match self {
            BatchNormStats { input, .. } => vec![*input],
            Normalize { input, stats, .. } => vec![*input, *stats],
            Loss { logits, .. } => vec![*logits],
            LinearBackward { input, dy, .. } => vec![*input, *dy],
            GlobalAvgPoolBackward { dy, .. } => vec![*dy],
            Pool2dBackward { largest_of, dy, dx, accumulate, .. } => {
                [vec![*dy], largest_of.iter().copied().collect(), also(*dx, *accumulate)].concat()
            }
            NormalizeBackward { input, stats, dy, .. } => vec![*input, *stats, *dy],
            Conv2dBackwardWeight { conv, dz, .. } => vec![conv.input, *dz],
            Conv2dBackwardData { dz, dx, accumulate, .. } => [vec![*dz], also(*dx, *accumulate)].concat(),
            Update { parameters, gradients, momentum } => vec![*parameters, *gradients, *momentum],
        }
    }

    /// The views it writes.
    pub fn outputs(&self) -> Vec<View> {
        use TrainOp::*;
        match self {
            BatchNormStats { stats, .. } => vec![*stats],
            Normalize { output, .. } => vec![*output],
            Loss { loss, gradient, .. } => vec![*loss, *gradient],
            LinearBackward { dx, gradients, .. } => dx.iter().copied().chain([*gradients]).collect(),
            GlobalAvgPoolBackward { dx, .. } | Pool2dBackward { dx, .. } | Conv2dBackwardData { dx, .. } => {
                vec![*dx]
            }
            NormalizeBackward { dz, gradients, .. } => vec![*dz, *gradients],
            Conv2dBackwardWeight { gradients, .. } => gradients.clone(),
            Update { parameters, momentum, .. } => vec![*parameters, *momentum],
        }
    }

    /// What kind of step it is, in a word.
    pub fn kind(&self) -> &'static str {
        use TrainOp::*;
        match self {
            BatchNormStats { .. } => "batch_norm_stats",
            Normalize { .. } => "normalize",
            Loss { .. } => "loss",
            LinearBackward { .. } => "linear_backward",
            GlobalAvgPoolBackward { .. } => "global_avg_pool_backward",
            Pool2dBackward { largest_of: Some(_), .. } => "max_pool2d_backward",
            Pool2dBackward { .. } => "avg_pool2d_backward",
            NormalizeBackward { .. } => "normalize_backward",
            Conv2dBackwardWeight { .. } => "conv2d_backward_weight",
            Conv2dBackwardData { .. } => "conv2d_backward_data",
            Update { .. } => "update",
        }
    }

    /// Floating-point operations on the whole batch.
    pub fn flops(&self, program: &Program) -> u64 {
        use TrainOp::*;
        let batch = program.options.batch as u64;
        let map = |view: &View| batch * program.shape(*view).elements() as u64;
        let conv = |conv: &Conv2d| {
            let written: u64 = conv.outputs().map(|view| map(&view)).sum();
            written * 2 * conv.terms() as u64
        };
        match self {
            // Two sums of a difference.
            BatchNormStats { input, .. } => 4 * map(input),
            Normalize { input, .. } => 3 * map(input),
            Loss { logits, .. } => 4 * map(logits),
            LinearBackward { input, dy, dx, .. } => {
                let MapShape { c, .. } = program.shape(*dy);
                2 * map(input) * c as u64 * if dx.is_some() { 2 } else { 1 } + map(dy)
            }
            GlobalAvgPoolBackward { dx, .. } => map(dx),
            Pool2dBackward { window, dy, .. } => map(dy) * (window.kernel.0 * window.kernel.1) as u64,
            // Two sums, then dz from them.
            NormalizeBackward { input, .. } => 10 * map(input),
            Conv2dBackwardWeight { conv: c, .. } | Conv2dBackwardData { conv: c, .. } => conv(c),
            Update { parameters, .. } => 6 * parameters.channels as u64,
        }
    }

    /// Bytes of the parameters it reads beside its views.
    pub fn parameter_bytes(&self) -> u64 {
        use TrainOp::*;
        let values = match self {
            Normalize { output, .. } => 2 * output.channels,
            NormalizeBackward { input, .. } => 2 * input.channels,
            LinearBackward { input, dy, dx: Some(_), .. } => input.channels * dy.channels,
            Conv2dBackwardData { conv, .. } => conv.output_channels() * conv.terms(),
            _ => 0,
        };
        4 * values as u64
    }
}

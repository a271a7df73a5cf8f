//! Launches of the steps that only training has.

use super::conv2d::whole;
use super::launch::Launch;
use super::parameters::MapView;
use super::{
    batch_norm, conv2d_backward_weight, dropout, elementwise_backward, linear_backward, loss, pack_filters,
    pool2d_backward, sgd,
};
use crate::network::Window;
use crate::program::{GradientCopy, PoolBackward, Program, TrainOp, View};

/// Why the kernels cannot take `op`; `None` where they can.
pub(super) fn refusal(program: &Program, op: &TrainOp) -> Option<&'static str> {
    match op {
        TrainOp::PackFilters { convs, .. } if !pack_filters::fits(convs) => {
            Some("more convolutions that learn than the packing kernel takes")
        }
        TrainOp::PackFilters { .. } => None,
        TrainOp::Conv2dBackwardWeight { conv, cut: Some(cut), .. } => {
            let fits = conv2d_backward_weight::fits(program, conv, cut);
            (!fits).then_some("the kernels of filter gradients do not take this shape")
        }
        TrainOp::Conv2dBackwardWeight { cut: None, .. } | TrainOp::GradientNorm { cut: None, .. } => {
            Some("the program was lowered for another device")
        }
        TrainOp::BatchNormStats { .. }
        | TrainOp::Normalize { .. }
        | TrainOp::NormalizeSums { .. }
        | TrainOp::NormalizeBackward { .. } => (!batch_norm::fits(op))
            .then_some("the kernels of batch norm take arrays at multiples of four only"),
        TrainOp::LinearBackward { input, parameters, gradients, .. } => {
            let fits = input.channels.is_multiple_of(4) && aligned(&[parameters[0], gradients[0]]);
            (!fits).then_some("the kernel of the last layer takes weights at multiples of four only")
        }
        TrainOp::GradientNorm { gradients, .. } => (!aligned(&[*gradients])).then_some(UNALIGNED),
        TrainOp::Update { parameters, gradients, momentum, .. } => {
            (!aligned(&[*parameters, *gradients, *momentum])).then_some(UNALIGNED)
        }
        TrainOp::Pool2dBackward { window: Window { kernel: (r, s), .. }, .. } if r * s > 256 => {
            Some("the kernels of pools take windows of at most 256 values")
        }
        TrainOp::ConcatBackward { parts } if parts.len() > elementwise_backward::MAX_PARTS => {
            Some("more inputs than the kernel of a concat's gradient takes")
        }
        TrainOp::Dropout { .. }
        | TrainOp::ReluBackward { .. }
        | TrainOp::ConcatBackward { .. }
        | TrainOp::Loss { .. }
        | TrainOp::GlobalAvgPoolBackward { .. }
        | TrainOp::Pool2dBackward { .. } => None,
    }
}

const UNALIGNED: &str = "the kernels of the update take parameters at multiples of four only";

/// Whether 128-bit accesses can begin at the first value of each view.
fn aligned(views: &[View]) -> bool {
    views.iter().all(|view| view.channel.is_multiple_of(4))
}

/// What the step's kernel reads beside maps and parameters.
pub(super) fn constants(program: &Program, op: &TrainOp) -> Vec<f32> {
    match op {
        TrainOp::PackFilters { convs, .. } => pack_filters::constants(program, convs),
        _ => Vec::new(),
    }
}

/// The launch of `op`, which [`refusal`] has nothing against, for the first `images` images.
pub(super) fn launch(program: &Program, op: &TrainOp, images: usize, constants: usize) -> Launch {
    let view = |view: &View| MapView::new(program, *view, images);
    match op {
        TrainOp::PackFilters { parameters, convs } => {
            pack_filters::launch(program, *parameters, convs, constants)
        }
        TrainOp::Conv2dBackwardWeight { conv, dz, gradients, cut: Some(cut) } => {
            conv2d_backward_weight::launch(program, conv, *dz, gradients, cut, images)
        }
        TrainOp::ReluBackward { output, dy, dx, accumulate } => {
            elementwise_backward::launch_relu(view(output), view(dy), view(dx), *accumulate)
        }
        TrainOp::ConcatBackward { parts } => {
            let part = |part: &GradientCopy| (view(&part.dy), view(&part.dx), part.accumulate);
            elementwise_backward::launch_concat(&parts.iter().map(part).collect::<Vec<_>>())
        }
        TrainOp::GlobalAvgPoolBackward { dy, dx } => pool2d_backward::launch_global(view(dy), view(dx)),
        TrainOp::Pool2dBackward { kind, window, dy, dx, accumulate } => {
            let taken = match kind {
                PoolBackward::Max { input } => pool2d_backward::Taken::Max(view(input)),
                PoolBackward::Average(padding) => pool2d_backward::Taken::Average(*padding),
            };
            pool2d_backward::launch(&taken, *window, view(dy), view(dx), *accumulate)
        }
        TrainOp::LinearBackward { input, dy, dx, parameters, gradients, .. } => {
            let ([weight, _], [dw, db]) = (*parameters, *gradients);
            linear_backward::launch(program, (*input, *dy, *dx), [weight, dw, db], images)
        }
        TrainOp::Dropout { input, output, controls, keep } => {
            dropout::launch(view(input), view(output), whole(program, *controls), *keep)
        }
        TrainOp::Loss { logits, targets, loss, gradient } => {
            loss::launch(view(logits), view(targets), whole(program, *loss), view(gradient))
        }
        TrainOp::GradientNorm { gradients, norm, cut: Some(cut) } => {
            sgd::launch_norm(program, *gradients, *norm, cut)
        }
        TrainOp::Update { parameters, gradients, momentum, norm, controls } => {
            sgd::launch_update(program, [*parameters, *gradients, *momentum], [*norm, *controls])
        }
        _ => match batch_norm::launch(program, op, images) {
            Some(launch) => launch,
            None => unreachable!("refused when the program was bound"),
        },
    }
}

//! Launches of the steps that only training has.

use super::launch::Launch;
use super::{conv2d_backward_weight, pack_filters};
use crate::program::{Program, TrainOp};

/// Why the kernels cannot take `op`; `None` where they can.
pub(super) fn refusal(program: &Program, op: &TrainOp) -> Option<&'static str> {
    match op {
        TrainOp::PackFilters { convs, .. } if !pack_filters::fits(convs) => {
            Some("more convolutions that learn than the packing kernel takes")
        }
        TrainOp::PackFilters { .. } => None,
        TrainOp::Conv2dBackwardWeight { conv, dz, cut: Some(cut), .. } => {
            let fits = conv2d_backward_weight::fits(program, conv, *dz, cut);
            (!fits).then_some("the kernels of filter gradients do not take this shape")
        }
        _ => Some("no kernel"),
    }
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
    match op {
        TrainOp::PackFilters { parameters, convs } => {
            pack_filters::launch(program, *parameters, convs, constants)
        }
        TrainOp::Conv2dBackwardWeight { conv, dz, gradients, cut: Some(cut) } => {
            conv2d_backward_weight::launch(program, conv, *dz, gradients, cut, images)
        }
        _ => unreachable!("refused when the program was bound"),
    }
}

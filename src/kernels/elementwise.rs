//! Launches of `kernels/elementwise.cu`.

use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters, constant, grid};
use crate::error::Result;
use crate::program::FoldedBatchNorm;
use crate::weights::Weights;

const fn kernel(name: &'static str) -> Kernel {
    Kernel { module: "elementwise", name, threads: 256 }
}

pub(super) const BATCH_NORM: Kernel = kernel("batch_norm_forward_f32");
pub(super) const RELU: Kernel = kernel("relu_forward_f32");
pub(super) const CONCAT: Kernel = kernel("concat_forward_f32");

/// Inputs of a concat at most.
pub(super) const MAX_INPUTS: usize = 6;

/// Scale [C], then shift [C] of `layer`'s batch norm.
pub(super) fn constants(weights: &Weights, layer: &str) -> Result<Vec<f32>> {
    let FoldedBatchNorm { scale, bias } = FoldedBatchNorm::of(weights, layer)?;
    Ok(scale.into_iter().map(|s| s as f32).chain(bias).collect())
}

/// y = scale · x + shift.
pub(super) fn launch_batch_norm(x: MapView, y: MapView, constants: usize) -> Launch {
    let scale = constant(constants, y.shape.c);
    let shift = constant(constants + scale.bytes, y.shape.c);
    Parameters::default()
        .map(&x)
        .map(&y)
        .pointer(scale)
        .pointer(shift)
        .ints([x.images, 0])
        .launch(BATCH_NORM, grid(y.shape.elements() / 4, y.images))
}

/// y = max(x, 0).
pub(super) fn launch_relu(x: MapView, y: MapView) -> Launch {
    let parameters = Parameters::default().map(&x).map(&y).pointer(None).pointer(None).ints([x.images, 0]);
    parameters.launch(RELU, grid(y.shape.elements() / 4, y.images))
}

/// y = the inputs one behind the other along the channels; one to [`MAX_INPUTS`] of them.
pub(super) fn launch_concat(inputs: &[MapView], y: MapView) -> Launch {
    let unused = inputs.iter().rev().take(1).cycle();
    let parameters =
        inputs.iter().chain(unused).take(MAX_INPUTS).fold(Parameters::default().map(&y), Parameters::map);
    parameters.ints([y.images, inputs.len()]).launch(CONCAT, grid(y.shape.elements() / 4, y.images))
}

//! Launches of `kernels/linear.cu`.

use super::launch::{Kernel, Launch, Pointer};
use super::parameters::{MapView, Parameters, constant};
use crate::error::Result;
use crate::weights::Weights;

pub(super) const LINEAR: Kernel = Kernel { module: "linear", name: "linear_forward_f32", threads: 256 };

/// Outputs of a block, one a warp.
const BLOCK_OUTPUTS: usize = 8;

/// Weight [K,C], then bias [K].
pub(super) fn constants(weights: &Weights, layer: &str) -> Result<Vec<f32>> {
    let mut values = weights.f32(&format!("{layer}.weight"))?.into_owned();
    values.extend(weights.f32(&format!("{layer}.bias"))?.iter());
    Ok(values)
}

/// Weight and bias among the constants.
pub(super) fn fixed(c: usize, k: usize, constants: usize) -> [Pointer; 2] {
    let weight = constant(constants, k * c);
    [weight, constant(constants + weight.bytes, k)]
}

/// x [N,C,1,1] to y [N,K].
pub(super) fn launch(x: MapView, y: MapView, [weight, bias]: [Pointer; 2]) -> Launch {
    let k = y.shape.c;
    Parameters::default()
        .map(&x)
        .pointer(weight)
        .pointer(bias)
        .pointer(y.pointer())
        .ints([x.images, k])
        .launch(LINEAR, [k.div_ceil(BLOCK_OUTPUTS), x.images, 1])
}

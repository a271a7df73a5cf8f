//! Launches of `kernels/pool2d.cu`.

use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters, constant, grid};
use crate::error::Result;
use crate::network::AvgPoolPadding;
use crate::program::{Average, FoldedBatchNorm, Pool2d, PoolKind};
use crate::weights::Weights;

const fn kernel(name: &'static str) -> Kernel {
    Kernel { module: "pool2d", name, threads: 256 }
}

pub(super) const MAX: Kernel = kernel("max_pool2d_forward_f32");
pub(super) const AVERAGE: Kernel = kernel("avg_pool2d_forward_f32");
pub(super) const GLOBAL_AVERAGE: Kernel = kernel("global_avg_pool2d_forward_f32");

/// Quads of channels that a block of the global pool takes, eight threads each.
const BLOCK_QUADS: usize = 32;

/// The bias that follows the pool, if any.
pub(super) fn constants(weights: &Weights, pool: &Pool2d) -> Result<Vec<f32>> {
    match &pool.kind {
        PoolKind::Average(Average { bias_relu: Some(layer), .. }) => {
            Ok(FoldedBatchNorm::of(weights, layer)?.bias)
        }
        _ => Ok(Vec::new()),
    }
}

/// y = the pool of x.
pub(super) fn launch(pool: &Pool2d, x: MapView, y: MapView, constants: usize) -> Launch {
    let (kernel, include, bias) = match &pool.kind {
        PoolKind::Max => (MAX, false, None),
        PoolKind::Average(average) => {
            let bias = average.bias_relu.as_ref().map(|_| constant(constants, y.shape.c));
            (AVERAGE, average.padding == AvgPoolPadding::Include, bias)
        }
    };
    let window = pool.window;
    Parameters::default()
        .map(&x)
        .map(&y)
        .pointer(bias)
        .int(x.images)
        .ints([window.kernel, window.stride, window.padding].into_iter().flat_map(|(h, w)| [h, w]))
        .int(usize::from(include))
        .launch(kernel, grid(y.shape.elements() / 4, y.images))
}

/// y [N,C,1,1] = the mean of each map of x.
pub(super) fn launch_global(x: MapView, y: MapView) -> Launch {
    let blocks = (x.shape.c / 4).div_ceil(BLOCK_QUADS);
    Parameters::default().map(&x).map(&y).ints([x.images, 0]).launch(GLOBAL_AVERAGE, [blocks, x.images, 1])
}

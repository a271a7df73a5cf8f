//! Launches of `kernels/elementwise_backward.cu`.

use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters, grid};

const fn kernel(name: &'static str) -> Kernel {
    Kernel { module: "elementwise_backward", name, threads: 256 }
}

pub(super) const RELU: Kernel = kernel("relu_backward_f32");
pub(super) const CONCAT: Kernel = kernel("concat_backward_f32");

/// Inputs of a concat at most.
pub(super) const MAX_PARTS: usize = 6;

/// dx of y = max(x, 0).
pub(super) fn launch_relu(y: MapView, dy: MapView, dx: MapView, accumulate: bool) -> Launch {
    let parameters = Parameters::default().map(&y).map(&dy).map(&dx).ints([dx.images, accumulate.into()]);
    parameters.launch(RELU, grid(dx.shape.elements() / 4, dx.images))
}

/// dx of each input of a concat: dy, dx, and whether dx is added to; one to [`MAX_PARTS`] of them.
pub(super) fn launch_concat(parts: &[(MapView, MapView, bool)]) -> Launch {
    let unused = parts.iter().rev().take(1).cycle();
    let parameters = parts.iter().chain(unused).take(MAX_PARTS).fold(Parameters::default(), |all, part| {
        let (dy, dx, accumulate) = part;
        all.map(dy).map(dx).ints([usize::from(*accumulate), 0])
    });
    let quads = parts.iter().map(|(_, dx, _)| dx.shape.elements() / 4).sum();
    let images = parts.first().map_or(0, |(_, dx, _)| dx.images);
    parameters.ints([images, parts.len()]).launch(CONCAT, grid(quads, images))
}

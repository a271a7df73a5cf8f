//! Launches of `kernels/dropout.cu`.

use super::launch::{Kernel, Launch, Pointer};
use super::parameters::{MapView, Parameters, grid};

pub(super) const DROPOUT: Kernel = Kernel { module: "dropout", name: "dropout_f32", threads: 256 };

/// y = x/keep where the value stays, by seed and step of `controls`.
pub(super) fn launch(x: MapView, y: MapView, controls: Pointer, keep: f32) -> Launch {
    // Below 2³² for what is smaller than 1.
    let limit = f64::from(keep) * 4_294_967_296.0;
    Parameters::default()
        .map(&x)
        .map(&y)
        .pointer(controls)
        .ints([x.images, limit as u32 as usize])
        .floats([1.0 / keep])
        .int(0)
        .launch(DROPOUT, grid(y.shape.elements() / 4, y.images))
}

//! Launches of `kernels/softmax.cu`.

use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters};

pub(super) const SOFTMAX: Kernel = Kernel { module: "softmax", name: "softmax_forward_f32", threads: 32 };

/// x [N,K] to probabilities [N, max(K, 2)].
pub(super) fn launch(x: MapView, p: MapView) -> Launch {
    let parameters =
        Parameters::default().pointer(x.pointer()).pointer(p.pointer()).ints([x.images, x.shape.c]);
    parameters.launch(SOFTMAX, [1, x.images, 1])
}

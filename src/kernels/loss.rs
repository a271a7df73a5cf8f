//! Launches of `kernels/loss.cu`.

use super::launch::{Kernel, Launch, Pointer};
use super::parameters::{MapView, Parameters};

pub(super) const LOSS: Kernel = Kernel { module: "loss", name: "loss_f32", threads: 256 };

/// The loss of logits [N,K] by targets [N, max(K, 2)], and its gradient [N,K].
pub(super) fn launch(logits: MapView, targets: MapView, loss: Pointer, gradient: MapView) -> Launch {
    Parameters::default()
        .pointer(logits.pointer())
        .pointer(targets.pointer())
        .pointer(loss)
        .pointer(gradient.pointer())
        .ints([logits.images, logits.shape.c])
        .launch(LOSS, [1, 1, 1])
}

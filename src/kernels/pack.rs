//! Launches of `kernels/pack.cu`.

use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters, grid};

pub(super) const COLUMN_PAIRS: Kernel =
    Kernel { module: "pack", name: "pack_column_pairs_f32", threads: 256 };

/// x [N,C,H,W], C at most 4, to y [N, H, 2·⌈W/2⌉, 4].
pub(super) fn launch(x: MapView, y: MapView) -> Launch {
    let shape = x.shape;
    Parameters::default()
        .pointer(x.pointer())
        .pointer(y.pointer())
        .ints([x.images, shape.c, shape.h, shape.w])
        .launch(COLUMN_PAIRS, grid(shape.h * shape.w.next_multiple_of(2), x.images))
}

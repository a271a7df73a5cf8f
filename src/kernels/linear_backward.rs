//! Launches of `kernels/linear_backward.cu`.

use super::conv2d::whole;
use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters};
use crate::program::{Program, View};

pub(super) const LINEAR_BACKWARD: Kernel =
    Kernel { module: "linear_backward", name: "linear_backward_f32", threads: THREADS as u32 };

/// Threads of a block, one for four input channels.
const THREADS: usize = 64;

/// dW, db and, where it is wanted, dx from x [N,C,1,1] and dy [N,K].
pub(super) fn launch(
    program: &Program,
    (input, dy, dx): (View, View, Option<View>),
    [weight, dw, db]: [View; 3],
    images: usize,
) -> Launch {
    let map = |view| MapView::new(program, view, images);
    let (x, dy) = (map(input), map(dy));
    let (c, k) = (x.shape.c, dy.shape.c);
    let rows = k + if dx.is_some() { images } else { 0 };
    Parameters::default()
        .map(&x)
        .map(&dx.map_or(x, map))
        .pointer(dy.pointer())
        .pointer(whole(program, weight))
        .pointer(whole(program, dw))
        .pointer(whole(program, db))
        .ints([images, k])
        .launch(LINEAR_BACKWARD, [(c / 4).div_ceil(THREADS), rows, 1])
}

//! Launches of `kernels/pool2d_backward.cu`.

use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters, grid};
use crate::network::{AvgPoolPadding, Window};

const fn kernel(name: &'static str) -> Kernel {
    Kernel { module: "pool2d_backward", name, threads: 256 }
}

pub(super) const MAX: Kernel = kernel("max_pool2d_backward_f32");
pub(super) const AVERAGE: Kernel = kernel("avg_pool2d_backward_f32");
pub(super) const GLOBAL_AVERAGE: Kernel = kernel("global_avg_pool2d_backward_f32");

/// What the pool took of its window.
pub(super) enum Taken {
    /// The largest value of this.
    Max(MapView),
    /// The mean.
    Average(AvgPoolPadding),
}

/// dx of a pool over `window`.
pub(super) fn launch(taken: &Taken, window: Window, dy: MapView, dx: MapView, accumulate: bool) -> Launch {
    match taken {
        Taken::Max(x) => of(MAX, (*x, dy, dx), window, [usize::from(accumulate), 0]),
        Taken::Average(padding) => {
            let include = usize::from(*padding == AvgPoolPadding::Include);
            of(AVERAGE, (dx, dy, dx), window, [usize::from(accumulate), include])
        }
    }
}

/// dx of the mean over the whole map.
pub(super) fn launch_global(dy: MapView, dx: MapView) -> Launch {
    let kernel = (dx.shape.h, dx.shape.w);
    let window = Window { kernel, stride: (1, 1), padding: (0, 0) };
    of(GLOBAL_AVERAGE, (dx, dy, dx), window, [0, 0])
}

fn of(
    kernel: Kernel,
    (x, dy, dx): (MapView, MapView, MapView),
    window: Window,
    [accumulate, include]: [usize; 2],
) -> Launch {
    // Of a thread.
    let quads = if kernel == MAX { 2 } else { 1 };
    Parameters::default()
        .map(&x)
        .map(&dy)
        .map(&dx)
        .ints([dx.images, accumulate])
        .ints([window.kernel, window.stride, window.padding].into_iter().flat_map(|(h, w)| [h, w]))
        .ints([include, 0])
        .launch(kernel, grid((dx.shape.elements() / 4).div_ceil(quads), dx.images))
}

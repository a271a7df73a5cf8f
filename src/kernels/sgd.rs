//! Launches of `kernels/sgd.cu`.

use super::conv2d::{tickets, whole};
use super::launch::{Kernel, Launch};
use super::parameters::Parameters;
use crate::program::{Program, SumCut, View};

const fn kernel(name: &'static str) -> Kernel {
    Kernel { module: "sgd", name, threads: 256 }
}

pub(super) const NORM: Kernel = kernel("gradient_norm_f32");
pub(super) const UPDATE: Kernel = kernel("sgd_update_f32");

/// Values of a block of the update.
const BLOCK_VALUES: usize = 4096;

/// norm = ‖gradients‖₂.
pub(super) fn launch_norm(program: &Program, gradients: View, norm: View, cut: &SumCut) -> Launch {
    let workspace = cut.workspace.map(|view| whole(program, view));
    Parameters::default()
        .pointer(whole(program, gradients))
        .pointer(whole(program, norm))
        .pointer(workspace)
        .pointer(tickets(program, cut.first_ticket, 1).filter(|_| cut.slices > 1))
        .ints([gradients.channels, 0])
        .launch(NORM, [cut.slices, 1, 1])
}

/// One step for w, g and v by norm and controls.
pub(super) fn launch_update(program: &Program, [w, g, v]: [View; 3], [norm, controls]: [View; 2]) -> Launch {
    let pointer = |view| whole(program, view);
    let (parameters, count) = (Parameters::default(), w.channels);
    [w, g, v, norm, controls]
        .into_iter()
        .fold(parameters, |parameters, view| parameters.pointer(pointer(view)))
        .ints([count, 0])
        .launch(UPDATE, [count.div_ceil(BLOCK_VALUES), 1, 1])
}

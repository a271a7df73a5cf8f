//! Launches of `kernels/batch_norm.cu`.

use super::conv2d::{tickets, whole};
use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters};
use crate::network::BATCH_NORM_EPS;
use crate::program::{Program, SumCut, TrainOp, View, map_slices};

const fn kernel(name: &'static str) -> Kernel {
    Kernel { module: "batch_norm", name, threads: THREADS as u32 }
}

pub(super) const STATS: Kernel = kernel("batch_norm_forward_stats_f32");
pub(super) const NORMALIZE: Kernel = kernel("batch_norm_forward_normalize_f32");
pub(super) const SUMS: Kernel = kernel("batch_norm_backward_sums_f32");
pub(super) const DATA: Kernel = kernel("batch_norm_backward_data_f32");

const THREADS: usize = 256;

/// That a thread block takes at a time.
const PIXELS: usize = THREADS / 2;

/// What one of the kernels reads and writes.
struct Pass {
    kernel: Kernel,
    z: View,
    dy: Option<View>,
    out: Option<View>,
    stats: View,
    parameters: Option<View>,
    gradients: Option<View>,
    running: Option<View>,
    momentum: f32,
    relu: bool,
    cut: Option<SumCut>,
}

impl Pass {
    /// `op` as a pass of batch norm, if it is one.
    fn of(op: &TrainOp) -> Option<Pass> {
        let pass = |kernel, z: &View, stats: &View| Pass {
            kernel,
            z: *z,
            dy: None,
            out: None,
            stats: *stats,
            parameters: None,
            gradients: None,
            running: None,
            momentum: 0.0,
            relu: false,
            cut: None,
        };
        Some(match op {
            TrainOp::BatchNormStats { input, stats, running, momentum, cut, .. } => {
                Pass { running: Some(*running), momentum: *momentum, cut: *cut, ..pass(STATS, input, stats) }
            }
            TrainOp::Normalize { input, stats, parameters, relu, output, .. } => Pass {
                out: Some(*output),
                parameters: Some(*parameters),
                relu: *relu,
                ..pass(NORMALIZE, input, stats)
            },
            TrainOp::NormalizeSums { input, stats, parameters, relu, dy, gradients, cut, .. } => Pass {
                relu: *relu,
                dy: Some(*dy),
                parameters: Some(*parameters),
                gradients: Some(*gradients),
                cut: *cut,
                ..pass(SUMS, input, stats)
            },
            TrainOp::NormalizeBackward { input, stats, parameters, relu, gradients, dy, dz, .. } => Pass {
                relu: *relu,
                dy: Some(*dy),
                out: Some(*dz),
                parameters: Some(*parameters),
                gradients: Some(*gradients),
                ..pass(DATA, input, stats)
            },
            _ => return None,
        })
    }
}

/// Whether the kernels can compute `op`, a pass of batch norm: arrays of channels at whole quads.
pub(super) fn fits(op: &TrainOp) -> bool {
    Pass::of(op).is_some_and(|pass| {
        let others = [pass.parameters, pass.gradients, pass.running].into_iter().flatten();
        others.chain([pass.stats]).all(|view| view.channel.is_multiple_of(4))
    })
}

/// `op`, a pass of batch norm, on the first `images` images.
pub(super) fn launch(program: &Program, op: &TrainOp, images: usize) -> Option<Launch> {
    let pass = Pass::of(op)?;
    let gpu = program.options.target.gpu.as_ref()?;
    let map = |view| MapView::new(program, view, images);
    let z = map(pass.z);
    let blocks = z.shape.c / 8;
    let slices = pass.cut.map_or_else(|| map_slices(program, gpu, pass.z), |cut| cut.slices);
    let sliced = pass.cut.filter(|_| slices > 1);
    let array = |view: Option<View>| view.map(|view| whole(program, view));
    let parameters = Parameters::default()
        .map(&z)
        .map(&pass.dy.map_or(z, map))
        .map(&pass.out.map_or(z, map))
        .pointer(array(pass.parameters))
        .pointer(array(Some(pass.stats)))
        .pointer(array(pass.gradients))
        .pointer(array(pass.running))
        .pointer(array(sliced.and_then(|cut| cut.workspace)))
        .pointer(sliced.and_then(|cut| tickets(program, cut.first_ticket, blocks)))
        .doubles([BATCH_NORM_EPS, f64::from(pass.momentum)])
        .ints([images, (images * z.shape.h * z.shape.w).div_ceil(slices).next_multiple_of(PIXELS)])
        .floats([if pass.relu { 0.0 } else { f32::NAN }]);
    Some(parameters.launch(pass.kernel, [slices, blocks, 1]))
}

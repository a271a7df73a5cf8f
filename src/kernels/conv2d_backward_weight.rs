//! Launches of `kernels/conv2d_backward_weight.cu`.

use super::conv2d::{column_pairs, tickets, whole};
use super::launch::{Kernel, Launch};
use super::parameters::{MapView, Parameters};
use crate::program::{
    Conv2d, Program, STEP_PIXELS, View, WeightCut, weight_columns, weight_steps, weight_tiles,
};

/// The tiles there are kernels for: output channels × filter values.
pub const WEIGHT_TILES: [(usize, usize); 4] = [(128, 128), (64, 128), (64, 64), (32, 128)];

/// Parts of a convolution at most.
const MAX_PARTS: usize = 4;

/// The kernel for `tile`, one of [`WEIGHT_TILES`].
pub(super) fn kernel(tile: (usize, usize)) -> Kernel {
    let name = match tile {
        (128, _) => "conv2d_backward_weight_implicit_gemm_128x128x1_f32",
        (64, 128) => "conv2d_backward_weight_implicit_gemm_64x128x2_f32",
        (64, _) => "conv2d_backward_weight_implicit_gemm_64x64x4_f32",
        _ => "conv2d_backward_weight_implicit_gemm_32x128x4_f32",
    };
    Kernel { module: "conv2d_backward_weight", name, threads: 256 }
}

/// Whether the kernels can compute the gradient of the filters of `conv`.
pub(super) fn fits(program: &Program, conv: &Conv2d, cut: &WeightCut) -> bool {
    let by_two = conv.window.stride.1 == 2 && conv.window.padding.1 == 0;
    (by_two || !column_pairs(program, conv))
        && conv.parts.len() <= MAX_PARTS
        && conv.outputs().all(|view| view.channels.is_multiple_of(8))
        && WEIGHT_TILES.contains(&cut.tile)
}

/// dW of `conv` from the first `images` images.
pub(super) fn launch(
    program: &Program,
    conv: &Conv2d,
    dz: View,
    gradients: &[View],
    cut: &WeightCut,
    images: usize,
) -> Launch {
    let (x, dz) = (MapView::new(program, conv.input, images), MapView::new(program, dz, images));
    let (m, n) = weight_tiles(program, conv, cut.tile);
    let pairs = column_pairs(program, conv);
    let ((r, s), (stride_h, stride_w), pad) = (conv.window.kernel, conv.window.stride, conv.window.padding);
    let (w, stride_w) = if pairs { (x.shape.w.div_ceil(2), 1) } else { (x.shape.w, stride_w) };
    let (p, q) = (dz.shape.h, dz.shape.w);
    let c4 = weight_columns(program, conv) / (4 * r * s);
    let steps = weight_steps(program, conv, cut, images);
    // Eight pixels further: images, rows and columns; and what a row's and an image's end add.
    let (next_n, next_p, next_q) = (STEP_PIXELS / (p * q), STEP_PIXELS / q % p, STEP_PIXELS % q);
    let next_x = next_n * x.image_stride + 2 * (next_p * stride_h * w + next_q * stride_w);
    let next_dz = next_n * dz.image_stride + 2 * (next_p * q + next_q);
    let difference = |a: usize, b: usize| a.wrapping_sub(b);
    let ends = [
        difference(2 * stride_h * w, 2 * q * stride_w),
        difference(x.image_stride, 2 * p * stride_h * w),
        difference(dz.image_stride, 2 * p * q),
    ];
    let partials = cut.workspace.map(|view| whole(program, view));
    let tickets = tickets(program, cut.first_ticket, m * n).filter(|_| cut.slices > 1);
    let parameters = Parameters::default()
        .pointer(x.pointer())
        .pointer(dz.pointer())
        .pointer(partials)
        .pointer(tickets)
        .ints([images * p * q, x.shape.h, w, x.shape.c, c4, usize::from(pairs)])
        .ints([x.image_stride, dz.image_stride, p, q, r, s, stride_h, stride_w, pad.0, pad.1])
        .ints([dz.shape.c / 4, m, n, cut.slices, steps])
        .ints([next_x, next_dz, next_p * stride_h, next_q * stride_w])
        .ints(ends)
        .ints([conv.parts.len(), 0]);
    let mut first = 0;
    let parts = conv.parts.iter().zip(gradients).map(|(part, gradient)| {
        let own = (Some(whole(program, *gradient)), first);
        first += part.output.channels;
        own
    });
    let parts = parts.collect::<Vec<_>>().into_iter().chain(std::iter::repeat((None, 0))).take(MAX_PARTS);
    let part = |parameters: Parameters, (dw, first)| parameters.pointer(dw).ints([first, 0]);
    parts.fold(parameters, part).launch(kernel(cut.tile), [m * n * cut.slices, 1, 1])
}

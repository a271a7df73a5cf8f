//! Launches of `kernels/crop.cu`.

use super::launch::{Kernel, Launch, Pointer, Region};
use super::parameters::{MapView, Parameters, constant, grid};
use crate::program::{Mean, Normalization, crop_bytes};

pub(super) const CROP: Kernel = Kernel { module: "crop", name: "crop_forward", threads: 256 };

/// The mean image [1 or 3, H, W], if there is one.
pub(super) fn constants(normalization: &Normalization) -> Vec<f32> {
    match &normalization.mean {
        Mean::Image { values, .. } => values.to_vec(),
        Mean::Channels(_) => Vec::new(),
    }
}

/// The crops of the program's input to y [N, H, 2·⌈W/2⌉, 4].
pub(super) fn launch(normalization: &Normalization, y: MapView, constants: usize) -> Launch {
    let (h, w) = (y.shape.h, y.shape.w);
    let image_bytes = crop_bytes(y.shape);
    let crops = Pointer { region: Region::Input, offset_bytes: 0, bytes: y.images * image_bytes };
    let (mean, mean_channels, mean_of) = match &normalization.mean {
        Mean::Channels(mean) => (None, 1, *mean),
        Mean::Image { channels, .. } => (Some(constant(constants, channels * h * w)), *channels, [0.0; 3]),
    };
    Parameters::default()
        .pointer(crops)
        .pointer(y.pointer())
        .pointer(mean)
        .ints([y.images, image_bytes, h, w, mean_channels])
        .floats([normalization.divisor])
        .floats(mean_of)
        .floats(normalization.scale)
        .launch(CROP, grid(h * w.next_multiple_of(2), y.images))
}

//! Crops in the middle of zeros, grey in all channels, normalised: y[n,c,h,w] = (v / divisor − mean) / scale, v the pixel at
//! (h − ⌊(H − height)/2⌋, w − ⌊(W − width)/2⌋) or 0 outside. One unit is one image.

use super::elementwise::MapView;
use crate::network::MapShape;
use crate::program::{self, Normalization, Samples, crop_bytes};

/// The first step of a program that reads crops.
pub(super) struct Crop {
    pub normalization: Normalization,
    /// Where the crops lie, in values from the arena's begin.
    pub crops: usize,
    /// N·3·H·W.
    pub output: MapView,
    pub shape: MapShape,
}

impl Crop {
    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds crops and output; nobody else touches this unit's output.
    pub unsafe fn run(&self, image: usize, arena: *mut f32) {
        let shape = self.shape;
        let bytes = crop_bytes(shape);
        // SAFETY: the caller's contract; the two lie in different buffers.
        let (crop, y) = unsafe {
            let crops = arena.add(self.crops).cast::<u8>().add(image * bytes);
            let y = arena.add(self.output.block(image, 0));
            (std::slice::from_raw_parts(crops, bytes), std::slice::from_raw_parts_mut(y, shape.elements()))
        };
        let crop = program::Crop::load(shape, crop);
        let (top, left) = ((shape.h - crop.height) / 2, (shape.w - crop.width) / 2);
        let finished = matches!(crop.samples, Samples::Values(_));
        for (i, y) in y.iter_mut().enumerate() {
            let (c, h, w) = (i / (shape.h * shape.w), i / shape.w % shape.h, i % shape.w);
            let inside = (top..top + crop.height).contains(&h) && (left..left + crop.width).contains(&w);
            let x = if inside { crop.get(c, h - top, w - left) } else { 0.0 };
            *y = if finished { x } else { self.normalization.apply(shape, x, (c, h, w)) };
        }
    }
}

//! What the network saw, and a map over it.

use std::io;
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

use super::Explanation;
use crate::data::{Image, Normalize, Preprocess};
use crate::error::Result;
use crate::files::write_whole;

/// Share of the colour where the map is largest.
const OPACITY: f32 = 0.75;

/// `image` fitted, and standardised where `preprocess` does, in pixels; what lies beside it is black.
///
/// # Errors
/// Those of [`Preprocess::apply`].
pub(super) fn fitted(image: &Image, preprocess: &Preprocess) -> Result<RgbImage> {
    let (h, w) = preprocess.size;
    let plain = Preprocess { normalize: Normalize::None, ..preprocess.clone() };
    let mut values = vec![0.0; 3 * h * w];
    plain.apply(image, &mut values)?;
    let pixel = |x: u32, y: u32| {
        let at = y as usize * w + x as usize;
        Rgb([0, 1, 2].map(|c| values[c * h * w + at].round().clamp(0.0, 255.0) as u8))
    };
    Ok(RgbImage::from_fn(w as u32, h as u32, pixel))
}

/// The colour of a value from 0 to 1: inferno, whose brightness grows evenly with the value, so that it can be read in grey and by
/// the colour-blind.
pub fn colour(value: f32) -> Rgb<u8> {
    Rgb(colorous::INFERNO.eval_continuous(f64::from(value.clamp(0.0, 1.0))).as_array())
}

impl Explanation {
    /// The crop under the map, at the input's size: the larger a value, the more of its colour; where nothing speaks for the class, the
    /// crop in grey.
    pub fn overlay(&self) -> RgbImage {
        let values = self.map.normalized();
        RgbImage::from_fn(self.crop.width(), self.crop.height(), |x, y| {
            let Rgb(pixel) = *self.crop.get_pixel(x, y);
            // Rec. 601 luma: colour belongs to the map.
            let grey =
                0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2]);
            let value = values[y as usize * self.map.width + x as usize];
            let (Rgb(colour), share) = (colour(value), OPACITY * value.sqrt());
            Rgb(colour.map(|c| (grey + share * (f32::from(c) - grey)).round() as u8))
        })
    }
}

/// Writes `picture` as PNG; the file appears whole or not at all.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when it cannot be written.
pub fn save_png(picture: &RgbImage, path: &Path) -> Result<()> {
    write_whole(path, |file| {
        let encoder = PngEncoder::new(file);
        let (width, height) = picture.dimensions();
        encoder.write_image(picture, width, height, ExtendedColorType::Rgb8).map_err(io::Error::other)
    })
}

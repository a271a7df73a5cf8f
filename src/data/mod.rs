//! From image files to network inputs: decode, fit to the input's size, normalise.

#[cfg(feature = "train")]
mod collect;
mod decode;
mod fit;
mod metadata;
mod normalize;
mod standardize;
mod tiff;
#[cfg(feature = "train")]
pub mod train;

#[cfg(feature = "train")]
pub use collect::{Sample, collect, collect_noting, note_left_out};
pub use decode::{Image, MAX_PIXELS, MAX_SIDE};
pub use fit::Fit;
pub use metadata::{CLASSES_KEY, MEAN_TENSOR, class_names, parse_size};
pub use normalize::{MeanImage, Normalize};

use crate::error::{Error, Result};
use crate::program::{Crop, Samples};
use fit::Frame;

/// How an image becomes an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    /// Height and width of the input.
    pub size: (usize, usize),
    /// How the image is fitted into it.
    pub fit: Fit,
    /// What is done to the pixel values.
    pub normalize: Normalize,
    /// Whether each image's own brightness and contrast are taken away first: every image then has the mean 127.5 and the
    /// standard deviation 42.5, bounded to 0 and 255.
    pub standardize: bool,
}

impl Default for Preprocess {
    fn default() -> Self {
        Preprocess { size: (299, 299), fit: Fit::Pad, normalize: Normalize::Tf, standardize: false }
    }
}

impl Preprocess {
    /// Fits, standardises and normalises `image` into `out`, [3, H, W], overwritten; a grey image goes to all three channels.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size without pixels; [`Error::Shape`] when `out` has another length or the mean image
    /// another size.
    pub fn apply(&self, image: &Image, out: &mut [f32]) -> Result<()> {
        self.check(out.len())?;
        let frame = Frame::new((image.height(), image.width()), self.size, self.fit);
        fit::place(image, frame, self.size, out);
        if self.standardize {
            standardize::standardize(image.channels(), frame, self.size, out);
        }
        if image.channels() == 1 {
            fit::repeat(frame, self.size, out);
        }
        self.normalize.apply(frame, self.size, out);
        Ok(())
    }

    /// Whether an input may have `length` values.
    fn check(&self, length: usize) -> Result<()> {
        let (h, w) = self.size;
        if h == 0 || w == 0 {
            return Err(Error::Argument(format!("an input of {h}×{w} holds no pixel; give a larger size")));
        }
        if h.checked_mul(w).and_then(|map| map.checked_mul(3)) != Some(length) {
            return Err(Error::Shape {
                what: "input".into(),
                expected: format!("3×{h}×{w} values"),
                got: length.to_string(),
            });
        }
        self.normalize.check_size(self.size)
    }

    /// `image` as a crop for a program that pads and normalises by itself; where it must be scaled or
    /// standardised, its pixels are put into `room`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size without pixels.
    pub fn crop<'a>(&self, image: &'a Image, room: &'a mut Vec<f32>) -> Result<Crop<'a>> {
        let (h, w) = self.size;
        if h == 0 || w == 0 {
            return Err(Error::Argument(format!("an input of {h}×{w} holds no pixel; give a larger size")));
        }
        let frame = Frame::new((image.height(), image.width()), self.size, self.fit);
        let (height, width, channels) = (frame.height, frame.width, image.channels());
        let same = (height, width) == (image.height(), image.width());
        let samples = match image.bytes().filter(|_| same && !self.standardize) {
            Some(bytes) => Samples::Bytes(bytes),
            None => {
                room.resize(channels * height * width, 0.0);
                self.place(image, frame, room);
                Samples::Pixels(room)
            }
        };
        Ok(Crop { height, width, channels, samples })
    }

    /// The image's C channels, fitted and standardised, into `out`, [C, frame.height, frame.width], overwritten.
    fn place(&self, image: &Image, frame: Frame, out: &mut [f32]) {
        let (frame, size) = (Frame { top: 0, left: 0, ..frame }, (frame.height, frame.width));
        fit::place(image, frame, size, out);
        if self.standardize {
            standardize::standardize(image.channels(), frame, size, out);
        }
    }
}

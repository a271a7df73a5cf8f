//! From image files to network inputs: decode, fit to the input's size, normalise.

#[cfg(feature = "cli")]
mod collect;
mod decode;
mod fit;
mod metadata;
mod normalize;

#[cfg(feature = "cli")]
pub use collect::{Sample, collect};
pub use decode::{Image, MAX_PIXELS};
pub use fit::Fit;
pub use metadata::{CLASSES_KEY, MEAN_TENSOR, class_names, parse_size};
pub use normalize::{MeanImage, Normalize};

use crate::error::{Error, Result};

/// How an image becomes an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    /// Height and width of the input.
    pub size: (usize, usize),
    /// How the image is fitted into it.
    pub fit: Fit,
    /// What is done to the pixel values.
    pub normalize: Normalize,
}

impl Default for Preprocess {
    fn default() -> Self {
        Preprocess { size: (299, 299), fit: Fit::Pad, normalize: Normalize::Tf }
    }
}

impl Preprocess {
    /// Fits and normalises `image` into `out`, [3, H, W]; a grey image goes to all three channels.
    ///
    /// # Errors
    /// [`Error::Shape`] when `out` has another length or the mean image another size.
    pub fn apply(&self, image: &Image, out: &mut [f32]) -> Result<()> {
        let (h, w) = self.size;
        if out.len() != 3 * h * w {
            return Err(Error::Shape {
                what: "input".into(),
                expected: format!("3×{h}×{w} values"),
                got: out.len().to_string(),
            });
        }
        let fitted = fit::fit(image, self.size, self.fit);
        self.normalize.apply(&fitted, image.channels(), self.size, out)
    }
}

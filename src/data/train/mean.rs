//! The mean image of training images as they lie in the input: fitted, standardised where that is asked for, padded with zeros.
//!
//! Sums are taken in float64, image after image, and rounded to float32 once: no number of threads makes a difference.

use std::borrow::Borrow;

use super::super::fit::Frame;
use crate::data::{Image, MeanImage, Preprocess};
use crate::error::{Error, Result};

impl MeanImage {
    /// The mean of `images` under `preprocess`, whose normalisation does not count: [1, H, W] where all are grey, else
    /// [3, H, W]. Give the training part alone, and in its order.
    ///
    /// # Errors
    /// [`Error::Argument`] without images or for a size without pixels; the first error among `images`.
    pub fn of<I: Borrow<Image>>(
        preprocess: &Preprocess,
        images: impl IntoIterator<Item = Result<I>>,
    ) -> Result<Self> {
        let (h, w) = preprocess.size;
        if h == 0 || w == 0 {
            return Err(Error::Argument(format!("an input of {h}×{w} holds no pixel; give a larger size")));
        }
        let (mut grey, mut colour) = (vec![0.0f64; h * w], Vec::new());
        let (mut count, mut pixels) = (0u64, Vec::new());
        for image in images {
            let image = image?;
            let image = image.borrow();
            let frame = Frame::new((image.height(), image.width()), preprocess.size, preprocess.fit);
            pixels.resize(image.channels() * frame.height * frame.width, 0.0);
            preprocess.place(image, frame, &mut pixels);
            if image.channels() == 1 {
                add(frame, w, &pixels, &mut grey);
            } else {
                colour.resize(3 * h * w, 0.0);
                let maps =
                    pixels.chunks_exact(frame.height * frame.width).zip(colour.chunks_exact_mut(h * w));
                maps.for_each(|(pixels, sums)| add(frame, w, pixels, sums));
            }
            count += 1;
        }
        if count == 0 {
            return Err(Error::Argument("a mean image needs at least one training image".into()));
        }
        let mean = |sum: f64| (sum / count as f64).clamp(0.0, 255.0) as f32;
        let (channels, values) = match colour.is_empty() {
            true => (1, grey.into_iter().map(mean).collect()),
            // A grey image counts in every channel.
            false => (3, colour.iter().enumerate().map(|(i, sum)| mean(sum + grey[i % (h * w)])).collect()),
        };
        Ok(MeanImage::new([channels, h, w], values))
    }
}

/// Adds `pixels` [frame.height, frame.width] to their place in `sums`, rows of `width`.
fn add(frame: Frame, width: usize, pixels: &[f32], sums: &mut [f64]) {
    let rows = sums.chunks_exact_mut(width).skip(frame.top).zip(pixels.chunks_exact(frame.width));
    for (sums, pixels) in rows {
        sums[frame.left..].iter_mut().zip(pixels).for_each(|(sum, x)| *sum += f64::from(*x));
    }
}

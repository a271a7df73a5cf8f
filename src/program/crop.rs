//! Crops as a program's input: as their files have them, so that fitting and normalising are the device's work.

use std::sync::Arc;

use super::MapShape;
use crate::error::{Error, Result};

/// What a program reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Input {
    /// Values N·3·H·W, fitted and normalised.
    #[default]
    Values,
    /// One [`Crop`] an image: its first step puts each in the middle of zeros and normalises it.
    Crops(Normalization),
}

/// y = (x / divisor − mean) / scale for pixels x from 0 to 255, in float32, in that order.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// What pixels are divided by first.
    pub divisor: f32,
    /// What is subtracted.
    pub mean: Mean,
    /// What is divided by last, by channel.
    pub scale: [f32; 3],
}

/// A mean that is subtracted.
#[derive(Clone, Debug, PartialEq)]
pub enum Mean {
    /// One value a channel.
    Channels([f32; 3]),
    /// One value a pixel of the input, [channels, H, W] with 1 or 3 channels.
    Image {
        /// 1 or 3.
        channels: usize,
        /// The values.
        values: Arc<[f32]>,
    },
}

/// An image that is at most as large as the program's input.
#[derive(Clone, Copy, Debug)]
pub struct Crop<'a> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// height · width · channels samples.
    pub samples: Samples<'a>,
}

/// A crop's samples.
#[derive(Clone, Copy, Debug)]
pub enum Samples<'a> {
    /// Pixels [height, width, channels] from 0 to 255.
    Bytes(&'a [u8]),
    /// Pixels [channels, height, width] from 0 to 255.
    Pixels(&'a [f32]),
    /// Values [channels, height, width] that are normalised already.
    Values(&'a [f32]),
}

/// Bytes before a crop's samples: height, width, channels, kind of samples, as 32-bit integers.
const HEADER_BYTES: usize = 16;

/// Bytes that one image takes in an input of crops: room for `shape`'s pixels in float32, and a header that can be read at once.
pub(crate) fn crop_bytes(shape: MapShape) -> usize {
    (HEADER_BYTES + shape.elements() * size_of::<f32>()).next_multiple_of(HEADER_BYTES)
}

impl Crop<'_> {
    /// Writes it to `memory`, the [`crop_bytes`] bytes of one image of an input of `shape`.
    ///
    /// # Errors
    /// [`Error::Shape`] when it has no pixel, is larger than the input, or has another number of samples than its shape says.
    pub(crate) fn store(&self, shape: MapShape, memory: &mut [u8]) -> Result<()> {
        let count = match self.samples {
            Samples::Bytes(all) => all.len(),
            Samples::Pixels(all) | Samples::Values(all) => all.len(),
        };
        let sides = (1..=shape.h).contains(&self.height) && (1..=shape.w).contains(&self.width);
        let fits = sides && matches!(self.channels, 1 | 3);
        if !fits || count != self.height * self.width * self.channels {
            return Err(Error::Shape {
                what: "crop".into(),
                expected: format!(
                    "at most {}×{} pixels of 1 or 3 channels, and a sample for each",
                    shape.h, shape.w
                ),
                got: format!("{count} samples for {}×{}×{}", self.height, self.width, self.channels),
            });
        }
        let (header, samples) = memory.split_at_mut(HEADER_BYTES);
        let (kind, bytes): (u32, &[u8]) = match self.samples {
            Samples::Bytes(all) => (0, all),
            Samples::Pixels(all) => (1, bytemuck::cast_slice(all)),
            Samples::Values(all) => (2, bytemuck::cast_slice(all)),
        };
        let numbers = [self.height as u32, self.width as u32, self.channels as u32, kind];
        header.copy_from_slice(bytemuck::cast_slice(&numbers));
        samples[..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// The crop that [`Crop::store`] wrote to `memory` of an input of `shape`; a header that it did not write counts as one that
    /// fits.
    #[cfg(feature = "cpu")]
    pub(crate) fn load(shape: MapShape, memory: &[u8]) -> Crop<'_> {
        let (header, samples) = memory.split_at(HEADER_BYTES);
        let number = |i: usize| bytemuck::pod_read_unaligned::<u32>(&header[4 * i..4 * i + 4]);
        let side = |i: usize, most: usize| (number(i) as i32).clamp(0, most as i32) as usize;
        let (height, width) = (side(0, shape.h), side(1, shape.w));
        let channels = if number(2) == 3 { 3 } else { 1 };
        let count = height * width * channels;
        let floats = |bytes| bytemuck::cast_slice::<u8, f32>(bytes);
        let samples = match number(3) {
            0 => Samples::Bytes(&samples[..count]),
            1 => Samples::Pixels(floats(&samples[..count * size_of::<f32>()])),
            _ => Samples::Values(floats(&samples[..count * size_of::<f32>()])),
        };
        Crop { height, width, channels, samples }
    }

    /// Value of channel `c`, the last one where there are fewer, at a pixel of the crop.
    #[cfg(feature = "cpu")]
    pub(crate) fn get(&self, c: usize, row: usize, column: usize) -> f32 {
        let c = c.min(self.channels - 1);
        match self.samples {
            Samples::Bytes(all) => f32::from(all[(row * self.width + column) * self.channels + c]),
            Samples::Pixels(all) | Samples::Values(all) => all[(c * self.height + row) * self.width + column],
        }
    }
}

impl Normalization {
    /// y for a pixel `x` of channel `c` at (h, w) of an input of `shape`.
    #[cfg(feature = "cpu")]
    pub(crate) fn apply(&self, shape: MapShape, x: f32, (c, h, w): (usize, usize, usize)) -> f32 {
        let mean = match &self.mean {
            Mean::Channels(mean) => mean[c],
            Mean::Image { channels, values } => values[(c.min(channels - 1) * shape.h + h) * shape.w + w],
        };
        (x / self.divisor - mean) / self.scale[c]
    }

    /// # Errors
    /// [`Error::Shape`] for a mean image of another size than `shape`.
    pub(crate) fn check(&self, shape: MapShape) -> Result<()> {
        match &self.mean {
            Mean::Image { channels, values }
                if !matches!(channels, 1 | 3) || values.len() != channels * shape.h * shape.w =>
            {
                Err(Error::Shape {
                    what: "mean image".into(),
                    expected: format!("1 or 3 channels of {}×{}", shape.h, shape.w),
                    got: format!("{} values for {channels} channels", values.len()),
                })
            }
            _ => Ok(()),
        }
    }
}

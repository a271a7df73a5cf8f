//! What is done to one training image: flips, then a rotation, then noise, on pixel values before they are normalised.
//!
//! With zeros from outside the result is that of flipping and turning the padded input about its middle, ((H−1)/2, (W−1)/2), as
//! pipelines do that pad first. Only pixels that the crop can reach are computed; all else is padding.
//!
//! Noise goes to the crop's pixels and never to the padding, which has none when the network is used; a grey image has the same
//! noise in all channels. Values are bounded to 0 and 255 afterwards.

use super::super::fit::{self, Frame};
use super::random::Stream;
use super::rotate::{Bordered, Fill, Turn, bordered_length, rotate};
use crate::data::{Image, Preprocess};
use crate::error::Result;

/// What is done to one image; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Transform {
    /// Whether left and right are swapped.
    pub hflip: bool,
    /// Whether top and bottom are swapped.
    pub vflip: bool,
    /// By how much the image is turned, counter-clockwise.
    pub degrees: f64,
    /// What moves, and what comes in from outside.
    pub fill: Fill,
    /// Standard deviation of the noise, in grey levels of 0 to 255.
    pub noise_std: f32,
    /// What the noise is drawn by: the same key, the same noise.
    pub noise_key: u64,
}

/// Memory that transforming needs, kept from image to image.
#[derive(Debug, Default)]
pub struct Room {
    fitted: Vec<f32>,
    bordered: Vec<f32>,
    turned: Vec<f32>,
    spans: Vec<(usize, usize)>,
}

impl Transform {
    /// As [`Preprocess::apply`] with the transform in between: `out` is [3, H, W], overwritten. Nothing to do gives the same bits.
    ///
    /// # Errors
    /// As [`Preprocess::apply`].
    pub fn apply(
        &self,
        preprocess: &Preprocess,
        image: &Image,
        room: &mut Room,
        out: &mut [f32],
    ) -> Result<()> {
        preprocess.check(out.len())?;
        let size = preprocess.size;
        let frame = Frame::new((image.height(), image.width()), size, preprocess.fit);
        let channels = image.channels();
        room.fitted.resize(channels * frame.height * frame.width, 0.0);
        preprocess.place(image, frame, &mut room.fitted);
        let frame = self.flip(channels, frame, size, &mut room.fitted);
        let (frame, pixels) = match self.degrees == 0.0 {
            true => {
                room.spans.clear();
                room.spans.resize(frame.height, (0, frame.width));
                (frame, &mut room.fitted)
            }
            false => (self.turn(channels, frame, size, room), &mut room.turned),
        };
        self.add_noise(frame, size, &room.spans, pixels);
        for (pixels, map) in
            pixels.chunks_exact(frame.height * frame.width).zip(out.chunks_exact_mut(size.0 * size.1))
        {
            let rows = map.chunks_exact_mut(size.1).skip(frame.top);
            let rows = rows.zip(pixels.chunks_exact(frame.width));
            rows.for_each(|(row, pixels)| row[frame.left..][..frame.width].copy_from_slice(pixels));
        }
        if channels == 1 {
            fit::repeat(frame, size, out);
        }
        preprocess.normalize.apply(frame, size, out);
        Ok(())
    }

    /// Flips `pixels` [C, frame.height, frame.width] in place; where they lie then.
    fn flip(&self, channels: usize, frame: Frame, size: (usize, usize), pixels: &mut [f32]) -> Frame {
        let mut flipped = frame;
        if self.hflip {
            pixels.chunks_exact_mut(frame.width).for_each(<[f32]>::reverse);
            flipped.left = size.1 - frame.width - frame.left;
        }
        if self.vflip {
            let map = frame.height * frame.width;
            for map in pixels[..channels * map].chunks_exact_mut(map) {
                let (upper, lower) = map.split_at_mut(frame.height / 2 * frame.width);
                let lower = lower.chunks_exact_mut(frame.width).rev();
                upper.chunks_exact_mut(frame.width).zip(lower).for_each(|(a, b)| a.swap_with_slice(b));
            }
            flipped.top = size.0 - frame.height - frame.top;
        }
        if self.fill == Fill::Zero { flipped } else { frame }
    }

    /// Turns what lies in `room.fitted` into `room.turned`; where it lies then.
    fn turn(&self, channels: usize, frame: Frame, size: (usize, usize), room: &mut Room) -> Frame {
        room.bordered.clear();
        room.bordered.resize(bordered_length(channels, frame), 0.0);
        let maps = room.bordered.chunks_exact_mut((frame.height + 3) * (frame.width + 3));
        for (map, pixels) in maps.zip(room.fitted.chunks_exact(frame.height * frame.width)) {
            let rows = map.chunks_exact_mut(frame.width + 3).skip(1);
            let rows = rows.zip(pixels.chunks_exact(frame.width));
            rows.for_each(|(row, pixels)| row[1..][..frame.width].copy_from_slice(pixels));
        }
        let whole = Frame { top: 0, left: 0, height: size.0, width: size.1 };
        let turn = Turn::about(if self.fill == Fill::Zero { whole } else { frame }, self.degrees);
        let to = if self.fill == Fill::Zero { turn.reach(frame, size) } else { frame };
        room.turned.resize(channels * to.height * to.width, 0.0);
        let picture = Bordered { values: &room.bordered, frame, channels };
        rotate(&picture, &turn, self.fill, to, &mut room.turned, &mut room.spans);
        to
    }

    /// Adds noise to the columns `spans` of each row of `pixels` [C, frame.height, frame.width].
    fn add_noise(&self, frame: Frame, size: (usize, usize), spans: &[(usize, usize)], pixels: &mut [f32]) {
        if self.noise_std == 0.0 {
            return;
        }
        let numbers = Stream::of_key(self.noise_key);
        for (c, map) in pixels.chunks_exact_mut(frame.height * frame.width).enumerate() {
            for (row, (pixels, span)) in map.chunks_exact_mut(frame.width).zip(spans).enumerate() {
                let start = (c * size.0 + frame.top + row) * size.1 + frame.left;
                for (column, x) in pixels.iter_mut().enumerate().take(span.1).skip(span.0) {
                    let noise = self.noise_std * numbers.normal((start + column) as u64);
                    *x = (*x + noise).clamp(0.0, 255.0);
                }
            }
        }
    }
}

//! Fits an image into the input's size.
//!
//! `pad` puts it in the middle of zeros (the odd row or column goes to the bottom or right); one that is larger than the
//! input is scaled down first, both sides by the same factor. `resize` scales both sides to the input's. `resize-pad`
//! scales until one side fills the input, and pads the other.
//!
//! Scaling is bilinear with antialiasing: output i is the mean of the inputs around x = (i + ½)·scale − ½ with the weights
//! of a triangle of half-width max(scale, 1). Source: Pillow's `Image.resize(…, BILINEAR)`, `src/libImaging/Resample.c`;
//! unlike it, nothing is rounded to 8 bits between the passes. A side of ⌊s·f + ½⌋ pixels, at least 1, comes of a factor f.

use std::str::FromStr;

use super::Image;
use crate::error::{Error, Result};

/// How an image is fitted into the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fit {
    /// Centred in zeros; scaled down when too large.
    #[default]
    Pad,
    /// Both sides scaled to the input's.
    Resize,
    /// Scaled with its aspect kept, then padded.
    ResizePad,
}

impl FromStr for Fit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "pad" => Ok(Fit::Pad),
            "resize" => Ok(Fit::Resize),
            "resize-pad" => Ok(Fit::ResizePad),
            _ => Err(Error::Argument(format!("fit is `pad`, `resize` or `resize-pad`, not `{text}`"))),
        }
    }
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fit::Pad => "pad",
            Fit::Resize => "resize",
            Fit::ResizePad => "resize-pad",
        })
    }
}

/// The image's C channels, each of `size`; values from 0 to 255, zeros around.
pub(super) fn fit(image: &Image, size: (usize, usize), fit: Fit) -> Vec<f32> {
    let (h, w) = (image.height(), image.width());
    let factor = (size.0 as f64 / h as f64).min(size.1 as f64 / w as f64);
    let scaled = |factor: f64| {
        let side = |s: usize, limit: usize| ((s as f64 * factor + 0.5).floor() as usize).clamp(1, limit);
        (side(h, size.0), side(w, size.1))
    };
    let inner = match fit {
        Fit::Resize => size,
        Fit::ResizePad => scaled(factor),
        Fit::Pad if factor < 1.0 => scaled(factor),
        Fit::Pad => (h, w),
    };
    let maps = image.values().chunks_exact(h * w);
    let mut out = vec![0.0; image.channels() * size.0 * size.1];
    for (map, out) in maps.zip(out.chunks_exact_mut(size.0 * size.1)) {
        let resized;
        let map = if inner == (h, w) {
            map
        } else {
            resized = resize(map, (h, w), inner);
            &resized
        };
        let (top, left) = ((size.0 - inner.0) / 2, (size.1 - inner.1) / 2);
        for (row, values) in map.chunks_exact(inner.1).enumerate() {
            out[(top + row) * size.1 + left..][..inner.1].copy_from_slice(values);
        }
    }
    out
}

/// One map scaled from `from` to `to`, columns first, then rows.
fn resize(map: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let columns = windows(from.1, to.1);
    let mut narrow = Vec::with_capacity(from.0 * to.1);
    for row in map.chunks_exact(from.1) {
        narrow.extend(columns.iter().map(|window| window.of(|i| row[i])));
    }
    let mut out = Vec::with_capacity(to.0 * to.1);
    for window in windows(from.0, to.0) {
        out.extend((0..to.1).map(|column| window.of(|i| narrow[i * to.1 + column])));
    }
    out
}

/// Inputs of one output along one side, and their weights, which sum to 1.
struct Window {
    first: usize,
    weights: Vec<f32>,
}

impl Window {
    fn of(&self, value: impl Fn(usize) -> f32) -> f32 {
        self.weights.iter().enumerate().map(|(i, weight)| weight * value(self.first + i)).sum()
    }
}

fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let window = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let weight = |x: usize| (1.0 - ((x as f64 - center + 0.5) / support).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        Window { first, weights: weights.iter().map(|w| (w / sum) as f32).collect() }
    };
    (0..to).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(h: usize, w: usize) -> Image {
        let pixels: Vec<u8> = (0..h * w).map(|i| (i * 37 % 251 + 1) as u8).collect();
        Image::from_pixels(h, w, 1, &pixels).unwrap()
    }

    #[test]
    fn padding_centres_and_gives_the_odd_pixel_to_the_bottom_and_right() {
        for (h, w) in [(4, 5), (5, 4), (7, 8), (1, 1), (9, 10)] {
            let small = image(h, w);
            let out = fit(&small, (9, 10), Fit::Pad);
            let (top, left) = ((9 - h) / 2, (10 - w) / 2);
            for row in 0..9 {
                for column in 0..10 {
                    let inside = (top..top + h).contains(&row) && (left..left + w).contains(&column);
                    let expected = if inside { small.values()[(row - top) * w + column - left] } else { 0.0 };
                    assert_eq!(out[row * 10 + column], expected, "{h}×{w} at {row}, {column}");
                }
            }
        }
    }

    #[test]
    fn a_crop_larger_than_the_input_is_scaled_down_with_its_aspect_kept() {
        let out = fit(&image(40, 20), (20, 30), Fit::Pad);
        let filled = |column: usize| (0..20).any(|row| out[row * 30 + column] != 0.0);
        let columns: Vec<usize> = (0..30).filter(|&c| filled(c)).collect();
        assert_eq!(columns, (10..20).collect::<Vec<_>>(), "20 columns become 10, in the middle");
    }

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (from, to) in [(1, 7), (7, 1), (20, 299), (299, 20), (102, 75), (3, 3)] {
            for window in windows(from, to) {
                assert!(window.first + window.weights.len() <= from && !window.weights.is_empty());
                // Each weight is rounded to float32 once.
                assert!((window.weights.iter().sum::<f32>() - 1.0).abs() <= 1e-6);
            }
        }
    }

    #[test]
    fn scaling_to_the_same_size_changes_nothing() {
        let same = image(13, 17);
        assert_eq!(fit(&same, (13, 17), Fit::Resize), same.values());
        assert_eq!(fit(&same, (13, 17), Fit::ResizePad), same.values());
    }
}

//! Fits an image into the input's size.
//!
//! `pad` puts it in the middle of zeros (the odd row or column goes to the bottom or right); one that is larger than the
//! input is scaled down first, both sides by the same factor. `resize` scales both sides to the input's. `resize-pad`
//! scales until one side fills the input, and pads the other.
//!
//! Scaling is bilinear with antialiasing: output i is the mean of the inputs around x = (i + ½)·scale − ½ with the weights
//! of a triangle of half-width max(scale, 1). Source: Pillow's `Image.resize(…, BILINEAR)`, `src/libImaging/Resample.c`;
//! unlike it, nothing is rounded to 8 bits between the passes. Where the aspect is kept, one side fills the input and the
//! other becomes ⌊s·f + ½⌋ pixels for the same factor f, at least 1.

use std::str::FromStr;

use super::Image;
use crate::error::{Error, Result};

/// Products that are summed side by side.
const LANES: usize = 4;

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

/// Where the image lies in the input, in pixels of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Frame {
    /// The place of an image of `from` in an input of `size`, height first.
    pub fn new(from: (usize, usize), size: (usize, usize), fit: Fit) -> Self {
        let larger = from.0 > size.0 || from.1 > size.1;
        let (height, width) = match fit {
            Fit::Resize => size,
            Fit::Pad if !larger => from,
            Fit::Pad | Fit::ResizePad => scaled(from, size),
        };
        Frame { top: (size.0 - height) / 2, left: (size.1 - width) / 2, height, width }
    }
}

/// `from` with its aspect kept, as large as `size` allows. In whole numbers: no factor is rounded before the side is.
fn scaled((h, w): (usize, usize), size: (usize, usize)) -> (usize, usize) {
    let side = |side: usize, to: usize, from: usize| {
        let (side, to, from) = (side as u128, to as u128, from as u128);
        ((2 * side * to + from) / (2 * from)).max(1) as usize
    };
    if size.0 as u128 * w as u128 <= size.1 as u128 * h as u128 {
        (size.0, side(w, size.0, h).min(size.1))
    } else {
        (side(h, size.1, w).min(size.0), size.1)
    }
}

/// Writes the image's C channels, values from 0 to 255, into `frame` of the first C maps of `out`, maps of `size`. What
/// lies beside the frame is left as it is.
pub(super) fn place(image: &Image, frame: Frame, size: (usize, usize), out: &mut [f32]) {
    let (h, w) = (image.height(), image.width());
    let maps = out.chunks_exact_mut(size.0 * size.1).take(image.channels()).enumerate();
    if (frame.height, frame.width) == (h, w) {
        for (channel, map) in maps {
            let rows = map.chunks_exact_mut(size.1).skip(frame.top).take(h).enumerate();
            rows.for_each(|(row, out)| image.read_row(channel, row, &mut out[frame.left..][..w]));
        }
        return;
    }
    let (columns, rows) = (Windows::new(w, frame.width), Windows::new(h, frame.height));
    // Zeros behind the row: a window's last weights may lie there, and are zero too.
    let mut line = vec![0.0; w + columns.stride];
    let mut narrow = vec![0.0; h * frame.width];
    for (channel, map) in maps {
        for (row, out) in narrow.chunks_exact_mut(frame.width).enumerate() {
            image.read_row(channel, row, &mut line[..w]);
            columns.along(&line, out);
        }
        let wide = map.chunks_exact_mut(size.1).skip(frame.top).take(frame.height).enumerate();
        for (row, out) in wide {
            rows.across(&narrow, row, &mut out[frame.left..][..frame.width]);
        }
    }
}

/// Copies what lies in `frame` of the first map to the two maps behind it.
pub(super) fn repeat(frame: Frame, size: (usize, usize), out: &mut [f32]) {
    let (grey, others) = out.split_at_mut(size.0 * size.1);
    for map in others.chunks_exact_mut(size.0 * size.1) {
        for row in frame.top..frame.top + frame.height {
            let place = row * size.1 + frame.left..row * size.1 + frame.left + frame.width;
            map[place.clone()].copy_from_slice(&grey[place]);
        }
    }
}

/// For each output along one side: its first input, and the weights from there on, which sum to 1.
struct Windows {
    first: Vec<usize>,
    /// `stride` weights an output, zeros behind the last one that counts.
    weights: Vec<f32>,
    stride: usize,
}

impl Windows {
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        let window = |i: usize| {
            let center = (i as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let weight = |x: usize| (1.0 - ((x as f64 - center + 0.5) / support).abs()).max(0.0);
            let all: Vec<f64> = (first..end).map(weight).collect();
            let zeros = all.iter().take_while(|w| **w == 0.0).count();
            let counting = all.iter().rposition(|w| *w > 0.0).map_or(0, |last| last + 1);
            (first + zeros, all[zeros.min(counting)..counting].to_vec())
        };
        let windows: Vec<(usize, Vec<f64>)> = (0..to).map(window).collect();
        let longest = windows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let stride = if longest <= 2 { 2 } else { longest.next_multiple_of(LANES) };
        let mut weights = Vec::with_capacity(to * stride);
        for (i, (_, window)) in windows.iter().enumerate() {
            let sum: f64 = window.iter().sum();
            weights.extend(window.iter().map(|w| (w / sum) as f32));
            weights.resize((i + 1) * stride, 0.0);
        }
        Windows { first: windows.iter().map(|(first, _)| *first).collect(), weights, stride }
    }

    /// Scales a row, with at least `stride` zeros behind it, into `out`.
    fn along(&self, row: &[f32], out: &mut [f32]) {
        let outputs = out.iter_mut().zip(&self.first).zip(self.weights.chunks_exact(self.stride));
        if self.stride == 2 {
            outputs.for_each(|((y, &at), w)| {
                let x = &row[at..at + 2];
                *y = w[0] * x[0] + w[1] * x[1];
            });
            return;
        }
        for ((y, &at), weights) in outputs {
            let mut sums = [0.0; LANES];
            let values = row[at..at + self.stride].chunks_exact(LANES);
            for (w, x) in weights.chunks_exact(LANES).zip(values) {
                (0..LANES).for_each(|k| sums[k] += w[k] * x[k]);
            }
            *y = sums.iter().sum();
        }
    }

    /// Row `i` of the output from all rows of the input, each as wide as `out`.
    fn across(&self, rows: &[f32], i: usize, out: &mut [f32]) {
        let weights = &self.weights[i * self.stride..][..self.stride];
        let width = out.len();
        let row = |k: usize| rows[(self.first[i] + k) * width..].iter();
        let counting = weights.iter().rposition(|w| *w != 0.0).map_or(0, |last| last + 1);
        match counting {
            0 | 1 => out.iter_mut().zip(row(0)).for_each(|(y, x)| *y = weights[0] * x),
            _ => {
                let pairs = row(0).zip(row(1));
                let (first, second) = (weights[0], weights[1]);
                out.iter_mut().zip(pairs).for_each(|(y, (a, b))| *y = first * a + second * b);
            }
        }
        for (k, weight) in weights.iter().enumerate().take(counting).skip(2) {
            out.iter_mut().zip(row(k)).for_each(|(y, x)| *y += weight * x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(h: usize, w: usize) -> Image {
        let pixels: Vec<u8> = (0..h * w).map(|i| (i * 37 % 251 + 1) as u8).collect();
        Image::from_pixels(h, w, 1, &pixels).unwrap()
    }

    fn fit(image: &Image, size: (usize, usize), fit: Fit) -> Vec<f32> {
        let mut out = vec![0.0; image.channels() * size.0 * size.1];
        place(image, Frame::new((image.height(), image.width()), size, fit), size, &mut out);
        out
    }

    #[test]
    fn padding_centres_and_gives_the_odd_pixel_to_the_bottom_and_right() {
        for (h, w) in [(4, 5), (5, 4), (7, 8), (1, 1), (9, 10)] {
            let small = image(h, w);
            let values = small.values();
            let out = fit(&small, (9, 10), Fit::Pad);
            let (top, left) = ((9 - h) / 2, (10 - w) / 2);
            for row in 0..9 {
                for column in 0..10 {
                    let inside = (top..top + h).contains(&row) && (left..left + w).contains(&column);
                    let expected = if inside { values[(row - top) * w + column - left] } else { 0.0 };
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
    fn the_aspect_is_kept_and_no_side_vanishes() {
        for (from, size, expected) in [
            ((40, 20), (20, 30), (20, 10)),
            ((20, 40), (30, 20), (10, 20)),
            ((7, 3), (5, 9), (5, 2)),        // 3·5/7 = 2.14
            ((4, 10), (3, 5), (2, 5)),       // 4·5/10 = 2
            ((3, 10), (9, 5), (2, 5)),       // 3·5/10 = 1.5 goes up
            ((1, 5000), (299, 75), (1, 75)), // 0.015 becomes 1
            ((5000, 1), (75, 299), (75, 1)),
            ((299, 300), (299, 299), (298, 299)),
        ] {
            let frame = Frame::new(from, size, Fit::ResizePad);
            assert_eq!((frame.height, frame.width), expected, "{from:?} into {size:?}");
            let larger = from.0 > size.0 || from.1 > size.1;
            assert_eq!(Frame::new(from, size, Fit::Pad) == frame, larger, "{from:?} into {size:?}");
        }
    }

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (from, to) in [(1, 7), (7, 1), (20, 299), (299, 20), (102, 75), (3, 3), (5, 4)] {
            let windows = Windows::new(from, to);
            assert_eq!((windows.first.len(), windows.weights.len()), (to, to * windows.stride));
            for (first, weights) in windows.first.iter().zip(windows.weights.chunks_exact(windows.stride)) {
                let counting = weights.iter().rposition(|w| *w != 0.0).unwrap() + 1;
                assert!(first + counting <= from, "{from} to {to}");
                // Each weight is rounded to float32 once.
                assert!((weights.iter().sum::<f32>() - 1.0).abs() <= 1e-6);
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

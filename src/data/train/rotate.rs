//! Turns a picture by any angle: y(p) = x(R⁻¹(p − c) + c), counter-clockwise as one sees it, x between pixels bilinear.
//!
//! Sine and cosine are a polynomial in additions and multiplications, exact at multiples of 90°, so that every machine turns by the
//! same bits. Coordinates are float64, values float32.

use std::str::FromStr;

use super::super::fit::Frame;
use crate::error::{Error, Result};

/// What flips and rotations move, and what comes in from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// The padded input moves about its centre, and zeros come in, as padding has them. The outline of a crop turns with it; what
    /// leaves the input is lost.
    #[default]
    Zero,
    /// The crop moves within its own upright outline, and its nearest pixel fills what it leaves bare.
    Edge,
}

impl FromStr for Fill {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "zero" => Ok(Fill::Zero),
            "edge" => Ok(Fill::Edge),
            _ => Err(Error::Argument(format!("augment: fill is `zero` or `edge`, not `{text}`"))),
        }
    }
}

impl std::fmt::Display for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Fill::Zero { "zero" } else { "edge" })
    }
}

/// A rotation about a centre, in pixels of the input.
pub(super) struct Turn {
    sin: f64,
    cos: f64,
    /// Row and column of the point that stays.
    center: (f64, f64),
}

impl Turn {
    /// By `degrees` about the middle of `frame`.
    pub fn about(frame: Frame, degrees: f64) -> Self {
        let (sin, cos) = sin_cos(degrees);
        let middle = |start: usize, side: usize| start as f64 + (side as f64 - 1.0) / 2.0;
        Turn { sin, cos, center: (middle(frame.top, frame.height), middle(frame.left, frame.width)) }
    }

    /// Where the value at (row, column) comes from.
    fn source(&self, row: f64, column: f64) -> (f64, f64) {
        let (dy, dx) = (row - self.center.0, column - self.center.1);
        (self.center.0 + (self.sin * dx + self.cos * dy), self.center.1 + (self.cos * dx - self.sin * dy))
    }

    /// The part of an input of `size` that pixels of `frame` may reach.
    pub fn reach(&self, frame: Frame, size: (usize, usize)) -> Frame {
        let back = Turn { sin: -self.sin, ..*self };
        // A pixel's value is seen up to one pixel away.
        let (top, left) = (frame.top as f64 - 1.0, frame.left as f64 - 1.0);
        let (bottom, right) = (top + frame.height as f64 + 1.0, left + frame.width as f64 + 1.0);
        let corners = [(top, left), (top, right), (bottom, left), (bottom, right)];
        let corners = corners.map(|(row, column)| back.source(row, column));
        let range = |values: [f64; 4], side: usize| {
            let low = values.into_iter().fold(f64::INFINITY, f64::min).floor().max(0.0) as usize;
            let high = values.into_iter().fold(f64::NEG_INFINITY, f64::max).ceil() as usize;
            let low = low.min(side - 1);
            (low, (high + 1).min(side).max(low + 1) - low)
        };
        let (top, height) = range(corners.map(|corner| corner.0), size.0);
        let (left, width) = range(corners.map(|corner| corner.1), size.1);
        Frame { top, left, height, width }
    }
}

/// The picture that is turned: C maps with a border of zeros, one pixel before and two behind.
pub(super) struct Bordered<'a> {
    /// [C, height + 3, width + 3].
    pub values: &'a [f32],
    /// Where it lies in the input, border left out.
    pub frame: Frame,
    pub channels: usize,
}

/// Values that a picture of `frame` takes with its border.
pub(super) fn bordered_length(channels: usize, frame: Frame) -> usize {
    channels * (frame.height + 3) * (frame.width + 3)
}

/// `picture` turned into `out`, [C, to.height, to.width], overwritten; `spans` becomes the columns of each row that lie in the
/// turned picture and not beside it, counted from `to.left`.
pub(super) fn rotate(
    picture: &Bordered<'_>,
    turn: &Turn,
    fill: Fill,
    to: Frame,
    out: &mut [f32],
    spans: &mut Vec<(usize, usize)>,
) {
    let (h, w) = (picture.frame.height as f64, picture.frame.width as f64);
    let (stride, map) = (picture.frame.width + 3, (picture.frame.height + 3) * (picture.frame.width + 3));
    // One pixel away all is zero; the nearest pixel is the one inside.
    let (low, high) = if fill == Fill::Zero { (-1.0, 0.0) } else { (0.0, -1.0) };
    spans.clear();
    for row in 0..to.height {
        let mut span: Option<(usize, usize)> = None;
        for column in 0..to.width {
            let (y, x) = turn.source((to.top + row) as f64, (to.left + column) as f64);
            let (y, x) = (y - picture.frame.top as f64, x - picture.frame.left as f64);
            let inside = (-0.5..h - 0.5).contains(&y) && (-0.5..w - 0.5).contains(&x);
            if inside || fill == Fill::Edge {
                span = Some((span.map_or(column, |span| span.0), column + 1));
            }
            // In the bordered picture; a cast rounds down, both being positive.
            let (y, x) = (y.clamp(low, h + high) + 1.0, x.clamp(low, w + high) + 1.0);
            let (top, left) = (y as usize, x as usize);
            let (down, right) = ((y - top as f64) as f32, (x - left as f64) as f32);
            let at = top * stride + left;
            for c in 0..picture.channels {
                let near = &picture.values[c * map + at..][..stride + 2];
                let upper = near[0] + right * (near[1] - near[0]);
                let lower = near[stride] + right * (near[stride + 1] - near[stride]);
                out[(c * to.height + row) * to.width + column] = upper + down * (lower - upper);
            }
        }
        spans.push(span.unwrap_or((0, 0)));
    }
}

/// Sine and cosine: whole quarter turns aside, Taylor's series to the 17th power on ±45°, whose next term is below 2⁻⁶⁰.
fn sin_cos(degrees: f64) -> (f64, f64) {
    let degrees = degrees.rem_euclid(360.0);
    let quarter = (degrees / 90.0).round();
    let x = (degrees - 90.0 * quarter) * (std::f64::consts::PI / 180.0);
    let series = |first: u32| {
        (0..8).rev().fold(1.0, |sum, k| {
            let n = f64::from(first + 2 * k);
            1.0 - x * x / ((n + 1.0) * (n + 2.0)) * sum
        })
    };
    let (sin, cos) = (x * series(1), series(0));
    match quarter as u32 % 4 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_are_those_of_the_library() {
        for i in -7300..=7300 {
            let degrees = f64::from(i) / 10.0;
            let (sin, cos) = sin_cos(degrees);
            let (s, c) = degrees.to_radians().sin_cos();
            // The library's argument is rounded: up to 13 · 2⁻⁵³.
            assert!((sin - s).abs() <= 3e-15 && (cos - c).abs() <= 3e-15, "{degrees}: {sin} {s}, {cos} {c}");
        }
        for (degrees, expected) in [
            (0.0, (0.0, 1.0)),
            (90.0, (1.0, 0.0)),
            (180.0, (0.0, -1.0)),
            (-90.0, (-1.0, 0.0)),
            (360.0, (0.0, 1.0)),
        ] {
            assert_eq!(sin_cos(degrees), expected, "{degrees}");
        }
    }

    #[test]
    fn what_a_frame_reaches_holds_all_of_it() {
        let (size, frame) = ((40, 30), Frame { top: 10, left: 3, height: 9, width: 21 });
        let whole = Frame { top: 0, left: 0, height: 40, width: 30 };
        for degrees in [0.0, 17.0, 45.0, 90.0, 133.3, 180.0, 270.0] {
            let turn = Turn::about(whole, degrees);
            let reach = turn.reach(frame, size);
            for (row, column) in (0..40).flat_map(|row| (0..30).map(move |column| (row, column))) {
                let (y, x) = turn.source(f64::from(row), f64::from(column));
                let seen = (9.0 + 1e-9..19.0 - 1e-9).contains(&y) && (2.0 + 1e-9..24.0 - 1e-9).contains(&x);
                let (row, column) = (row as usize, column as usize);
                let held = (reach.top..reach.top + reach.height).contains(&row)
                    && (reach.left..reach.left + reach.width).contains(&column);
                assert!(held || !seen, "{degrees}: {row}, {column} of {reach:?}");
            }
        }
    }
}

//! Squares that hide part of an input.

use super::Map;
use crate::data::Normalize;
use crate::error::{Error, Result};

/// Where squares lie: in rows and columns, each of which covers the whole side.
pub(super) struct Squares {
    size: (usize, usize),
    patch: usize,
    /// First row, and first column, of each.
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl Squares {
    /// Squares of `patch` pixels, `stride` pixels apart, over an input of `size`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a square without pixels or larger than the input, and for a stride that is 0 or leaves pixels out.
    pub fn new(size: (usize, usize), patch: usize, stride: usize) -> Result<Self> {
        let (h, w) = size;
        if !(1..=h.min(w)).contains(&patch) {
            let most = h.min(w);
            let problem =
                format!("a patch of {patch} pixels on an input of {h}×{w}: give a number from 1 to {most}");
            return Err(Error::Argument(problem));
        }
        if !(1..=patch).contains(&stride) {
            let problem = format!(
                "a stride of {stride} pixels with a patch of {patch}: give a number from 1 to {patch}, so that every pixel is hidden once"
            );
            return Err(Error::Argument(problem));
        }
        let along = |side: usize| {
            let count = (side - patch).div_ceil(stride) + 1;
            (0..count).map(|i| (i * stride).min(side - patch)).collect()
        };
        Ok(Squares { size, patch, rows: along(h), columns: along(w) })
    }

    /// First row and column of each square, row by row.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        self.rows.iter().flat_map(|&row| self.columns.iter().map(move |&column| (row, column)))
    }

    /// Puts `value` where the square at `place` lies in `input` [3, H, W].
    pub fn hide(&self, (row, column): (usize, usize), value: f32, input: &mut [f32]) {
        for map in input.chunks_exact_mut(self.size.0 * self.size.1) {
            for line in map.chunks_exact_mut(self.size.1).skip(row).take(self.patch) {
                line[column..column + self.patch].fill(value);
            }
        }
    }

    /// At each pixel of the input the mean of `values`, one a square, over the squares that lie there.
    pub fn mean(&self, values: &[f32]) -> Map {
        let (height, width) = self.size;
        let (mut sums, mut counts) = (vec![0.0f64; height * width], vec![0u32; height * width]);
        for ((row, column), value) in self.places().zip(values) {
            for first in (row..row + self.patch).map(|row| row * width + column) {
                sums[first..first + self.patch].iter_mut().for_each(|sum| *sum += f64::from(*value));
                counts[first..first + self.patch].iter_mut().for_each(|count| *count += 1);
            }
        }
        let values = sums.iter().zip(counts).map(|(sum, count)| (sum / f64::from(count)) as f32);
        Map { height, width, values: values.collect() }
    }

    /// `values`, one a square, as a map of squares.
    pub fn grid(&self, values: Vec<f32>) -> Map {
        Map { height: self.rows.len(), width: self.columns.len(), values }
    }
}

/// What a hidden value of an input is.
pub(super) fn hidden(normalize: &Normalize) -> f32 {
    match normalize {
        Normalize::None => 127.5,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_cover_everything_and_stay_inside() {
        for (size, patch, stride) in
            [((75, 80), 32, 16), ((75, 75), 75, 1), ((76, 90), 7, 7), ((77, 75), 10, 3)]
        {
            let squares = Squares::new(size, patch, stride).unwrap();
            let mut input = vec![1.0; 3 * size.0 * size.1];
            for (row, column) in squares.places() {
                assert!(row + patch <= size.0 && column + patch <= size.1);
                squares.hide((row, column), 0.0, &mut input);
            }
            assert!(input.iter().all(|x| *x == 0.0), "{size:?} {patch} {stride}");
            let gaps = squares.rows.windows(2).chain(squares.columns.windows(2));
            assert!(gaps.map(|pair| pair[1] - pair[0]).all(|gap| (1..=stride).contains(&gap)));
        }
        for (patch, stride) in [(0, 1), (76, 1), (10, 0), (10, 11)] {
            assert!(
                matches!(Squares::new((75, 80), patch, stride), Err(Error::Argument(_))),
                "{patch} {stride}"
            );
        }
    }

    #[test]
    fn overlapping_squares_are_averaged() {
        // Rows 0 and 1, columns 0, 2 and 3 of squares of two pixels over 3×5.
        let squares = Squares::new((3, 5), 2, 2).unwrap();
        assert_eq!(squares.places().collect::<Vec<_>>(), [(0, 0), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3)]);
        let map = squares.mean(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
        let expected = [[1.0, 1.0, 2.0, 3.0, 4.0], [4.5, 4.5, 9.0, 13.5, 18.0], [8.0, 8.0, 16.0, 24.0, 32.0]];
        assert_eq!((map.height, map.width, map.values), (3, 5, expected.concat()));
    }
}

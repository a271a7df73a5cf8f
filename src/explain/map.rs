//! A map of values over an input or over a layer's pixels.

/// H·W values, row by row from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The values.
    pub values: Vec<f32>,
}

impl Map {
    /// Row, column and value of the largest value above 0, the first of equal ones; `None` where nothing is above 0.
    pub fn maximum(&self) -> Option<(usize, usize, f32)> {
        let larger = |best: Option<usize>, i: usize| match best {
            Some(best) if self.values[best] >= self.values[i] => Some(best),
            _ if self.values[i] > 0.0 => Some(i),
            _ => best,
        };
        let best = (0..self.values.len()).fold(None, larger)?;
        Some((best / self.width, best % self.width, self.values[best]))
    }

    /// Values from 0 to 1: each divided by the largest, those below 0 as 0. Where nothing is above 0, all are 0.
    pub fn normalized(&self) -> Vec<f32> {
        match self.maximum() {
            Some((.., largest)) => self.values.iter().map(|x| (x / largest).max(0.0)).collect(),
            None => vec![0.0; self.values.len()],
        }
    }

    /// The same at `height`×`width`, bilinear: a pixel's centre i + ½ there lies at (i + ½)·H/height here, beyond the outermost centres
    /// the outermost value counts. Source: torch.nn.functional.interpolate, bilinear, align_corners false.
    pub fn scaled(&self, height: usize, width: usize) -> Map {
        let (rows, columns) = (weights(self.height, height), weights(self.width, width));
        let at = |row: usize, column: usize| f64::from(self.values[row * self.width + column]);
        let values = rows.iter().flat_map(|&(r, down)| {
            columns.iter().map(move |&(c, right)| {
                let (below, beside) = ((r + 1).min(self.height - 1), (c + 1).min(self.width - 1));
                let above = at(r, c) * (1.0 - right) + at(r, beside) * right;
                let under = at(below, c) * (1.0 - right) + at(below, beside) * right;
                (above * (1.0 - down) + under * down) as f32
            })
        });
        Map { height, width, values: values.collect() }
    }
}

/// For each of `to` places the one of `from` before it, and how far it is on the way to the next.
fn weights(from: usize, to: usize) -> Vec<(usize, f64)> {
    let place = |i: usize| {
        let x = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let before = (x as usize).min(from - 1);
        (before, x - before as f64)
    };
    (0..to).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_is_that_of_torch() {
        // torch.nn.functional.interpolate(x, size=(5, 7), mode="bilinear", align_corners=False), torch 2.11.
        let map = Map { height: 2, width: 3, values: vec![1.0, 2.0, 4.0, -3.0, 0.5, 8.0] };
        let expected = [
            1.0, 1.14286, 1.57143, 2.0, 2.85714, 3.71429, 4.0, 0.6, 0.77857, 1.31429, 1.85, 2.94286, 4.03571,
            4.4, -1.0, -0.67857, 0.28571, 1.25, 3.28571, 5.32143, 6.0, -2.6, -2.13571, -0.74286, 0.65,
            3.62857, 6.60714, 7.6, -3.0, -2.5, -1.0, 0.5, 3.71429, 6.92857, 8.0,
        ];
        let scaled = map.scaled(5, 7);
        assert_eq!((scaled.height, scaled.width, scaled.values.len()), (5, 7, 35));
        for (i, (got, expected)) in scaled.values.iter().zip(expected).enumerate() {
            // Torch's are in float64, here with five digits.
            assert!((got - expected).abs() <= 6e-6, "{i}: {got}, expected {expected}");
        }
        assert_eq!(map.scaled(2, 3), map);
    }

    #[test]
    fn the_maximum_is_the_first_of_equals_and_above_zero() {
        let map = |values: &[f32]| Map { height: 2, width: 2, values: values.to_vec() };
        assert_eq!(map(&[0.0, 2.0, 2.0, -1.0]).maximum(), Some((0, 1, 2.0)));
        assert_eq!(map(&[0.0, -2.0, 0.0, -1.0]).maximum(), None);
        assert_eq!(map(&[0.0, 2.0, 4.0, -1.0]).normalized(), [0.0, 0.5, 1.0, 0.0]);
        assert_eq!(map(&[0.0, -2.0, 0.0, -1.0]).normalized(), [0.0; 4]);
    }
}

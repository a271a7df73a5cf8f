//! Cohen's kappa: how far two readers agree beyond chance.

use super::{Confidence, Contingency, Interval};
use crate::error::{Error, Result};

/// How much a disagreement between classes i and j of K counts as agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// 1 for i = j, else 0.
    None,
    /// 1 − |i − j| / (K − 1).
    Linear,
    /// 1 − (i − j)² / (K − 1)².
    Quadratic,
}

impl Weighting {
    fn weight(self, i: usize, j: usize, classes: usize) -> f64 {
        let apart = i.abs_diff(j) as f64 / (classes - 1) as f64;
        match self {
            Weighting::None => f64::from(u8::from(i == j)),
            Weighting::Linear => 1.0 - apart,
            Weighting::Quadratic => 1.0 - apart * apart,
        }
    }
}

/// Kappa and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kappa {
    /// (observed − expected agreement) / (1 − expected agreement), at most 1.
    pub value: f64,
    /// The large-sample standard error.
    pub standard_error: f64,
}

impl Kappa {
    /// value ± z · standard error, cut to −1..=1.
    pub fn interval(&self, confidence: Confidence) -> Interval {
        Interval::wald(self.value, self.standard_error, confidence, (-1.0, 1.0))
    }
}

impl Contingency {
    /// Kappa of a square table, rows the first reader's classes, columns the second's, in the same order.
    ///
    /// Source: Cohen 1960, Educ Psychol Meas 20:37, and 1968, Psychol Bull 70:213; variance: Fleiss, Cohen, Everitt 1969,
    /// Psychol Bull 72:323, formula 13: [Σ pᵢⱼ (wᵢⱼ(1 − pₑ) − (w̄ᵢ + w̄ⱼ)(1 − pₒ))² − (pₒpₑ − 2pₑ + pₒ)²] / n(1 − pₑ)⁴.
    ///
    /// # Errors
    /// [`Error::Argument`] for a table that is not square or has one class, and when both readers gave every case the same
    /// class.
    pub fn kappa(&self, weighting: Weighting) -> Result<Kappa> {
        let classes = self.rows();
        if classes != self.columns() || classes < 2 {
            let shape = format!("{classes}×{}", self.columns());
            return Err(Error::Argument(format!(
                "kappa needs a square table of at least two classes, not {shape}"
            )));
        }
        let n = self.total() as f64;
        let share = |sums: Vec<u64>| -> Vec<f64> { sums.iter().map(|&sum| sum as f64 / n).collect() };
        let (rows, columns) = (share(self.row_sums()), share(self.column_sums()));
        let w = |i, j| weighting.weight(i, j, classes);
        let mean_row: Vec<f64> =
            (0..classes).map(|i| (0..classes).map(|j| w(i, j) * columns[j]).sum()).collect();
        let mean_column: Vec<f64> =
            (0..classes).map(|j| (0..classes).map(|i| w(i, j) * rows[i]).sum()).collect();
        let observed: f64 = self.cells().map(|(i, j, count)| w(i, j) * count as f64 / n).sum();
        let expected: f64 = rows.iter().zip(&mean_row).map(|(row, mean)| row * mean).sum();
        let room = 1.0 - expected;
        // Expected agreement is 1 exactly when one class has everything.
        if room <= f64::EPSILON {
            return Err(Error::Argument(
                "kappa is not defined: both readers gave every case the same class".into(),
            ));
        }
        let spread: f64 = self
            .cells()
            .map(|(i, j, count)| {
                let part = w(i, j) * room - (mean_row[i] + mean_column[j]) * (1.0 - observed);
                count as f64 / n * part * part
            })
            .sum();
        let centre = observed * expected - 2.0 * expected + observed;
        let variance = (spread - centre * centre).max(0.0) / (n * room.powi(4));
        Ok(Kappa { value: (observed - expected) / room, standard_error: variance.sqrt() })
    }
}

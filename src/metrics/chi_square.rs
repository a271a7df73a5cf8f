//! Pearson's chi-square test of independence.

use super::distributions::chi_square_upper;
use super::{Contingency, Test};
use crate::error::{Error, Result};

/// Chi-square of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquare {
    /// The statistic and its P value.
    pub test: Test,
    /// (rows − 1)(columns − 1).
    pub freedom: usize,
    /// The smallest expected count; below 5 an exact test is the safer one (Cochran 1954, Biometrics 10:417).
    pub least_expected: f64,
}

impl Contingency {
    /// Σ (observed − expected)² / expected, expected being row sum · column sum / total.
    ///
    /// Source: Pearson 1900, Philos Mag 50:157.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two rows or columns, or an empty one.
    pub fn chi_square(&self) -> Result<ChiSquare> {
        self.need_full("chi-square")?;
        Ok(self.pearson(0.0))
    }

    /// Chi-square of a 2×2 table with Yates' correction: each |observed − expected| is lessened by ½, at most to 0.
    ///
    /// Source: Yates 1934, Suppl J R Stat Soc 1:217.
    ///
    /// # Errors
    /// [`Error::Argument`] for a table that is not 2×2 or has an empty row or column.
    pub fn chi_square_yates(&self) -> Result<ChiSquare> {
        if (self.rows(), self.columns()) != (2, 2) {
            let shape = format!("{}×{}", self.rows(), self.columns());
            return Err(Error::Argument(format!("Yates' correction is for tables of 2×2, not {shape}")));
        }
        self.need_full("chi-square")?;
        Ok(self.pearson(0.5))
    }

    fn pearson(&self, correction: f64) -> ChiSquare {
        let (rows, columns, total) = (self.row_sums(), self.column_sums(), self.total() as f64);
        let mut least_expected = f64::INFINITY;
        let statistic = self.cells().map(|(row, column, observed)| {
            let expected = rows[row] as f64 * columns[column] as f64 / total;
            least_expected = least_expected.min(expected);
            let gap = ((observed as f64 - expected).abs() - correction).max(0.0);
            gap * gap / expected
        });
        let statistic = statistic.sum();
        let freedom = (self.rows() - 1) * (self.columns() - 1);
        let p = chi_square_upper(statistic, freedom as f64);
        ChiSquare { test: Test { statistic, p }, freedom, least_expected }
    }
}

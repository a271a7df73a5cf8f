//! McNemar's test: two readers, or one reader twice, on the same cases.

use super::Test;
use super::distributions::{binomial_lower, chi_square_upper};
use crate::error::{Error, Result};

/// McNemar's test in its three forms; b and c count the cases of which only the first, only the second is right (or
/// positive).
///
/// Source: McNemar 1947, Psychometrika 12:153; the correction is Edwards' 1948, Psychometrika 13:185.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct McNemar {
    /// 2 · P(X ≤ min(b, c)) of the binomial law with b + c trials of chance ½, at most 1.
    pub exact_p: f64,
    /// (b − c)² / (b + c) against chi-square with 1 degree of freedom.
    pub chi_square: Test,
    /// (|b − c| − 1)² / (b + c), and 0 where b = c.
    pub corrected: Test,
}

impl McNemar {
    /// The test of `b` against `c`. Without discordant cases nothing differs: every P is 1.
    pub fn new(b: u64, c: u64) -> Self {
        let (n, gap) = (b + c, b.abs_diff(c) as f64);
        let chi_square = |gap: f64| {
            let statistic = if n == 0 { 0.0 } else { gap * gap / n as f64 };
            Test { statistic, p: chi_square_upper(statistic, 1.0) }
        };
        McNemar {
            exact_p: (2.0 * binomial_lower(b.min(c), n, 0.5)).min(1.0),
            chi_square: chi_square(gap),
            corrected: chi_square((gap - 1.0).max(0.0)),
        }
    }

    /// The test of two series of calls on the same cases.
    ///
    /// # Errors
    /// [`Error::Argument`] when they differ in length.
    pub fn of_calls(first: &[bool], second: &[bool]) -> Result<Self> {
        if first.len() != second.len() {
            let (a, b) = (first.len(), second.len());
            return Err(Error::Argument(format!(
                "McNemar's test needs the same cases twice, not {a} and {b}"
            )));
        }
        let only =
            |call: bool| first.iter().zip(second).filter(|&(&a, &b)| a == call && b != call).count() as u64;
        Ok(McNemar::new(only(true), only(false)))
    }
}

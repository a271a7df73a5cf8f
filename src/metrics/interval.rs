//! What every estimate and every test has in common: an interval, its confidence, a P value.

use super::distributions::normal_quantile;
use crate::error::{Error, Result};

/// How sure an interval is, a number between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence(f64);

impl Confidence {
    /// 95 %.
    pub const P95: Confidence = Confidence(0.95);

    /// A confidence of `level`.
    ///
    /// # Errors
    /// [`Error::Argument`] unless 0 < `level` < 1.
    pub fn new(level: f64) -> Result<Self> {
        match level > 0.0 && level < 1.0 {
            true => Ok(Confidence(level)),
            false => {
                Err(Error::Argument(format!("a confidence lies between 0 and 1, as 0.95 does, not {level}")))
            }
        }
    }

    /// The level, 0.95 for 95 %.
    pub fn level(self) -> f64 {
        self.0
    }

    /// Each tail's share, (1 − level) / 2.
    pub fn tail(self) -> f64 {
        (1.0 - self.0) / 2.0
    }

    /// The standard normal quantile of 1 − tail: 1.96 for 95 %.
    pub fn z(self) -> f64 {
        -normal_quantile(self.tail())
    }
}

/// A confidence interval, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Wald's interval: `value` ± z · `standard_error`, cut to `low..=high`, which hold `value`.
    pub fn wald(value: f64, standard_error: f64, confidence: Confidence, (low, high): (f64, f64)) -> Self {
        let half = confidence.z() * standard_error;
        Interval { low: (value - half).max(low), high: (value + half).min(high) }
    }
}

/// A test's outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// The test's statistic: z, t or chi-square.
    pub statistic: f64,
    /// The two-sided P value, from 0 to 1.
    pub p: f64,
}

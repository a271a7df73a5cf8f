//! Student's t test of two means, from samples or from what a paper prints of them.

use super::distributions::{t_two_sided, t_two_sided_quantile};
use super::{Confidence, Interval, Test};
use crate::error::{Error, Result};

/// A sample by its size, mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    n: u64,
    mean: f64,
    sd: f64,
}

/// A t test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TTest {
    /// t and its two-sided P value.
    pub test: Test,
    /// Degrees of freedom, a fraction for Welch's test.
    pub freedom: f64,
    /// first mean − second mean.
    pub difference: f64,
    /// The difference's standard error.
    pub standard_error: f64,
}

impl TTest {
    /// The paired test: the differences first − second against a mean of 0, t = mean / (sd/√n), with n − 1 degrees of freedom.
    ///
    /// Source: Student 1908, Biometrika 6:1.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two pairs, a value that is not finite, and differences that are all the same.
    pub fn paired(pairs: &[(f64, f64)]) -> Result<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(first, second)| first - second).collect();
        let Moments { n, mean, sd } = Moments::of(&differences)?;
        if sd == 0.0 {
            let problem = format!("a paired t test needs differences that vary, and all are {mean}");
            return Err(Error::Argument(problem));
        }
        let (standard_error, freedom) = (sd / (n as f64).sqrt(), n as f64 - 1.0);
        let statistic = mean / standard_error;
        let test = Test { statistic, p: t_two_sided(statistic, freedom) };
        Ok(TTest { test, freedom, difference: mean, standard_error })
    }

    /// difference ± t quantile · standard error.
    pub fn interval(&self, confidence: Confidence) -> Interval {
        let half = t_two_sided_quantile(1.0 - confidence.level(), self.freedom) * self.standard_error;
        Interval { low: self.difference - half, high: self.difference + half }
    }

    fn new(first: &Moments, second: &Moments, variance: f64, freedom: f64) -> Result<Self> {
        let difference = first.mean - second.mean;
        if variance <= 0.0 {
            return Err(Error::Argument(
                "a t test needs values that vary, and the standard deviation of both groups is 0".into(),
            ));
        }
        if !variance.is_finite() || !freedom.is_finite() {
            return Err(Error::Argument(format!(
                "a t test cannot tell standard deviations of {} and {} from 0 or infinity: choose another unit",
                first.sd, second.sd
            )));
        }
        let standard_error = variance.sqrt();
        let statistic = difference / standard_error;
        let test = Test { statistic, p: t_two_sided(statistic, freedom) };
        Ok(TTest { test, freedom, difference, standard_error })
    }
}

impl Moments {
    /// A sample of `n` values with this mean and sample standard deviation (n − 1 below).
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two values, and unless both are finite and `sd` ≥ 0.
    pub fn from_moments(n: u64, mean: f64, sd: f64) -> Result<Self> {
        if n < 2 || !mean.is_finite() || !sd.is_finite() || sd < 0.0 {
            return Err(Error::Argument(format!(
                "a t test needs at least two values, a mean and a standard deviation of at least 0 in each \
                 group, not n = {n}, mean {mean}, sd {sd}"
            )));
        }
        Ok(Moments { n, mean, sd })
    }

    /// The moments of `values`.
    ///
    /// # Errors
    /// As [`Self::from_moments`].
    pub fn of(values: &[f64]) -> Result<Self> {
        let n = values.len() as f64;
        let mean = if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / n };
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let sd = if values.len() < 2 { 0.0 } else { (squares / (n - 1.0)).sqrt() };
        Moments::from_moments(values.len() as u64, mean, sd)
    }

    /// mean ± t quantile · sd/√n, with n − 1 degrees of freedom.
    pub fn interval(&self, confidence: Confidence) -> Interval {
        let n = self.n as f64;
        let half = t_two_sided_quantile(1.0 - confidence.level(), n - 1.0) * self.sd / n.sqrt();
        Interval { low: self.mean - half, high: self.mean + half }
    }

    /// How many values.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Their standard deviation.
    pub fn sd(&self) -> f64 {
        self.sd
    }

    /// Student's test with one variance for both: s² = Σ (nᵢ − 1)sᵢ² / (n₁ + n₂ − 2), t = difference / √(s²(1/n₁ + 1/n₂)).
    ///
    /// Source: Student 1908, Biometrika 6:1.
    ///
    /// # Errors
    /// [`Error::Argument`] when neither group varies.
    pub fn t_test_pooled(&self, other: &Moments) -> Result<TTest> {
        let (n1, n2) = (self.n as f64, other.n as f64);
        let freedom = n1 + n2 - 2.0;
        let pooled = ((n1 - 1.0) * self.sd.powi(2) + (n2 - 1.0) * other.sd.powi(2)) / freedom;
        TTest::new(self, other, pooled * (1.0 / n1 + 1.0 / n2), freedom)
    }

    /// Welch's test without that assumption: t = difference / √(v₁ + v₂), vᵢ = sᵢ²/nᵢ, with
    /// (v₁ + v₂)² / Σ vᵢ²/(nᵢ − 1) degrees of freedom.
    ///
    /// Source: Welch 1947, Biometrika 34:28; Satterthwaite 1946, Biometrics Bull 2:110.
    ///
    /// # Errors
    /// [`Error::Argument`] when neither group varies.
    pub fn t_test_welch(&self, other: &Moments) -> Result<TTest> {
        let (n1, n2) = (self.n as f64, other.n as f64);
        let (v1, v2) = (self.sd.powi(2) / n1, other.sd.powi(2) / n2);
        // By shares, whose squares neither vanish nor overflow.
        let (share1, share2) = (v1 / (v1 + v2), v2 / (v1 + v2));
        let freedom = 1.0 / (share1 * share1 / (n1 - 1.0) + share2 * share2 / (n2 - 1.0));
        TTest::new(self, other, v1 + v2, freedom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Student's own data, the hours of sleep that two drugs gave ten patients; the figures are R's,
    /// `t.test(extra ~ group, sleep, paired = TRUE)`.
    #[test]
    fn the_paired_test_of_sleep() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let pairs: Vec<(f64, f64)> = first.into_iter().zip(second).collect();
        let test = TTest::paired(&pairs).unwrap();
        let close =
            |got: f64, expected: f64| assert!((got - expected).abs() <= 5e-5, "{got}, not {expected}");
        close(test.test.statistic, -4.0621);
        close(test.test.p, 0.002833);
        close(test.difference, -1.58);
        let interval = test.interval(Confidence::P95);
        close(interval.low, -2.459_885_8);
        close(interval.high, -0.700_114_2);
        // The interval of the differences' own mean is the same.
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
        let own = Moments::of(&differences).unwrap().interval(Confidence::P95);
        assert!((own.low - interval.low).abs() < 1e-12 && (own.high - interval.high).abs() < 1e-12);
        assert!(TTest::paired(&pairs[..1]).is_err() && TTest::paired(&[(1.0, 0.5), (2.0, 1.5)]).is_err());
    }
}

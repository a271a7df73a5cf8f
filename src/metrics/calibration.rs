//! Whether probabilities mean what they say.

use super::Scored;
use crate::error::{Error, Result};

/// One bin of a reliability curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Where the bin begins, included.
    pub low: f64,
    /// Where it ends, excluded but for the last.
    pub high: f64,
    /// How many probabilities lie in it; never 0.
    pub count: usize,
    /// Their mean.
    pub mean_probability: f64,
    /// The share of positives among them.
    pub observed: f64,
}

/// Calibration of the probabilities of being positive.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The Brier score: the mean of (probability − truth)², truth 0 or 1 (Brier 1950, Mon Weather Rev 78:1).
    pub brier: f64,
    /// The expected calibration error: Σ count/n · |mean probability − observed share| over the bins (Naeini et al. 2015,
    /// AAAI 29:2901).
    pub ece: f64,
    /// The reliability curve: the bins that are not empty, in rising order.
    pub bins: Vec<Bin>,
}

impl Scored {
    /// Calibration over `bins` bins of equal width. One class alone is allowed.
    ///
    /// # Errors
    /// [`Error::Argument`] for a score outside 0..=1 and for no bins.
    pub fn calibration(&self, bins: usize) -> Result<Calibration> {
        if let Some(score) = self.scores().iter().find(|score| !(0.0..=1.0).contains(*score)) {
            return Err(Error::Argument(format!("calibration needs probabilities from 0 to 1, not {score}")));
        }
        if bins == 0 {
            return Err(Error::Argument("calibration needs at least one bin, not 0".into()));
        }
        let n = self.scores().len() as f64;
        let mut sums = vec![(0usize, 0.0, 0usize); bins];
        let mut brier = 0.0;
        for (&p, &label) in self.scores().iter().zip(self.labels()) {
            let bin = &mut sums[((p * bins as f64) as usize).min(bins - 1)];
            *bin = (bin.0 + 1, bin.1 + p, bin.2 + usize::from(label));
            brier += (p - f64::from(u8::from(label))).powi(2);
        }
        let bin = |(k, &(count, sum, positives)): (usize, &(usize, f64, usize))| Bin {
            low: k as f64 / bins as f64,
            high: (k + 1) as f64 / bins as f64,
            count,
            mean_probability: sum / count as f64,
            observed: positives as f64 / count as f64,
        };
        let bins: Vec<Bin> = sums.iter().enumerate().filter(|(_, sum)| sum.0 > 0).map(bin).collect();
        let gap = |bin: &Bin| bin.count as f64 / n * (bin.mean_probability - bin.observed).abs();
        Ok(Calibration { brier: brier / n, ece: bins.iter().map(gap).sum(), bins })
    }
}

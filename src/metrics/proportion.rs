//! A share of a whole and its confidence intervals.

use super::distributions::beta_quantile;
use super::{Confidence, Interval};

/// So many of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportion {
    hits: u64,
    total: u64,
}

impl Proportion {
    /// `hits` of `total`, at most all of them.
    pub fn new(hits: u64, total: u64) -> Self {
        Proportion { hits: hits.min(total), total }
    }

    /// How many have the property.
    pub fn hits(self) -> u64 {
        self.hits
    }

    /// How many there are; at least [`Self::hits`].
    pub fn total(self) -> u64 {
        self.total
    }

    /// hits / total; `None` where the total is 0.
    pub fn value(self) -> Option<f64> {
        (self.total > 0).then(|| self.hits as f64 / self.total as f64)
    }

    /// The exact interval: from the beta quantile B(α/2; k, n−k+1) to B(1−α/2; k+1, n−k), 0 at k = 0 and 1 at k = n. It covers
    /// at least as often as it says. `None` where the total is 0.
    ///
    /// Source: Clopper, Pearson 1934, Biometrika 26:404.
    pub fn exact(self, confidence: Confidence) -> Option<Interval> {
        self.value()?;
        let (k, rest) = (self.hits as f64, (self.total - self.hits) as f64);
        let low = if self.hits == 0 { 0.0 } else { beta_quantile(k, rest + 1.0, confidence.tail()) };
        let high = if rest == 0.0 { 1.0 } else { beta_quantile(k + 1.0, rest, 1.0 - confidence.tail()) };
        Some(Interval { low, high })
    }

    /// The score interval: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n). `None` where the total is 0.
    ///
    /// Source: Wilson 1927, J Am Stat Assoc 22:209.
    pub fn wilson(self, confidence: Confidence) -> Option<Interval> {
        let (p, n) = (self.value()?, self.total as f64);
        let z = confidence.z();
        let scale = 1.0 + z * z / n;
        let centre = (p + z * z / (2.0 * n)) / scale;
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / scale;
        // At the ends rounding must not put the estimate beside its interval.
        let low = if self.hits == 0 { 0.0 } else { (centre - half).max(0.0) };
        let high = if self.hits == self.total { 1.0 } else { (centre + half).min(1.0) };
        Some(Interval { low, high })
    }
}

//! From scores to calls: the threshold.

use std::str::FromStr;

use super::{RocPoint, Scored};
use crate::error::{Error, Result};

/// How a threshold is chosen. One that is chosen on the data it is judged on flatters: choose it on others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cutoff {
    /// A given threshold.
    Threshold(f64),
    /// The highest threshold with the largest sensitivity + specificity − 1 (Youden 1950, Cancer 3:32).
    Youden,
    /// The highest threshold with at least this sensitivity.
    Sensitivity(f64),
    /// The lowest threshold with at least this specificity.
    Specificity(f64),
}

impl Cutoff {
    /// The threshold for `scored`: scores of at least this are positive calls. It is one of the scores, or the next number above
    /// the largest.
    ///
    /// # Errors
    /// [`Error::Argument`] for data of one class, unless the threshold is given, and for a threshold or share that is no number.
    pub fn choose(self, scored: &Scored) -> Result<f64> {
        match self {
            Cutoff::Threshold(given) | Cutoff::Sensitivity(given) | Cutoff::Specificity(given)
                if given.is_nan() =>
            {
                Err(Error::Argument("a cut-off is a number, not NaN".into()))
            }
            Cutoff::Threshold(given) => Ok(given),
            _ => self.on_curve(scored),
        }
    }

    /// The threshold of a point of the ROC curve.
    fn on_curve(self, scored: &Scored) -> Result<f64> {
        let roc = scored.roc()?;
        let threshold = |point: Option<&RocPoint>| point.unwrap_or(&roc[0]).threshold;
        Ok(match self {
            Cutoff::Threshold(threshold) => threshold,
            Cutoff::Youden => {
                let (p, n) = (scored.positives() as i128, scored.negatives() as i128);
                // In whole numbers, so that equal indices are equal.
                let index = |point: &RocPoint| {
                    let tp = (point.true_positive_rate * p as f64).round() as i128;
                    let fp = (point.false_positive_rate * n as f64).round() as i128;
                    tp * n - fp * p
                };
                threshold(roc.iter().rev().max_by_key(|point| index(point)))
            }
            Cutoff::Sensitivity(least) => {
                threshold(roc.iter().find(|point| point.true_positive_rate >= least))
            }
            Cutoff::Specificity(least) => {
                let n = scored.negatives() as f64;
                let specificity = |point: &RocPoint| (n - (point.false_positive_rate * n).round()) / n;
                threshold(roc.iter().rev().find(|point| specificity(point) >= least))
            }
        })
    }
}

impl FromStr for Cutoff {
    type Err = Error;

    /// `youden`, `sensitivity=0.95` or `specificity=0.95`.
    fn from_str(text: &str) -> Result<Self> {
        let share = |text: &str| text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        let parsed = match text.split_once('=') {
            None if text == "youden" => Some(Cutoff::Youden),
            Some(("sensitivity", value)) => share(value).map(Cutoff::Sensitivity),
            Some(("specificity", value)) => share(value).map(Cutoff::Specificity),
            _ => None,
        };
        parsed.ok_or_else(|| {
            Error::Argument(format!(
                "a cut-off is `youden`, `sensitivity=S` or `specificity=S` with S from 0 to 1, not `{text}`"
            ))
        })
    }
}

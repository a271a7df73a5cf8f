//! ROC and precision-recall curves: a point for each threshold that changes a call.

use super::Scored;
use crate::error::{Error, Result};

/// A point of a ROC curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Scores of at least this are called positive.
    pub threshold: f64,
    /// 1 − specificity.
    pub false_positive_rate: f64,
    /// Sensitivity.
    pub true_positive_rate: f64,
}

/// A point of a precision-recall curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecallPoint {
    /// Scores of at least this are called positive.
    pub threshold: f64,
    /// Positive predictive value.
    pub precision: f64,
    /// Sensitivity.
    pub recall: f64,
}

impl Scored {
    /// The ROC curve by falling threshold: one point for each different score, before them (0, 0), whose threshold is the next
    /// number above the largest score. In O(n log n) with the sorting.
    ///
    /// Source: Fawcett 2006, Pattern Recognit Lett 27:861; points on a line are kept.
    ///
    /// # Errors
    /// [`Error::Argument`] for data of one class.
    pub fn roc(&self) -> Result<Vec<RocPoint>> {
        self.need_both("a ROC curve")?;
        let (p, n) = (self.positives() as f64, self.negatives() as f64);
        let point = |(threshold, tp, fp): (f64, usize, usize)| RocPoint {
            threshold,
            false_positive_rate: fp as f64 / n,
            true_positive_rate: tp as f64 / p,
        };
        let mut points: Vec<RocPoint> = self.called().map(point).collect();
        points.insert(0, point((points[0].threshold.next_up(), 0, 0)));
        Ok(points)
    }

    /// The precision-recall curve by falling threshold, one point for each different score.
    ///
    /// # Errors
    /// [`Error::Argument`] when no case is positive.
    pub fn precision_recall(&self) -> Result<Vec<PrecisionRecallPoint>> {
        if self.positives() == 0 {
            return Err(Error::Argument(
                "a precision-recall curve needs a positive case, and there is none".into(),
            ));
        }
        let point = |(threshold, tp, fp): (f64, usize, usize)| PrecisionRecallPoint {
            threshold,
            precision: tp as f64 / (tp + fp) as f64,
            recall: tp as f64 / self.positives() as f64,
        };
        Ok(self.called().map(point).collect())
    }

    /// Average precision: Σ (recallₖ − recallₖ₋₁) · precisionₖ by falling threshold, without interpolation.
    ///
    /// Source: scikit-learn's `average_precision_score`.
    ///
    /// # Errors
    /// As [`Self::precision_recall`].
    pub fn average_precision(&self) -> Result<f64> {
        let mut before = 0.0;
        Ok(self.precision_recall()?.iter().fold(0.0, |sum, point| {
            let step = point.recall - before;
            before = point.recall;
            sum + step * point.precision
        }))
    }

    /// Threshold, true and false positives for each different score, by falling score.
    fn called(&self) -> impl Iterator<Item = (f64, usize, usize)> {
        self.ties().scan((0, 0), |(tp, fp), tied| {
            let hits = tied.iter().filter(|&&i| self.labels()[i as usize]).count();
            *tp += hits;
            *fp += tied.len() - hits;
            Some((self.scores()[tied[0] as usize], *tp, *fp))
        })
    }
}

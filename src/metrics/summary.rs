//! What a study reports of one set of scores, as one list.

use super::{Bootstrap, Confidence, Confusion, Interval, Proportion, Scored, bootstrap};
use crate::error::Result;

/// One figure under its usual name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name: `sensitivity`, `auc`.
    pub name: &'static str,
    /// The figure; `None` where the data do not define it.
    pub value: Option<f64>,
    /// Hits and whole, for a share.
    pub share: Option<Proportion>,
    /// The exact interval of a share, DeLong's of an AUC.
    pub interval: Option<Interval>,
    /// Wilson's interval of a share.
    pub wilson: Option<Interval>,
    /// The interval by drawing clusters.
    pub bootstrap: Option<Interval>,
}

impl Metric {
    /// A share with its exact and Wilson intervals.
    pub fn share(name: &'static str, share: Proportion, confidence: Confidence) -> Self {
        Metric {
            name,
            value: share.value(),
            share: Some(share),
            interval: share.exact(confidence),
            wilson: share.wilson(confidence),
            bootstrap: None,
        }
    }

    /// A figure without an interval.
    pub fn plain(name: &'static str, value: Option<f64>) -> Self {
        Metric { name, value, share: None, interval: None, wilson: None, bootstrap: None }
    }

    /// Gives the first of `metrics` their intervals of a bootstrap, where the data define them.
    pub(super) fn give(metrics: &mut [Metric], intervals: &[Option<Interval>]) {
        for (metric, interval) in metrics.iter_mut().zip(intervals) {
            metric.bootstrap = interval.filter(|_| metric.value.is_some());
        }
    }

    /// `auc` with DeLong's interval, where `scored` has both classes.
    pub fn auc(scored: &Scored, confidence: Confidence) -> Self {
        let auc = scored.auc().ok();
        let interval = auc.and_then(|auc| auc.interval(confidence));
        Metric { interval, ..Metric::plain("auc", auc.map(|auc| auc.value)) }
    }
}

/// The names of the metrics that calls give, in the order of [`of_calls`].
const OF_CALLS: [&str; 9] =
    ["accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy", "youden", "mcc"];

impl Confusion {
    /// Accuracy, sensitivity, specificity, PPV, NPV with exact and Wilson intervals; F1, balanced accuracy, Youden's index, MCC.
    pub fn metrics(&self, confidence: Confidence) -> Vec<Metric> {
        let shares = [self.accuracy(), self.sensitivity(), self.specificity(), self.ppv(), self.npv()];
        let mut metrics: Vec<Metric> =
            OF_CALLS.iter().zip(shares).map(|(name, share)| Metric::share(name, share, confidence)).collect();
        let plain = OF_CALLS.iter().zip(of_calls(self)).skip(shares.len());
        metrics.extend(plain.map(|(name, value)| Metric::plain(name, value)));
        metrics
    }
}

/// What calls give, in the order of [`OF_CALLS`].
pub(super) fn of_calls(confusion: &Confusion) -> [Option<f64>; 9] {
    [
        confusion.accuracy().value(),
        confusion.sensitivity().value(),
        confusion.specificity().value(),
        confusion.ppv().value(),
        confusion.npv().value(),
        confusion.f1(),
        confusion.balanced_accuracy(),
        confusion.youden(),
        confusion.mcc(),
    ]
}

/// Every metric of `scored` at `threshold`: those of [`Confusion::metrics`], then `auc`, `average_precision`, `brier` and
/// `ece` (ten bins), where the data define them. With `draws`, clusters are drawn for the intervals of all but the last three;
/// the threshold stays as it is.
///
/// # Errors
/// As [`bootstrap`].
pub fn summary(
    scored: &Scored,
    threshold: f64,
    confidence: Confidence,
    draws: Option<(&[usize], Bootstrap)>,
) -> Result<Vec<Metric>> {
    let mut metrics = scored.confusion(threshold).metrics(confidence);
    metrics.push(Metric::auc(scored, confidence));
    if let Some((clusters, options)) = draws {
        let intervals: [Option<Interval>; 10] = bootstrap(clusters, options, |counts| {
            let calls = of_calls(&scored.confusion_resampled(threshold, counts));
            std::array::from_fn(|k| calls.get(k).copied().unwrap_or_else(|| scored.auc_resampled(counts)))
        })?;
        Metric::give(&mut metrics, &intervals);
    }
    metrics.push(Metric::plain("average_precision", scored.average_precision().ok()));
    let calibration = scored.calibration(10).ok();
    metrics.push(Metric::plain("brier", calibration.as_ref().map(|calibration| calibration.brier)));
    metrics.push(Metric::plain("ece", calibration.as_ref().map(|calibration| calibration.ece)));
    Ok(metrics)
}

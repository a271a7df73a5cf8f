//! More than two classes: each against the rest, and their plain mean.

use super::summary::of_calls;
use super::{Bootstrap, Confidence, Confusion, Contingency, Metric, Proportion, Scored, bootstrap};
use crate::error::{Error, Result};

/// A confusion matrix of any number of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiClass {
    table: Contingency,
}

impl MultiClass {
    /// Counts `calls` against `labels`, both numbers of classes below `classes`.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is not one call for each label, or none, or a class out of range.
    pub fn count(labels: &[usize], calls: &[usize], classes: usize) -> Result<Self> {
        if labels.len() != calls.len() {
            let counts = format!("{} labels and {} calls", labels.len(), calls.len());
            return Err(Error::Argument(format!("{counts}: one call is needed for each label")));
        }
        if let Some(class) = labels.iter().chain(calls).find(|&&class| class >= classes) {
            return Err(Error::Argument(format!(
                "class {class} is out of range: there are {classes} classes"
            )));
        }
        Self::resampled(labels, calls, classes, &vec![1; labels.len()])
    }

    /// [`Self::count`] of a resample in which case i stands `counts[i]` times.
    fn resampled(labels: &[usize], calls: &[usize], classes: usize, counts: &[u32]) -> Result<Self> {
        let mut table = vec![0; classes * classes];
        for ((&label, &call), &count) in labels.iter().zip(calls).zip(counts) {
            table[label * classes + call] += u64::from(count);
        }
        Ok(MultiClass { table: Contingency::new(classes, classes, &table)? })
    }

    /// The matrix: rows are the truth, columns the calls.
    pub fn table(&self) -> &Contingency {
        &self.table
    }

    /// The two-class matrix of `class` (below the number of classes) against the rest.
    pub fn one_vs_rest(&self, class: usize) -> Confusion {
        let mut confusion = Confusion::default();
        for (label, call, count) in self.table.cells() {
            confusion.add(label == class, call == class, count);
        }
        confusion
    }

    /// The share of right calls.
    pub fn accuracy(&self) -> Proportion {
        let right = (0..self.table.rows()).map(|class| self.table.at(class, class)).sum();
        Proportion::new(right, self.table.total())
    }

    /// The plain mean of `metric` over the classes one against the rest; `None` where a class does not define it.
    pub fn macro_mean(&self, metric: impl Fn(&Confusion) -> Option<f64>) -> Option<f64> {
        let classes = self.table.rows();
        let sum: Option<f64> = (0..classes).map(|class| metric(&self.one_vs_rest(class))).sum();
        sum.map(|sum| sum / classes as f64)
    }

    /// What stands for all classes; `aucs` are those of each against the rest.
    fn together(&self, aucs: impl Iterator<Item = Option<f64>>) -> [Option<f64>; 6] {
        let auc: Option<f64> = aucs.sum();
        [
            self.accuracy().value(),
            self.macro_mean(|one| one.sensitivity().value()),
            self.macro_mean(|one| one.specificity().value()),
            self.macro_mean(|one| one.ppv().value()),
            self.macro_mean(Confusion::f1),
            auc.map(|auc| auc / self.table.rows() as f64),
        ]
    }
}

/// The AUC of each class against the rest; `scores[i][k]` is the score of case i for class k. Their plain mean is the macro AUC.
///
/// Source: Provost, Domingos 2000, and scikit-learn's `roc_auc_score(multi_class="ovr", average="macro")`.
///
/// # Errors
/// [`Error::Argument`] when a class is missing or has everything, a row has another length, or as for [`Scored::new`].
pub fn one_vs_rest_auc(scores: &[Vec<f64>], labels: &[usize], classes: usize) -> Result<Vec<super::Auc>> {
    check_rows(scores, classes)?;
    (0..classes).map(|class| one_vs_rest(scores, labels, class)?.auc()).collect()
}

/// The scores for `class`, which is positive.
fn one_vs_rest(scores: &[Vec<f64>], labels: &[usize], class: usize) -> Result<Scored> {
    let own: Vec<f64> = scores.iter().map(|row| row[class]).collect();
    let truth: Vec<bool> = labels.iter().map(|&label| label == class).collect();
    Scored::new(&own, &truth)
}

/// What a study reports of several classes.
#[derive(Clone, Debug)]
pub struct MultiSummary {
    /// The calls against the truth.
    pub matrix: MultiClass,
    /// The `accuracy`, and plain means over the classes: `macro_sensitivity`, `macro_specificity`, `macro_ppv`, `macro_f1`,
    /// `macro_auc`.
    pub together: Vec<Metric>,
    /// Each class against the rest, in order.
    pub each: Vec<OneVsRest>,
}

/// One class against the rest.
#[derive(Clone, Debug)]
pub struct OneVsRest {
    /// Its calls.
    pub confusion: Confusion,
    /// Its scores.
    pub scored: Scored,
    /// Those of [`Confusion::metrics`], then `auc` and `average_precision`.
    pub metrics: Vec<Metric>,
}

/// Every metric of cases that are called by their largest score, the first of equal ones; `scores[i][k]` is the score of case i for
/// class k. With `draws`, clusters are drawn for the intervals of all but the average precision.
///
/// # Errors
/// [`Error::Argument`] when a row has not one score for each class, for a score that is no finite number or a label out of range,
/// and as [`bootstrap`].
pub fn multi_summary(
    scores: &[Vec<f64>],
    labels: &[usize],
    classes: usize,
    confidence: Confidence,
    draws: Option<(&[usize], Bootstrap)>,
) -> Result<MultiSummary> {
    check_rows(scores, classes)?;
    let largest = |row: &Vec<f64>| {
        (1..classes).fold(0, |best, class| if row[class] > row[best] { class } else { best })
    };
    let calls: Vec<usize> = scores.iter().map(largest).collect();
    let matrix = MultiClass::count(labels, &calls, classes)?;
    let scored: Vec<Scored> =
        (0..classes).map(|class| one_vs_rest(scores, labels, class)).collect::<Result<_>>()?;
    let resampled = |counts: &[u32]| MultiClass::resampled(labels, &calls, classes, counts).ok();

    let auc = |scored: &Scored| scored.auc().ok().map(|auc| auc.value);
    let values = matrix.together(scored.iter().map(auc));
    let mut together = vec![Metric::share(TOGETHER[0], matrix.accuracy(), confidence)];
    let means = TOGETHER.iter().zip(values).skip(1);
    together.extend(means.map(|(name, value)| Metric::plain(name, value)));
    if let Some((clusters, options)) = draws {
        let intervals: [_; 6] = bootstrap(clusters, options, |counts| {
            let aucs = scored.iter().map(|scored| scored.auc_resampled(counts));
            resampled(counts).map_or([None; 6], |matrix| matrix.together(aucs))
        })?;
        Metric::give(&mut together, &intervals);
    }

    let each = scored.into_iter().enumerate().map(|(class, scored)| {
        let confusion = matrix.one_vs_rest(class);
        let mut metrics = confusion.metrics(confidence);
        metrics.push(Metric::auc(&scored, confidence));
        if let Some((clusters, options)) = draws {
            let intervals: [_; 10] = bootstrap(clusters, options, |counts| {
                let calls = resampled(counts).map(|matrix| of_calls(&matrix.one_vs_rest(class)));
                let calls = calls.unwrap_or([None; 9]);
                std::array::from_fn(|k| calls.get(k).copied().unwrap_or_else(|| scored.auc_resampled(counts)))
            })?;
            Metric::give(&mut metrics, &intervals);
        }
        metrics.push(Metric::plain("average_precision", scored.average_precision().ok()));
        Ok(OneVsRest { confusion, scored, metrics })
    });
    Ok(MultiSummary { together, each: each.collect::<Result<_>>()?, matrix })
}

/// The names of what stands for all classes together, in the order of [`MultiClass::together`].
const TOGETHER: [&str; 6] =
    ["accuracy", "macro_sensitivity", "macro_specificity", "macro_ppv", "macro_f1", "macro_auc"];

/// Demands a score for each class.
fn check_rows(scores: &[Vec<f64>], classes: usize) -> Result<()> {
    match scores.iter().find(|row| row.len() != classes) {
        Some(row) => Err(Error::Argument(format!(
            "each case needs a score for each of {classes} classes, got {}",
            row.len()
        ))),
        None => Ok(()),
    }
}

//! Calls against the truth, for two classes.

use super::Proportion;
use crate::error::{Error, Result};

/// The confusion matrix of two classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Positive, called positive.
    pub true_positives: u64,
    /// Negative, called positive.
    pub false_positives: u64,
    /// Negative, called negative.
    pub true_negatives: u64,
    /// Positive, called negative.
    pub false_negatives: u64,
}

impl Confusion {
    /// Counts `calls` against `labels`, `true` being positive in both.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is not one call for each label, or none at all.
    pub fn count(labels: &[bool], calls: &[bool]) -> Result<Self> {
        if labels.len() != calls.len() || labels.is_empty() {
            let counts = format!("{} labels and {} calls", labels.len(), calls.len());
            return Err(Error::Argument(format!(
                "{counts}: one call is needed for each label, and at least one"
            )));
        }
        let mut confusion = Confusion::default();
        for (&label, &call) in labels.iter().zip(calls) {
            confusion.add(label, call, 1);
        }
        Ok(confusion)
    }

    /// Adds `count` cases.
    pub fn add(&mut self, label: bool, call: bool, count: u64) {
        *match (label, call) {
            (true, true) => &mut self.true_positives,
            (false, true) => &mut self.false_positives,
            (false, false) => &mut self.true_negatives,
            (true, false) => &mut self.false_negatives,
        } += count;
    }

    /// TP + FN, the positive cases.
    pub fn positives(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// TN + FP, the negative cases.
    pub fn negatives(&self) -> u64 {
        self.true_negatives + self.false_positives
    }

    /// All cases.
    pub fn total(&self) -> u64 {
        self.positives() + self.negatives()
    }

    /// Sensitivity, recall: TP / (TP + FN).
    pub fn sensitivity(&self) -> Proportion {
        Proportion::new(self.true_positives, self.positives())
    }

    /// Specificity: TN / (TN + FP).
    pub fn specificity(&self) -> Proportion {
        Proportion::new(self.true_negatives, self.negatives())
    }

    /// Positive predictive value, precision: TP / (TP + FP).
    pub fn ppv(&self) -> Proportion {
        Proportion::new(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Negative predictive value: TN / (TN + FN).
    pub fn npv(&self) -> Proportion {
        Proportion::new(self.true_negatives, self.true_negatives + self.false_negatives)
    }

    /// Accuracy: (TP + TN) / all.
    pub fn accuracy(&self) -> Proportion {
        Proportion::new(self.true_positives + self.true_negatives, self.total())
    }

    /// F1: 2TP / (2TP + FP + FN), 0 where nothing is right; `None` without a positive case or call.
    pub fn f1(&self) -> Option<f64> {
        let wrong = self.false_positives + self.false_negatives;
        let whole = 2 * self.true_positives + wrong;
        (whole > 0).then(|| 2.0 * self.true_positives as f64 / whole as f64)
    }

    /// (sensitivity + specificity) / 2, which is also the AUC of the calls; `None` without both classes.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some((self.sensitivity().value()? + self.specificity().value()?) / 2.0)
    }

    /// Youden's index: sensitivity + specificity − 1; `None` without both classes.
    ///
    /// Source: Youden 1950, Cancer 3:32.
    pub fn youden(&self) -> Option<f64> {
        Some(self.sensitivity().value()? + self.specificity().value()? - 1.0)
    }

    /// Matthews' correlation: (TP·TN − FP·FN) / √((TP+FP)(TP+FN)(TN+FP)(TN+FN)); `None` where a factor is 0.
    ///
    /// Source: Matthews 1975, Biochim Biophys Acta 405:442.
    pub fn mcc(&self) -> Option<f64> {
        let [tp, fp, tn, fnn] =
            [self.true_positives, self.false_positives, self.true_negatives, self.false_negatives]
                .map(|count| count as f64);
        // Roots first: the product of four counts would lose digits.
        let scale: f64 = [tp + fp, tp + fnn, tn + fp, tn + fnn].iter().map(|sum| sum.sqrt()).product();
        (scale > 0.0).then(|| (tp * tn - fp * fnn) / scale)
    }
}

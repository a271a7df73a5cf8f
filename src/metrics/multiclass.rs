//! More than two classes: each against the rest, and their plain mean.

use super::{Confusion, Contingency, Proportion, Scored};
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
        let mut counts = vec![0; classes * classes];
        labels.iter().zip(calls).for_each(|(&label, &call)| counts[label * classes + call] += 1);
        Ok(MultiClass { table: Contingency::new(classes, classes, &counts)? })
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
}

/// The AUC of each class against the rest; `scores[i][k]` is the score of case i for class k. Their plain mean is the macro AUC.
///
/// Source: Provost, Domingos 2000, and scikit-learn's `roc_auc_score(multi_class="ovr", average="macro")`.
///
/// # Errors
/// [`Error::Argument`] when a class is missing or has everything, a row has another length, or as for [`Scored::new`].
pub fn one_vs_rest_auc(scores: &[Vec<f64>], labels: &[usize], classes: usize) -> Result<Vec<super::Auc>> {
    if let Some(row) = scores.iter().find(|row| row.len() != classes) {
        let got = row.len();
        return Err(Error::Argument(format!(
            "each case needs a score for each of {classes} classes, got {got}"
        )));
    }
    let of_class = |class: usize| {
        let own: Vec<f64> = scores.iter().map(|row| row[class]).collect();
        let truth: Vec<bool> = labels.iter().map(|&label| label == class).collect();
        Scored::new(&own, &truth)?.auc()
    };
    (0..classes).map(of_class).collect()
}

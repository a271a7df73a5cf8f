//! Scores with their truth, sorted once for all that is asked of them.

use super::Confusion;
use crate::error::{Error, Result};

/// Scores of two classes; a higher score speaks for positive.
#[derive(Clone, Debug)]
pub struct Scored {
    scores: Vec<f64>,
    labels: Vec<bool>,
    /// Indices by falling score.
    order: Vec<u32>,
    positives: usize,
}

impl Scored {
    /// Takes `scores` and their truth, `true` being positive. One class alone is allowed here; what needs both says so.
    ///
    /// # Errors
    /// [`Error::Argument`] when the lengths differ, when there is no score, and for a score that is no finite number.
    pub fn new(scores: &[f64], labels: &[bool]) -> Result<Self> {
        if scores.len() != labels.len() || scores.is_empty() {
            let counts = format!("{} scores and {} labels", scores.len(), labels.len());
            return Err(Error::Argument(format!(
                "{counts}: one label is needed for each score, and at least one"
            )));
        }
        if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
            return Err(Error::Argument(format!("score {} is {}: give a finite number", at + 1, scores[at])));
        }
        let count = u32::try_from(scores.len());
        let count = count.map_err(|_| Error::Argument("more than 4 billion scores: give fewer".into()))?;
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
        let positives = labels.iter().filter(|&&label| label).count();
        Ok(Scored { scores: scores.to_vec(), labels: labels.to_vec(), order, positives })
    }

    /// The scores, as given.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// The truth of each score.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// How many are positive.
    pub fn positives(&self) -> usize {
        self.positives
    }

    /// How many are negative.
    pub fn negatives(&self) -> usize {
        self.labels.len() - self.positives
    }

    /// The confusion matrix when a score of at least `threshold` is a positive call.
    pub fn confusion(&self, threshold: f64) -> Confusion {
        let mut confusion = Confusion::default();
        for (&score, &label) in self.scores.iter().zip(&self.labels) {
            confusion.add(label, score >= threshold, 1);
        }
        confusion
    }

    /// [`Self::confusion`] of a resample in which case i stands `counts[i]` times.
    pub fn confusion_resampled(&self, threshold: f64, counts: &[u32]) -> Confusion {
        let mut confusion = Confusion::default();
        for ((&score, &label), &count) in self.scores.iter().zip(&self.labels).zip(counts) {
            confusion.add(label, score >= threshold, u64::from(count));
        }
        confusion
    }

    /// The AUC of a resample in which case i stands `counts[i]` times, in one pass; `None` where it holds one class only.
    pub fn auc_resampled(&self, counts: &[u32]) -> Option<f64> {
        let (mut above, mut negatives, mut area) = (0u64, 0u64, 0.0);
        for tied in self.ties() {
            let (mut p, mut n) = (0, 0);
            for &i in tied {
                let count = u64::from(counts[i as usize]);
                if self.labels[i as usize] { p += count } else { n += count }
            }
            area += n as f64 * (above as f64 + p as f64 / 2.0);
            above += p;
            negatives += n;
        }
        (above > 0 && negatives > 0).then(|| area / (above as f64 * negatives as f64))
    }

    /// Groups of equal scores, by falling score.
    pub(super) fn ties(&self) -> impl Iterator<Item = &[u32]> {
        self.order.chunk_by(|&a, &b| self.scores[a as usize] == self.scores[b as usize])
    }

    /// Refuses data of one class; `what` needs both.
    pub(super) fn need_both(&self, what: &str) -> Result<()> {
        let missing = match (self.positives(), self.negatives()) {
            (0, _) => "positive",
            (_, 0) => "negative",
            _ => return Ok(()),
        };
        let all = self.labels.len();
        Err(Error::Argument(format!("{what} needs both classes, and none of the {all} cases is {missing}")))
    }
}

//! What an epoch's predictions add up to: loss, accuracy, AUC.

use crate::error::Result;
use crate::metrics::{MultiClass, Scored, one_vs_rest_auc};

/// Labels and probabilities seen so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Sum of the batches' losses, each times its images.
    pub loss_sum: f64,
    /// Labels in order of appearance.
    pub labels: Vec<usize>,
    /// Probabilities of all classes for each.
    pub probabilities: Vec<f32>,
}

/// The figures of a set of predictions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Mean loss of an image.
    pub loss: f64,
    /// Share of images whose most probable class is theirs.
    pub accuracy: f64,
    /// Area under the ROC curve, of more than two classes the mean of each against the rest; `None` where a class is missing.
    pub auc: Option<f64>,
}

impl Tally {
    /// Adds a batch.
    pub fn add(&mut self, loss: f64, labels: &[usize], probabilities: &[f32]) {
        self.loss_sum += loss * labels.len() as f64;
        self.labels.extend_from_slice(labels);
        self.probabilities.extend_from_slice(probabilities);
    }

    /// Its figures over `classes` classes; at least one image must have been added.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a probability that is no finite number, or no image.
    pub fn figures(&self, classes: usize) -> Result<Figures> {
        let calls: Vec<usize> = self.probabilities.chunks_exact(classes).map(most_probable).collect();
        let accuracy = MultiClass::count(&self.labels, &calls, classes)?.accuracy().value().unwrap_or(0.0);
        let present = |class: usize| self.labels.contains(&class);
        let auc = match (0..classes).all(present) {
            true => Some(self.auc(classes)?),
            false => None,
        };
        Ok(Figures { loss: self.loss_sum / self.labels.len() as f64, accuracy, auc })
    }

    /// Scores of the second of two classes, with their truth.
    ///
    /// # Errors
    /// As [`Scored::new`].
    pub fn scored(&self) -> Result<Scored> {
        let scores: Vec<f64> = self.probabilities.chunks_exact(2).map(|p| f64::from(p[1])).collect();
        let labels: Vec<bool> = self.labels.iter().map(|&label| label == 1).collect();
        Scored::new(&scores, &labels)
    }

    fn auc(&self, classes: usize) -> Result<f64> {
        if classes == 2 {
            return Ok(self.scored()?.auc()?.value);
        }
        let rows = self.probabilities.chunks_exact(classes);
        let scores: Vec<Vec<f64>> = rows.map(|row| row.iter().map(|p| f64::from(*p)).collect()).collect();
        let all = one_vs_rest_auc(&scores, &self.labels, classes)?;
        Ok(all.iter().map(|auc| auc.value).sum::<f64>() / classes as f64)
    }
}

/// The first of the largest.
fn most_probable(probabilities: &[f32]) -> usize {
    (0..probabilities.len()).fold(0, |best, k| if probabilities[k] > probabilities[best] { k } else { best })
}

/// Probabilities of the classes from an image's logits: their softmax; one logit x counts as the two logits 0 and x.
pub fn probabilities(logits: &[f32]) -> Vec<f32> {
    let pair = [0.0, logits[0]];
    let logits = if logits.len() == 1 { &pair } else { logits };
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|x| f64::from(x - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / sum) as f32).collect()
}

/// −Σ t·log p over a batch: what the device's loss is for these probabilities.
pub fn loss(targets: &[f32], probabilities: &[f32]) -> f64 {
    // A probability that underflowed counts as the smallest there is.
    let log = |p: f32| f64::from(p.max(f32::MIN_POSITIVE)).ln();
    -targets.iter().zip(probabilities).map(|(t, p)| f64::from(*t) * log(*p)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_two_classes() {
        let mut tally = Tally::default();
        tally.add(0.5, &[0, 1], &[0.9, 0.1, 0.4, 0.6]);
        tally.add(1.0, &[1], &[0.8, 0.2]);
        let figures = tally.figures(2).unwrap();
        assert!((figures.loss - 2.0 / 3.0).abs() < 1e-12 && (figures.accuracy - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(figures.auc, Some(1.0));
    }

    #[test]
    fn a_class_that_is_missing_leaves_no_auc() {
        let mut tally = Tally::default();
        tally.add(0.5, &[0, 1], &[0.9, 0.05, 0.05, 0.4, 0.5, 0.1]);
        assert_eq!(tally.figures(3).unwrap().auc, None);
        tally.add(0.5, &[2], &[0.1, 0.2, 0.7]);
        assert_eq!(tally.figures(3).unwrap().auc, Some(1.0));
    }

    #[test]
    fn the_loss_of_certain_errors_is_finite() {
        assert!((loss(&[0.5, 0.0], &[0.25, 0.75]) - 0.5 * 4.0f64.ln()).abs() < 1e-12);
        assert!(loss(&[1.0, 0.0], &[0.0, 1.0]).is_finite());
    }
}

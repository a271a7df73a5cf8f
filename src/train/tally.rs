//! What an epoch's predictions add up to: loss, accuracy, AUC.

use serde::Deserialize;

use crate::error::Result;
use crate::metrics::{MultiClass, Scored, one_vs_rest_auc};

/// Labels and probabilities seen so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Sum of the batches' losses, each times what its images weigh.
    pub loss_sum: f64,
    /// What all images weigh.
    pub weight: f64,
    /// Labels in order of appearance.
    pub labels: Vec<usize>,
    /// Probabilities of all classes for each.
    pub probabilities: Vec<f32>,
}

/// The figures of a set of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Figures {
    /// Mean loss of an image, weighted by its class.
    pub loss: f64,
    /// Share of images whose most probable class is theirs.
    pub accuracy: f64,
    /// Area under the ROC curve, of more than two classes the mean of each against the rest; `None` where a class is missing.
    pub auc: Option<f64>,
}

impl Tally {
    /// Adds a batch whose images weigh `weight` together.
    pub fn add(&mut self, loss: f64, weight: f64, labels: &[usize], probabilities: &[f32]) {
        self.loss_sum += loss * weight;
        self.weight += weight;
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
        Ok(Figures { loss: self.loss_sum / self.weight, accuracy, auc })
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

/// −Σ t·log p over a batch, from logits [N, K] and targets [N, max(K, 2)]: what the device computes in training.
pub fn loss(targets: &[f32], logits: &[f32], outputs: usize) -> f64 {
    let classes = outputs.max(2);
    let image = |(logits, targets): (&[f32], &[f32])| {
        let pair = [0.0, logits[0]];
        let logits = if outputs == 1 { &pair } else { logits };
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|x| f64::from(x - largest).exp()).sum();
        let log = |x: f32| f64::from(x - largest) - sum.ln();
        -targets.iter().zip(logits).map(|(t, x)| f64::from(*t) * log(*x)).sum::<f64>()
    };
    logits.chunks_exact(outputs).zip(targets.chunks_exact(classes)).map(image).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_two_classes() {
        let mut tally = Tally::default();
        tally.add(0.5, 2.0, &[0, 1], &[0.9, 0.1, 0.4, 0.6]);
        tally.add(1.0, 1.0, &[1], &[0.8, 0.2]);
        let figures = tally.figures(2).unwrap();
        assert!((figures.loss - 2.0 / 3.0).abs() < 1e-12 && (figures.accuracy - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(figures.auc, Some(1.0));
    }

    #[test]
    fn a_class_that_is_missing_leaves_no_auc() {
        let mut tally = Tally::default();
        tally.add(0.5, 2.0, &[0, 1], &[0.9, 0.05, 0.05, 0.4, 0.5, 0.1]);
        assert_eq!(tally.figures(3).unwrap().auc, None);
        tally.add(0.5, 1.0, &[2], &[0.1, 0.2, 0.7]);
        assert_eq!(tally.figures(3).unwrap().auc, Some(1.0));
    }

    #[test]
    fn the_loss_is_that_of_the_logits() {
        // p = (1/4, 3/4): 0.5·ln 4.
        assert!((loss(&[0.5, 0.0], &[3.0f32.ln()], 1) - 0.5 * 4.0f64.ln()).abs() < 1e-7);
        assert!((loss(&[0.0, 0.5, 0.0], &[0.0, 0.0, 0.0], 3) - 0.5 * 3.0f64.ln()).abs() < 1e-12);
        // A certain error costs its logit, however large.
        assert_eq!(loss(&[1.0, 0.0], &[1000.0], 1), 1000.0);
        assert!(loss(&[1.0, 0.0], &[f32::NAN], 1).is_nan());
    }
}

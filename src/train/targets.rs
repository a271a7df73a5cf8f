//! What the loss of a batch weighs: t[n,k] of −Σ t·log p.
//!
//! t[n,k] = w[k]·q[n,k] / Σ_n w[label n] with q the label's one-hot vector smoothed by ε: q = (1 − ε)·onehot + ε/K. With two classes and
//! one logit that is binary cross-entropy. Source: torch.nn.CrossEntropyLoss (`weight`, `label_smoothing`, mean).

use crate::error::{Error, Result};

/// How labels become targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    weights: Vec<f64>,
    smoothing: f64,
}

impl Targets {
    /// Targets of as many classes as `weights`, which say how much each counts.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two classes, a weight that is not positive, a smoothing outside 0 to below 1.
    pub fn new(weights: &[f64], smoothing: f64) -> Result<Self> {
        if weights.len() < 2 {
            return Err(Error::Argument(format!("{} classes: there must be two or more", weights.len())));
        }
        if let Some(weight) = weights.iter().find(|w| !(w.is_finite() && **w > 0.0)) {
            return Err(Error::Argument(format!("class weight {weight}: give positive numbers")));
        }
        if !(0.0..1.0).contains(&smoothing) {
            return Err(Error::Argument(format!(
                "label smoothing {smoothing}: give a number from 0 to below 1"
            )));
        }
        Ok(Targets { weights: weights.to_vec(), smoothing })
    }

    /// Weights by which classes of `counts` images count alike: N/(K·count).
    pub fn balanced(counts: &[usize]) -> Vec<f64> {
        let (all, classes) = (counts.iter().sum::<usize>() as f64, counts.len() as f64);
        counts.iter().map(|&count| all / (classes * count.max(1) as f64)).collect()
    }

    /// What images with these `labels` weigh together.
    pub fn weight(&self, labels: &[usize]) -> f64 {
        labels.iter().map(|&label| self.weights[label]).sum()
    }

    /// t of images with these `labels`, each below the number of classes; N·K values, which replace those of `out`.
    pub fn fill(&self, labels: &[usize], out: &mut Vec<f32>) {
        let classes = self.weights.len();
        let sum = self.weight(labels);
        let even = self.smoothing / classes as f64;
        out.clear();
        for &label in labels {
            out.extend((0..classes).map(|k| {
                let q = even + if k == label { 1.0 - self.smoothing } else { 0.0 };
                (self.weights[k] * q / sum) as f32
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_targets_are_the_mean() {
        let mut t = vec![9.0];
        Targets::new(&[1.0, 1.0, 1.0], 0.0).unwrap().fill(&[2, 0], &mut t);
        assert_eq!(t, [0.0, 0.0, 0.5, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn weights_and_smoothing_as_torch_has_them() {
        // torch.nn.CrossEntropyLoss(weight=[1, 3], label_smoothing=0.2): labels 1 and 0 weigh 3 + 1.
        let mut t = Vec::new();
        Targets::new(&[1.0, 3.0], 0.2).unwrap().fill(&[1, 0], &mut t);
        let expected = [0.1 / 4.0, 3.0 * 0.9 / 4.0, 0.9 / 4.0, 3.0 * 0.1 / 4.0];
        assert!(t.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-7), "{t:?}");
        assert_eq!(Targets::balanced(&[30, 10]), [40.0 / 60.0, 2.0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Targets::new(&[1.0], 0.0).is_err() && Targets::new(&[1.0, 0.0], 0.0).is_err());
        assert!(Targets::new(&[1.0, 1.0], 1.0).is_err() && Targets::new(&[1.0, f64::NAN], 0.0).is_err());
    }
}

//! The area under the ROC curve, its variance, and two areas against each other.
//!
//! AUC = P(score of a positive > score of a negative) + ½ P(equal), the Mann-Whitney statistic over m·n. With the placements
//! V10ᵢ = (negatives below positive i + ½ those that tie) / n and V01ⱼ = (positives above negative j + ½ ties) / m its
//! variance is S10/m + S01/n, S being sample variances (DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44:837). A placement is
//! a difference of two midranks (Sun, Xu 2014, IEEE Signal Process Lett 21:1389), which one pass over the sorted scores
//! gives: O(n log n).

use super::distributions::normal_two_sided;
use super::{Confidence, Interval, Scored, Test};
use crate::error::{Error, Result};

/// An area under a ROC curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auc {
    /// The area, from 0 to 1.
    pub value: f64,
    /// DeLong's variance; `None` with fewer than two cases in a class. It is 0 where the classes are apart without overlap: the
    /// interval then says too much.
    pub variance: Option<f64>,
}

impl Auc {
    /// value ± z √variance, cut to 0..=1.
    pub fn interval(&self, confidence: Confidence) -> Option<Interval> {
        Some(Interval::wald(self.value, self.variance?.sqrt(), confidence, (0.0, 1.0)))
    }
}

/// Two areas and the test of their difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AucComparison {
    /// The first area.
    pub first: Auc,
    /// The second area.
    pub second: Auc,
    /// first − second.
    pub difference: f64,
    /// The difference's variance.
    pub variance: f64,
    /// z = difference / √variance against the standard normal, two-sided.
    pub test: Test,
}

impl AucComparison {
    /// difference ± z √variance, cut to −1..=1.
    pub fn interval(&self, confidence: Confidence) -> Interval {
        Interval::wald(self.difference, self.variance.sqrt(), confidence, (-1.0, 1.0))
    }
}

/// Placements of the positives among the negatives and of the negatives among the positives, in the cases' order.
struct Placements {
    positives: Vec<f64>,
    negatives: Vec<f64>,
}

impl Placements {
    fn of(scored: &Scored) -> Self {
        let (m, n) = (scored.positives() as f64, scored.negatives() as f64);
        let mut placement = vec![0.0; scored.labels().len()];
        let (mut above_p, mut above_n) = (0.0, 0.0);
        for tied in scored.ties() {
            let p = tied.iter().filter(|&&i| scored.labels()[i as usize]).count() as f64;
            let q = tied.len() as f64 - p;
            for &i in tied {
                placement[i as usize] = match scored.labels()[i as usize] {
                    true => (n - above_n - q + q / 2.0) / n,
                    false => (above_p + p / 2.0) / m,
                };
            }
            above_p += p;
            above_n += q;
        }
        let of = |class: bool| {
            let own = placement.iter().zip(scored.labels()).filter(|(_, label)| **label == class);
            own.map(|(v, _)| *v).collect()
        };
        Placements { positives: of(true), negatives: of(false) }
    }

    fn auc(&self) -> Auc {
        let variance = covariance(&self.positives, &self.positives)
            .zip(covariance(&self.negatives, &self.negatives))
            .map(|(s10, s01)| s10 / self.positives.len() as f64 + s01 / self.negatives.len() as f64);
        Auc { value: mean(&self.positives), variance }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample covariance, with n − 1 below; `None` for fewer than two.
fn covariance(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum: f64 = a.iter().zip(b).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum();
    (a.len() > 1).then(|| sum / (a.len() - 1) as f64)
}

impl Scored {
    /// The area under the ROC curve with DeLong's variance.
    ///
    /// # Errors
    /// [`Error::Argument`] for data of one class.
    pub fn auc(&self) -> Result<Auc> {
        self.need_both("an AUC")?;
        Ok(Placements::of(self).auc())
    }
}

/// DeLong's test of two areas over the same cases: the variance of the difference is var₁ + var₂ − 2 cov.
///
/// # Errors
/// [`Error::Argument`] when the cases differ in number or truth, for fewer than two cases in a class, and for areas that differ
/// without any variance.
pub fn compare_paired(first: &Scored, second: &Scored) -> Result<AucComparison> {
    if first.labels() != second.labels() {
        return Err(Error::Argument(
            "a paired comparison of AUCs needs the same cases with the same labels in the same order".into(),
        ));
    }
    first.need_both("an AUC")?;
    let (a, b) = (Placements::of(first), Placements::of(second));
    let difference = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(x, y)| x - y).collect() };
    // The variance of the placements' differences: no digits are lost where the two areas are nearly the same.
    let apart = Placements {
        positives: difference(&a.positives, &b.positives),
        negatives: difference(&a.negatives, &b.negatives),
    };
    compare(a.auc(), b.auc(), apart.auc().variance)
}

/// DeLong's test of two areas over different, independent cases: the variances add.
///
/// # Errors
/// [`Error::Argument`] for data of one class, for fewer than two cases in a class, and for areas that differ without any
/// variance.
pub fn compare_unpaired(first: &Scored, second: &Scored) -> Result<AucComparison> {
    let (a, b) = (first.auc()?, second.auc()?);
    compare(a, b, a.variance.zip(b.variance).map(|(a, b)| a + b))
}

fn compare(first: Auc, second: Auc, variance: Option<f64>) -> Result<AucComparison> {
    let Some(variance) = variance else {
        return Err(Error::Argument("comparing AUCs needs at least two cases of each class".into()));
    };
    let difference = first.value - second.value;
    let z = match (difference.abs() <= f64::EPSILON, variance > 0.0) {
        (true, _) => 0.0,
        (false, true) => difference / variance.sqrt(),
        (false, false) => {
            return Err(Error::Argument(format!(
                "the AUCs {} and {} have no variance, so their difference cannot be tested",
                first.value, second.value
            )));
        }
    };
    let test = Test { statistic: z, p: normal_two_sided(z) };
    Ok(AucComparison { first, second, difference, variance, test })
}

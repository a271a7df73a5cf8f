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

#[cfg(test)]
mod tests {
    use super::*;

    /// Albumin, total protein, Krebs-Goplerud score and whether surgery helped: the 43 complete patients of DeLong, DeLong and
    /// Clarke-Pearson (1988), as the SAS/STAT User's Guide prints them (the LOGISTIC procedure, "Comparing Receiver Operating
    /// Characteristic Curves").
    const PATIENTS: &str = "\
        3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0 1.6 5.6 5 1 3.8 5.7 5 1 \
        3.7 6.7 6 1 3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1 3.6 6.7 4 0 2.3 4.4 6 1 4.2 7.6 4 0 \
        4.0 6.6 6 0 3.5 5.8 6 1 3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1 3.7 7.4 5 1 3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1 \
        4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1 3.3 6.8 6 0 1.7 4.0 7 0 3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1 \
        2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0 4.0 7.0 7 1 3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1";

    /// The guide's tables of the same example: areas with standard errors and limits, and two areas against the score's.
    #[test]
    fn the_published_example() {
        let numbers: Vec<f64> = PATIENTS.split_whitespace().map(|x| x.parse().unwrap()).collect();
        let labels: Vec<bool> = numbers.chunks(4).map(|patient| patient[3] == 1.0).collect();
        let scored = |score: fn(&[f64]) -> f64| {
            Scored::new(&numbers.chunks(4).map(score).collect::<Vec<_>>(), &labels).unwrap()
        };
        let [albumin, protein, kg] = [scored(|p| p[0]), scored(|p| p[1]), scored(|p| 10.0 - p[2])];
        let close = |ours: f64, printed: f64| assert!((ours - printed).abs() <= 5e-5, "{ours} for {printed}");
        for (test, area, error, low, high) in [
            (&albumin, 0.7366, 0.0927, 0.5549, 0.9182),
            (&kg, 0.7258, 0.1028, 0.5243, 0.9273),
            (&protein, 0.6478, 0.1000, 0.4518, 0.8439),
        ] {
            let auc = test.auc().unwrap();
            let interval = auc.interval(Confidence::P95).unwrap();
            close(auc.value, area);
            close(auc.variance.unwrap().sqrt(), error);
            close(interval.low, low);
            close(interval.high, high);
        }
        for (test, difference, error, chi_square, p) in
            [(&albumin, 0.0108, 0.0953, 0.0127, 0.9102), (&protein, -0.0780, 0.1046, 0.5554, 0.4561)]
        {
            let compared = compare_paired(test, &kg).unwrap();
            close(compared.difference, difference);
            close(compared.variance.sqrt(), error);
            close(compared.test.statistic.powi(2), chi_square);
            close(compared.test.p, p);
        }
    }
}

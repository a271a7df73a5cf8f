//! Bootstrap intervals that draw whole clusters: the images of a node, the nodes of a patient, are no independent cases.

use super::{Confidence, Interval};
use crate::error::{Error, Result};

/// The most resamples that are drawn.
const MOST: usize = 1_000_000;

/// How a bootstrap is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// How many resamples are drawn, at most a million.
    pub resamples: usize,
    /// The same seed gives the same resamples on every machine.
    pub seed: u64,
    /// How sure the intervals are.
    pub confidence: Confidence,
}

/// Percentile intervals of several statistics over the same resamples. Each resample draws as many clusters as there are,
/// with replacement; `clusters[i]` names the cluster of case i by a number below the number of cases, and `statistics` gets how
/// often each case was drawn. A statistic that a resample does not define is left out of its own interval; one that fewer than
/// half of the resamples define has none.
///
/// Source: Efron, Tibshirani 1993, An Introduction to the Bootstrap, 13.3, quantiles interpolated as NumPy's `linear`; clusters as
/// in Field, Welsh 2007, J R Stat Soc B 69:369.
///
/// # Errors
/// [`Error::Argument`] without cases, for no resamples or more than a million, and for a cluster's number out of range.
pub fn bootstrap<const N: usize>(
    clusters: &[usize],
    options: Bootstrap,
    mut statistics: impl FnMut(&[u32]) -> [Option<f64>; N],
) -> Result<[Option<Interval>; N]> {
    let resamples = options.resamples;
    if clusters.is_empty() || !(1..=MOST).contains(&resamples) {
        let problem =
            format!("a bootstrap needs at least one case and 1 to {MOST} resamples, not {resamples}");
        return Err(Error::Argument(problem));
    }
    if clusters.iter().any(|&cluster| cluster >= clusters.len()) {
        return Err(Error::Argument("a cluster's number lies below the number of cases".into()));
    }
    let (index, count) = consecutive(clusters);
    let mut random = SplitMix(options.seed);
    let mut drawn = vec![0u32; count];
    let mut counts = vec![0u32; clusters.len()];
    let mut values: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(options.resamples));
    for _ in 0..options.resamples {
        drawn.fill(0);
        for _ in 0..count {
            drawn[random.below(count)] += 1;
        }
        counts.iter_mut().zip(&index).for_each(|(to, &cluster)| *to = drawn[cluster]);
        for (all, value) in values.iter_mut().zip(statistics(&counts)) {
            all.extend(value.filter(|value| value.is_finite()));
        }
    }
    Ok(values.map(|mut values| {
        values.sort_unstable_by(f64::total_cmp);
        let tail = options.confidence.tail();
        (2 * values.len() >= options.resamples)
            .then(|| Interval { low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) })
    }))
}

/// The clusters' numbers without gaps, by first appearance, and how many there are.
fn consecutive(clusters: &[usize]) -> (Vec<usize>, usize) {
    let mut number = vec![usize::MAX; clusters.len()];
    let mut count = 0;
    let index = clusters.iter().map(|&cluster| {
        if number[cluster] == usize::MAX {
            number[cluster] = count;
            count += 1;
        }
        number[cluster]
    });
    (index.collect(), count)
}

/// The quantile of `p` of sorted `values`, linear between the two neighbours.
fn quantile(values: &[f64], p: f64) -> f64 {
    let place = p * (values.len() - 1) as f64;
    let (low, share) = (place as usize, place.fract());
    let high = (low + 1).min(values.len() - 1);
    values[low] + share * (values[high] - values[low])
}

/// SplitMix64 (Steele, Lea, Flood 2014, OOPSLA): a counter through a mixing function.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, by multiplication (Lemire 2019); its bias is below `bound` / 2⁶⁴.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

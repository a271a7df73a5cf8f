//! Bootstrap intervals that draw whole clusters: the images of a node, the nodes of a patient, are no independent cases.

use std::ops::Range;

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
/// in Field, Welsh 2007, J R Stat Soc B 69:369. All cores draw, each its own range of resamples; their number changes no bit.
///
/// # Errors
/// [`Error::Argument`] without cases, for no resamples or more than a million, and for a cluster's number out of range.
pub fn bootstrap<const N: usize>(
    clusters: &[usize],
    options: Bootstrap,
    statistics: impl Fn(&[u32]) -> [Option<f64>; N] + Sync,
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
    // The values of the resamples of a range.
    let draw = |range: Range<usize>| {
        let mut random = SplitMix::after(options.seed, (range.start * count) as u64);
        let (mut drawn, mut counts) = (vec![0u32; count], vec![0u32; clusters.len()]);
        let mut values: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(range.len()));
        for _ in range {
            drawn.fill(0);
            for _ in 0..count {
                drawn[random.below(count)] += 1;
            }
            counts.iter_mut().zip(&index).for_each(|(to, &cluster)| *to = drawn[cluster]);
            for (all, value) in values.iter_mut().zip(statistics(&counts)) {
                all.extend(value.filter(|value| value.is_finite()));
            }
        }
        values
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(resamples);
    let range = |i: usize| i * resamples / threads..(i + 1) * resamples / threads;
    let mut values: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(resamples));
    let mut take = |part: [Vec<f64>; N]| values.iter_mut().zip(part).for_each(|(all, own)| all.extend(own));
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|i| {
                let draw = &draw;
                scope.spawn(move || draw(range(i)))
            })
            .collect();
        take(draw(range(0)));
        for other in others {
            take(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
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

/// What SplitMix64 counts by.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64 (Steele, Lea, Flood 2014, OOPSLA): a counter through a mixing function.
struct SplitMix(u64);

impl SplitMix {
    /// The generator of `seed` after `draws` numbers.
    fn after(seed: u64, draws: u64) -> Self {
        SplitMix(seed.wrapping_add(draws.wrapping_mul(STEP)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, by multiplication (Lemire 2019); its bias is below `bound` / 2⁶⁴.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

//! Two readings of the same cases against each other.

use nodal::metrics::{AucComparison, Contingency, Kappa, McNemar, Scored, Weighting, compare_paired};

use super::calls::{Read, Reading};

/// Two readings and what can be said of them; a figure that their cases do not define is `None`.
pub struct Pair {
    /// Numbers of the readings.
    pub of: (usize, usize),
    /// How many cases both read.
    pub cases: usize,
    pub kappa: Option<Kappa>,
    pub aucs: Option<AucComparison>,
    /// Of being right.
    pub mcnemar: McNemar,
}

/// All pairs of readings with cases in common.
pub fn all(readings: &[Reading]) -> anyhow::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for (i, first) in readings.iter().enumerate() {
        for (j, second) in readings.iter().enumerate().skip(i + 1) {
            let both: Vec<(Read, Read)> = first
                .cases
                .iter()
                .filter_map(|(case, read)| Some((*read, *second.cases.get(case)?)))
                .collect();
            if !both.is_empty() {
                pairs.push(compare((i, j), &both)?);
            }
        }
    }
    Ok(pairs)
}

fn compare(of: (usize, usize), both: &[(Read, Read)]) -> anyhow::Result<Pair> {
    let mut counts = [0; 4];
    both.iter().for_each(|(a, b)| counts[2 * usize::from(a.call) + usize::from(b.call)] += 1);
    let right = |read: &Read| read.call == read.label;
    let (first, second): (Vec<bool>, Vec<bool>) = both.iter().map(|(a, b)| (right(a), right(b))).unzip();
    let labels: Vec<bool> = both.iter().map(|(a, _)| a.label).collect();
    let (a, b): (Vec<f64>, Vec<f64>) = both.iter().map(|(a, b)| (a.score, b.score)).unzip();
    Ok(Pair {
        of,
        cases: both.len(),
        kappa: Contingency::new(2, 2, &counts)?.kappa(Weighting::None).ok(),
        aucs: compare_paired(&Scored::new(&a, &labels)?, &Scored::new(&b, &labels)?).ok(),
        mcnemar: McNemar::of_calls(&first, &second)?,
    })
}

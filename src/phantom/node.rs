//! A node's numbers, and the rule that its label is drawn by.

use crate::data::train::random::Stream;

/// Diameters that are drawn, in mm.
pub(super) const SHORT_AXIS_MM: (f64, f64) = (3.0, 22.0);

/// What no long axis exceeds, in mm.
const LONG_AXIS_MM: f64 = 26.0;

/// The intercept of the rule, and the slopes of short axis, irregularity, heterogeneity and roundness.
pub(super) const RULE: (f64, [f64; 4]) = (-21.5, [1.2, 8.0, 8.0, 6.0]);

/// Nodes over which the rule's Bayes accuracy is taken: its standard error is below 0.0005.
const POPULATION: u64 = 1 << 17;

/// One node: four numbers, each as `nodes.csv` has it, and its label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// The smallest diameter in mm, 3 to 22.
    pub short_axis_mm: f64,
    /// How far the border leaves the ellipse, 0 to 1.
    pub irregularity: f64,
    /// How much the inside varies, 0 to 1.
    pub heterogeneity: f64,
    /// Short axis / long axis, ½ to 1.
    pub roundness: f64,
    /// Positive or negative.
    pub positive: bool,
}

impl Node {
    /// The node of a stream.
    pub(super) fn draw(stream: Stream) -> Self {
        let (least, most) = SHORT_AXIS_MM;
        let share = stream.uniform(0);
        let short_axis_mm = rounded(least + (most - least) * (share * share * share), 100.0);
        let flattest = (short_axis_mm / LONG_AXIS_MM).max(0.5);
        let roundness = rounded(flattest + (1.0 - flattest) * stream.uniform(3), 1000.0);
        let [irregularity, heterogeneity] = [1, 2].map(|i| rounded(stream.uniform(i), 1000.0));
        let mut node = Node { short_axis_mm, irregularity, heterogeneity, roundness, positive: false };
        node.positive = stream.uniform(4) < node.probability();
        node
    }

    /// The rule: how likely a node with these numbers is positive.
    pub fn probability(&self) -> f64 {
        let numbers = [self.short_axis_mm, self.irregularity, self.heterogeneity, self.roundness];
        let (intercept, slopes) = RULE;
        logistic(slopes.iter().zip(numbers).fold(intercept, |z, (slope, number)| z + slope * number))
    }

    /// `positive` or `negative`.
    pub fn label(&self) -> &'static str {
        if self.positive { "positive" } else { "negative" }
    }
}

/// The accuracy that is expected of whoever knows the rule and the numbers of `nodes`: the mean of max(P, 1 − P); NaN of none.
pub fn bayes_accuracy(nodes: impl IntoIterator<Item = Node>) -> f64 {
    let best = |node: Node| node.probability().max(1.0 - node.probability());
    let (sum, count) =
        nodes.into_iter().fold((0.0, 0u64), |(sum, count), node| (sum + best(node), count + 1));
    sum / count as f64
}

/// [`bayes_accuracy`] of the rule itself, over 131072 nodes that no seed gives.
pub fn population_accuracy() -> f64 {
    let stream = Stream::new(0, "phantom population");
    bayes_accuracy((0..POPULATION).map(|i| Node::draw(stream.below(i))))
}

/// To the nearest multiple of 1 / `steps`: the float64 that its decimals are read as.
fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps + 0.5).floor() / steps
}

/// 1 / (1 + exp(−z)), the same bits on every machine: exp(x) = exp(x / 2¹⁰)^(2¹⁰), the inner one by its series.
fn logistic(z: f64) -> f64 {
    let x = -z.clamp(-40.0, 40.0) / 1024.0;
    let series = (1..=8).rev().fold(1.0, |sum, k| 1.0 + x / f64::from(k) * sum);
    1.0 / (1.0 + (0..10).fold(series, |power, _| power * power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Confidence, Proportion};

    fn nodes(seed: u64, count: u64) -> Vec<Node> {
        (0..count).map(|i| Node::draw(Stream::new(seed, "test").below(i))).collect()
    }

    #[test]
    fn the_logistic_function_is_one() {
        for z in [-45.0, -30.0, -3.7, -1e-9, 0.0, 0.4, 2.0, 17.0, 60.0f64] {
            let exact = 1.0 / (1.0 + (-z.clamp(-40.0, 40.0)).exp());
            // Ten squarings multiply the last place's error by 2¹⁰.
            assert!((logistic(z) - exact).abs() <= 1e-12 * exact, "{z}: {}, not {exact}", logistic(z));
        }
    }

    #[test]
    fn numbers_lie_where_they_should_and_positive_nodes_are_larger() {
        let all = nodes(3, 5000);
        for node in &all {
            assert!((3.0..=22.0).contains(&node.short_axis_mm) && (0.5..=1.0).contains(&node.roundness));
            assert!((0.0..=1.0).contains(&node.irregularity) && (0.0..=1.0).contains(&node.heterogeneity));
            assert!(node.short_axis_mm / node.roundness <= LONG_AXIS_MM + 0.05, "{node:?}");
            assert_eq!(format!("{:.2}", node.short_axis_mm).parse(), Ok(node.short_axis_mm));
        }
        let mean = |positive: bool| {
            let own: Vec<f64> =
                all.iter().filter(|n| n.positive == positive).map(|n| n.short_axis_mm).collect();
            own.iter().sum::<f64>() / own.len() as f64
        };
        assert!(mean(true) > mean(false) + 3.0, "{} {}", mean(true), mean(false));
    }

    /// By fifths of the probability: the rate of positive nodes has the mean probability in its 99.9 % interval.
    #[test]
    fn labels_follow_the_rule() {
        let all = nodes(5, 20_000);
        for part in 0..5 {
            let own: Vec<&Node> =
                all.iter().filter(|node| ((5.0 * node.probability()) as usize).min(4) == part).collect();
            let positive = own.iter().filter(|node| node.positive).count();
            let expected = own.iter().map(|node| node.probability()).sum::<f64>() / own.len() as f64;
            let rate = Proportion::new(positive as u64, own.len() as u64);
            let interval = rate.wilson(Confidence::new(0.999).unwrap()).unwrap();
            assert!(
                (interval.low..=interval.high).contains(&expected),
                "fifth {part}: {expected} {interval:?}"
            );
        }
    }

    #[test]
    fn nobody_beats_the_bayes_accuracy_but_by_luck() {
        let all = nodes(9, 20_000);
        let right = all.iter().filter(|node| (node.probability() >= 0.5) == node.positive).count();
        let (got, bound) = (right as f64 / all.len() as f64, population_accuracy());
        // Four standard errors of a proportion near 0.93 over 20000 nodes.
        assert!((got - bound).abs() <= 0.0073, "{got}, not {bound}");
        assert!((0.92..0.94).contains(&bound), "{bound}");
    }
}

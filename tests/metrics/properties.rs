//! What holds for any data: small random ones with ties, and large ones.

use std::time::{Duration, Instant};

use nodal::metrics::*;

/// A small generator of its own: Knuth's linear congruence, the upper bits.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Scores of few values, so that many tie, with both classes.
    fn scored(&mut self, n: usize) -> (Vec<f64>, Vec<bool>) {
        let scores = (0..n).map(|_| self.below(7) as f64 / 8.0).collect();
        let mut labels: Vec<bool> = (0..n).map(|_| self.below(3) == 0).collect();
        (labels[0], labels[1]) = (true, false);
        (scores, labels)
    }
}

/// DeLong's AUC and variance pair by pair, as the paper of 1988 defines them.
fn pair_by_pair(scores: &[f64], labels: &[bool]) -> (f64, f64) {
    let of = |class| -> Vec<f64> {
        scores.iter().zip(labels).filter(|(_, label)| **label == class).map(|(score, _)| *score).collect()
    };
    let (xs, ys) = (of(true), of(false));
    let psi = |x: f64, y: f64| {
        if x > y {
            1.0
        } else if x == y {
            0.5
        } else {
            0.0
        }
    };
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let spread = |v: &[f64]| {
        v.iter().map(|x| (x - mean(v)).powi(2)).sum::<f64>() / (v.len() * (v.len() - 1).max(1)) as f64
    };
    let v10: Vec<f64> =
        xs.iter().map(|&x| mean(&ys.iter().map(|&y| psi(x, y)).collect::<Vec<_>>())).collect();
    let v01: Vec<f64> =
        ys.iter().map(|&y| mean(&xs.iter().map(|&x| psi(x, y)).collect::<Vec<_>>())).collect();
    (mean(&v10), spread(&v10) + spread(&v01))
}

#[test]
fn an_auc_is_the_share_of_ordered_pairs() {
    let mut random = Random(1);
    for round in 0..300 {
        let (scores, labels) = random.scored(2 + round % 37);
        let scored = Scored::new(&scores, &labels).unwrap();
        let (area, variance) = pair_by_pair(&scores, &labels);
        let auc = scored.auc().unwrap();
        assert!((auc.value - area).abs() <= 1e-12, "{scores:?} {labels:?}");
        assert_eq!(auc.variance.is_some(), scored.positives() > 1 && scored.negatives() > 1);
        assert!((auc.variance.unwrap_or(variance) - variance).abs() <= 1e-12, "{scores:?} {labels:?}");
        let again = scored.auc_resampled(&vec![1; labels.len()]).unwrap();
        assert!((again - area).abs() <= 1e-12);
        let roc = scored.roc().unwrap();
        let trapezoids: f64 = roc
            .windows(2)
            .map(|w| {
                (w[1].false_positive_rate - w[0].false_positive_rate)
                    * f64::midpoint(w[0].true_positive_rate, w[1].true_positive_rate)
            })
            .sum();
        assert!((trapezoids - area).abs() <= 1e-12, "the ROC curve bounds another area");
    }
}

#[test]
fn intervals_contain_the_estimate() {
    for total in 1..60 {
        for hits in 0..=total {
            let share = Proportion::new(hits, total);
            let value = share.value().unwrap();
            for interval in [share.exact(Confidence::P95), share.wilson(Confidence::P95)] {
                let Interval { low, high } = interval.unwrap();
                assert!(
                    0.0 <= low && low <= value && value <= high && high <= 1.0,
                    "{share:?}: {low} {high}"
                );
            }
        }
    }
    let mut random = Random(2);
    for round in 0..50 {
        let (scores, labels) = random.scored(20 + round);
        let scored = Scored::new(&scores, &labels).unwrap();
        for metric in summary(&scored, 0.5, Confidence::P95, None).unwrap() {
            let Some(value) = metric.value else { continue };
            assert!(value.is_finite(), "{metric:?}");
            if let Some(Interval { low, high }) = metric.interval {
                assert!(low <= value && value <= high, "{metric:?}");
            }
        }
    }
}

#[test]
fn a_resample_is_worth_the_data_it_repeats() {
    let (scores, labels) = Random(3).scored(25);
    let counts: Vec<u32> = (0..25).map(|k| k % 4).collect();
    let scored = Scored::new(&scores, &labels).unwrap();
    let repeat = |k: usize| std::iter::repeat_n(k, counts[k] as usize);
    let drawn: Vec<usize> = (0..25).flat_map(repeat).collect();
    let repeated = Scored::new(
        &drawn.iter().map(|&k| scores[k]).collect::<Vec<_>>(),
        &drawn.iter().map(|&k| labels[k]).collect::<Vec<_>>(),
    )
    .unwrap();
    let area = scored.auc_resampled(&counts).unwrap();
    assert!((area - repeated.auc().unwrap().value).abs() <= 1e-12);
    assert_eq!(scored.confusion_resampled(0.5, &counts), repeated.confusion(0.5));
}

#[test]
fn clusters_widen_an_interval_and_a_seed_repeats_it() {
    let (scores, labels): (Vec<f64>, Vec<bool>) =
        (0..300).map(|k| (((k / 10 * 7) % 30) as f64, (k / 10) % 3 == 0)).unzip();
    let scored = Scored::new(&scores, &labels).unwrap();
    let options = Bootstrap { resamples: 500, seed: 5, confidence: Confidence::P95 };
    let accuracy = |clusters: &[usize], options| {
        let statistic = |counts: &[u32]| [scored.confusion_resampled(15.0, counts).accuracy().value()];
        bootstrap(clusters, options, statistic).unwrap()[0].unwrap()
    };
    let alone: Vec<usize> = (0..300).collect();
    let by_ten: Vec<usize> = (0..300).map(|k| k / 10 * 10).collect();
    let (narrow, wide) = (accuracy(&alone, options), accuracy(&by_ten, options));
    let width = |interval: Interval| interval.high - interval.low;
    assert!(width(wide) > 2.0 * width(narrow), "{narrow:?} {wide:?}");
    assert_eq!(wide, accuracy(&by_ten, options));
    assert_ne!(wide, accuracy(&by_ten, Bootstrap { seed: 6, ..options }));
    // √(p(1 − p)/n) · 2z, by the normal approximation.
    let p = scored.confusion(15.0).accuracy().value().unwrap();
    let expected = 2.0 * 1.96 * (p * (1.0 - p) / 300.0).sqrt();
    assert!((width(narrow) / expected - 1.0).abs() < 0.15, "{} against {expected}", width(narrow));
}

#[test]
fn several_classes_that_are_two_have_the_intervals_of_two() {
    let mut random = Random(7);
    // No score of a half, where both classes are as large.
    let scores: Vec<f64> = (0..120).map(|_| (random.below(40) as f64 + 0.25) / 40.0).collect();
    let labels: Vec<bool> = scores.iter().map(|p| random.below(40) as f64 / 40.0 < *p).collect();
    let clusters: Vec<usize> = (0..120).map(|k| k / 3 * 3).collect();
    let options = Bootstrap { resamples: 400, seed: 2, confidence: Confidence::P95 };
    let draws = Some((&clusters[..], options));
    let two = summary(&Scored::new(&scores, &labels).unwrap(), 0.5, Confidence::P95, draws).unwrap();
    let rows: Vec<Vec<f64>> = scores.iter().map(|p| vec![1.0 - p, *p]).collect();
    let classes: Vec<usize> = labels.iter().map(|&label| usize::from(label)).collect();
    let several = multi_summary(&rows, &classes, 2, Confidence::P95, draws).unwrap();
    for metric in &several.each[1].metrics {
        let same = two.iter().find(|other| other.name == metric.name).unwrap();
        assert_eq!(metric, same);
    }
    let of = |name: &str| *several.together.iter().find(|metric| metric.name == name).unwrap();
    assert_eq!(of("accuracy"), two[0]);
    let (mean, auc) = (of("macro_auc").bootstrap.unwrap(), two[9].bootstrap.unwrap());
    assert!((mean.low - auc.low).abs() <= 1e-12 && (mean.high - auc.high).abs() <= 1e-12, "{mean:?} {auc:?}");
    // A class that is in few resamples has figures, and no interval that few of them would give.
    let rare: Vec<usize> = (0..120).map(|k| if k == 0 { 2 } else { classes[k] }).collect();
    let rows: Vec<Vec<f64>> = rows.iter().map(|row| [&row[..], &[0.0]].concat()).collect();
    let rare = multi_summary(&rows, &rare, 3, Confidence::P95, draws).unwrap();
    let ppv = rare.each[2].metrics.iter().find(|metric| metric.name == "ppv").unwrap();
    assert_eq!((ppv.value, ppv.bootstrap), (None, None));
    assert!(rare.together[0].bootstrap.is_some());
}

#[test]
fn cutoffs_keep_what_they_promise() {
    let mut random = Random(4);
    for round in 0..200 {
        let (scores, labels) = random.scored(2 + round % 40);
        let scored = Scored::new(&scores, &labels).unwrap();
        let at = |cutoff: Cutoff| scored.confusion(cutoff.choose(&scored).unwrap());
        for least in [0.0, 0.5, 0.8, 0.95, 1.0] {
            assert!(at(Cutoff::Sensitivity(least)).sensitivity().value().unwrap() >= least);
            assert!(at(Cutoff::Specificity(least)).specificity().value().unwrap() >= least);
        }
        let best = at(Cutoff::Youden).youden().unwrap();
        assert!(scores.iter().all(|&t| scored.confusion(t).youden().unwrap() <= best + 1e-12));
    }
}

#[test]
fn the_reading_rules() {
    use reading::{Criteria, Rule};
    let criteria =
        |n: usize| Criteria { irregular_border: n > 0, heterogeneous_signal: n > 1, round_shape: n > 2 };
    for (rule, mm, least) in [
        (Rule::WithoutDiameter, None, Some(2)),
        (Rule::PaperText, None, None),
        (Rule::PaperText, Some(4.9), Some(3)),
        (Rule::PaperText, Some(5.0), Some(2)),
        (Rule::PaperText, Some(9.0), Some(2)),
        (Rule::PaperText, Some(9.1), Some(3)),
        (Rule::Guideline, Some(4.9), Some(3)),
        (Rule::Guideline, Some(8.9), Some(2)),
        (Rule::Guideline, Some(9.0), Some(0)),
    ] {
        for n in 0..=3 {
            assert_eq!(rule.call(criteria(n), mm), least.map(|least| n >= least), "{rule:?} {mm:?} {n}");
        }
    }
}

#[test]
fn a_hundred_thousand_predictions_take_less_than_a_second() {
    let mut random = Random(9);
    let (scores, labels): (Vec<f64>, Vec<bool>) =
        (0..100_000).map(|_| (random.below(1_000_000) as f64 / 1e6, random.below(2) == 0)).unzip();
    // The least of three: other tests run beside this one.
    let took = (0..3).map(|_| {
        let start = Instant::now();
        let scored = Scored::new(&scores, &labels).unwrap();
        summary(&scored, Cutoff::Youden.choose(&scored).unwrap(), Confidence::P95, None).unwrap();
        compare_paired(&scored, &scored).unwrap();
        start.elapsed()
    });
    let took = took.min().unwrap();
    println!("100,000 predictions: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

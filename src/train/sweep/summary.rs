//! Means over runs, their intervals, and every configuration against the best.
//!
//! Each run counts with the epoch that validates best. The interval of a mean is mean ± t·sd/√n over the n runs, cut to 0 and 1;
//! the comparison is the paired t test over seeds and folds that both configurations have. Both take runs for independent. Folds
//! share training images, so that intervals are too narrow and P values too small (Dietterich 1998, Neural Computation 10:1895);
//! neither is corrected for that, nor P for the number of comparisons or for the best being chosen by the same figures.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::run::{Configuration, Left, Outcome};
use crate::error::{Error, Result};
use crate::metrics::{Confidence, Interval, Moments, TTest};

/// A mean over runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its 95 % interval; `None` for a single run.
    pub interval: Option<Interval>,
    /// How many runs.
    pub runs: usize,
}

/// The mean difference from the best configuration, over pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// This configuration − the best.
    pub mean: f64,
    /// Its 95 % interval; `None` for a single pair.
    pub interval: Option<Interval>,
    /// The paired t test; `None` where the differences do not vary.
    pub test: Option<TTest>,
    /// How many pairs.
    pub pairs: usize,
}

/// A configuration and what its runs say.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which one.
    pub configuration: Configuration,
    /// Its finished runs, by seed and fold.
    pub runs: Vec<Outcome>,
    /// Validation AUC, over runs that have one.
    pub auc: Option<Estimate>,
    /// Validation accuracy.
    pub accuracy: Estimate,
    /// AUC against the best; `None` for that itself, and without pairs.
    pub auc_difference: Option<Difference>,
    /// Accuracy against the best.
    pub accuracy_difference: Option<Difference>,
}

/// A sweep's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// By frozen convolutions, learning rate, batch.
    pub rows: Vec<Row>,
    /// Index of the best: by mean AUC, then by mean accuracy, then the first.
    pub best: usize,
    /// Runs that do not count yet.
    pub left: Vec<Left>,
}

impl Summary {
    /// What `runs`, at least one, say together.
    ///
    /// # Errors
    /// [`Error::Argument`] when two runs do not belong together, or are the same run twice.
    pub fn of(runs: &[Outcome], left: Vec<Left>) -> Result<Self> {
        let mut runs = runs.to_vec();
        runs.sort_by(|a, b| order(a, b).then_with(|| a.name.cmp(&b.name)));
        check(&runs)?;
        let mut rows = Vec::new();
        for group in runs.chunk_by(|a, b| a.configuration == b.configuration) {
            rows.push(row(group)?);
        }
        let rank = |row: &Row| (row.auc.map_or(-1.0, |auc| auc.mean), row.accuracy.mean);
        let mut best = 0;
        for (i, row) in rows.iter().enumerate() {
            if rank(row) > rank(&rows[best]) {
                best = i;
            }
        }
        let reference = rows.get(best).map_or(Vec::new(), |row| row.runs.clone());
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != best) {
            row.auc_difference = difference(&row.runs, &reference, |run| run.auc)?;
            row.accuracy_difference = difference(&row.runs, &reference, |run| Some(run.accuracy))?;
        }
        Ok(Summary { rows, best, left })
    }

    /// A line for each configuration; what is not defined is empty.
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "freeze,lr,batch,best,runs,auc,auc_low,auc_high,accuracy,accuracy_low,accuracy_high,auc_difference,\
             auc_difference_low,auc_difference_high,auc_p,accuracy_difference,accuracy_difference_low,\
             accuracy_difference_high,accuracy_p,pairs\n",
        );
        for (i, row) in self.rows.iter().enumerate() {
            let Configuration { freeze, lr, batch } = row.configuration;
            let mut cells =
                vec![freeze.to_string(), lr.to_string(), batch.to_string(), (i == self.best).to_string()];
            cells.push(row.runs.len().to_string());
            for estimate in [row.auc, Some(row.accuracy)] {
                let mean = estimate.map(|estimate| estimate.mean);
                cells.extend(numbers(mean, estimate.and_then(|estimate| estimate.interval)));
            }
            for difference in [row.auc_difference, row.accuracy_difference] {
                let mean = difference.map(|difference| difference.mean);
                cells.extend(numbers(mean, difference.and_then(|difference| difference.interval)));
                cells.push(number(difference.and_then(|difference| difference.test).map(|test| test.test.p)));
            }
            let pairs = row.accuracy_difference.map(|difference| difference.pairs.to_string());
            cells.push(pairs.unwrap_or_default());
            text += &format!("{}\n", cells.join(","));
        }
        text
    }

    /// All of it, runs included; what is not defined is null.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(row_json).collect();
        let left = self.left.iter().map(|left| json!({"run": left.name, "reason": left.reason}));
        json!({
            "confidence": Confidence::P95.level(),
            "best": self.rows.get(self.best).map(|row| configuration_json(&row.configuration)),
            "configurations": rows,
            "unfinished": left.collect::<Vec<_>>(),
        })
    }
}

fn order(a: &Outcome, b: &Outcome) -> Ordering {
    let (x, y) = (&a.configuration, &b.configuration);
    let by_configuration = x.freeze.cmp(&y.freeze).then(x.lr.total_cmp(&y.lr)).then(x.batch.cmp(&y.batch));
    by_configuration.then(a.replicate.cmp(&b.replicate))
}

/// Whether runs belong together, in their order.
fn check(runs: &[Outcome]) -> Result<()> {
    for pair in runs.windows(2) {
        let (one, other) = (&pair[0], &pair[1]);
        if order(one, other) == Ordering::Equal {
            let problem = format!(
                "{} and {} are of one configuration, seed and fold: move one of them elsewhere",
                one.name, other.name
            );
            return Err(Error::Argument(problem));
        }
        let keys = one.shared.as_object().into_iter().flat_map(|map| map.keys());
        if let Some(key) = keys.into_iter().find(|key| one.shared[key.as_str()] != other.shared[key.as_str()])
        {
            return Err(Error::Argument(format!(
                "{} and {} cannot be compared, {key} is {} in one and {} in the other: runs of a sweep differ in freeze, lr, batch, \
                 seed and fold only",
                one.name,
                other.name,
                one.shared[key.as_str()],
                other.shared[key.as_str()]
            )));
        }
    }
    Ok(())
}

fn row(runs: &[Outcome]) -> Result<Row> {
    let aucs: Vec<f64> = runs.iter().filter_map(|run| run.auc).collect();
    let accuracies: Vec<f64> = runs.iter().map(|run| run.accuracy).collect();
    Ok(Row {
        configuration: runs[0].configuration,
        runs: runs.to_vec(),
        auc: if aucs.is_empty() { None } else { Some(estimate(&aucs)?) },
        accuracy: estimate(&accuracies)?,
        auc_difference: None,
        accuracy_difference: None,
    })
}

fn estimate(values: &[f64]) -> Result<Estimate> {
    let runs = values.len();
    if let [mean] = *values {
        return Ok(Estimate { mean, interval: None, runs });
    }
    let moments = Moments::of(values)?;
    let Interval { low, high } = moments.interval(Confidence::P95);
    let interval = Some(Interval { low: low.max(0.0), high: high.min(1.0) });
    Ok(Estimate { mean: moments.mean(), interval, runs })
}

/// `runs` against `reference`, over seeds and folds where both have a figure.
fn difference(
    runs: &[Outcome],
    reference: &[Outcome],
    figure: impl Fn(&Outcome) -> Option<f64>,
) -> Result<Option<Difference>> {
    let mut pairs = Vec::new();
    for run in runs {
        let other = reference.iter().find(|other| other.replicate == run.replicate);
        pairs.extend(other.and_then(|other| Some((figure(run)?, figure(other)?))));
    }
    let differences: Vec<f64> = pairs.iter().map(|(one, other)| one - other).collect();
    Ok(match differences[..] {
        [] => None,
        [mean] => Some(Difference { mean, interval: None, test: None, pairs: 1 }),
        _ => {
            let moments = Moments::of(&differences)?;
            // Not defined where all differences are the same.
            let test = TTest::paired(&pairs).ok();
            let interval = Some(moments.interval(Confidence::P95));
            Some(Difference { mean: moments.mean(), interval, test, pairs: pairs.len() })
        }
    })
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn numbers(value: Option<f64>, interval: Option<Interval>) -> [String; 3] {
    [number(value), number(interval.map(|own| own.low)), number(interval.map(|own| own.high))]
}

fn ends(interval: Option<Interval>) -> Value {
    interval.map_or(Value::Null, |Interval { low, high }| json!([low, high]))
}

fn configuration_json(of: &Configuration) -> Value {
    json!({"freeze": of.freeze, "lr": of.lr, "batch": of.batch})
}

fn row_json(row: &Row) -> Value {
    let estimate = |of: &Estimate| json!({"mean": of.mean, "interval": ends(of.interval), "runs": of.runs});
    let difference = |of: &Difference| {
        json!({
            "mean": of.mean, "interval": ends(of.interval), "pairs": of.pairs,
            "t": of.test.map(|test| test.test.statistic), "p": of.test.map(|test| test.test.p),
        })
    };
    let run = |run: &Outcome| {
        json!({
            "run": run.name, "seed": run.replicate.seed, "fold": run.replicate.fold, "best_epoch": run.best_epoch,
            "auc": run.auc, "accuracy": run.accuracy,
        })
    };
    let mut value = configuration_json(&row.configuration);
    value["auc"] = row.auc.as_ref().map(estimate).into();
    value["accuracy"] = estimate(&row.accuracy);
    value["auc_difference"] = row.auc_difference.as_ref().map(difference).into();
    value["accuracy_difference"] = row.accuracy_difference.as_ref().map(difference).into();
    value["runs"] = row.runs.iter().map(run).collect::<Vec<_>>().into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::sweep::Replicate;

    fn run(freeze: usize, fold: usize, auc: Option<f64>, accuracy: f64) -> Outcome {
        Outcome {
            name: format!("freeze-{freeze}_fold-{fold}"),
            configuration: Configuration { freeze, lr: 1e-3, batch: 16 },
            replicate: Replicate { seed: 0, fold: Some(fold) },
            best_epoch: 1,
            auc,
            accuracy,
            shared: json!({"epochs": 1}),
        }
    }

    #[test]
    fn configurations_are_compared_over_the_folds_they_share() {
        let aucs = |freeze, values: [f64; 3]| -> Vec<Outcome> {
            values.into_iter().enumerate().map(|(i, auc)| run(freeze, i + 1, Some(auc), 0.5)).collect()
        };
        let mut runs = [aucs(10, [0.7, 0.8, 0.9]), aucs(3, [0.6, 0.75, 0.7])].concat();
        runs.push(run(3, 4, Some(0.65), 0.5));
        let summary = Summary::of(&runs, Vec::new()).unwrap();
        assert_eq!(summary.rows.iter().map(|row| row.configuration.freeze).collect::<Vec<_>>(), [3, 10]);
        assert_eq!((summary.best, summary.rows[0].runs.len()), (1, 4));
        let best = summary.rows[1].auc.unwrap();
        // t(0.975; 2) = 4.302653, sd 0.1.
        let half = 4.302_652_7 * 0.1 / 3.0f64.sqrt();
        assert!((best.mean - 0.8).abs() < 1e-12 && (best.interval.unwrap().low - (0.8 - half)).abs() < 1e-8);
        assert_eq!(best.interval.unwrap().high, 1.0);
        // Differences −0.1, −0.05, −0.2: mean −0.11667, sd 0.076376, t = −2.6458 = −√7.
        let difference = summary.rows[0].auc_difference.unwrap();
        assert_eq!(difference.pairs, 3);
        assert!((difference.test.unwrap().test.statistic + 7.0f64.sqrt()).abs() < 1e-9);
        assert!((difference.mean + 0.35 / 3.0).abs() < 1e-12);
        // Accuracies do not differ, so that there is no test.
        assert_eq!(summary.rows[0].accuracy_difference.unwrap().test, None);
        assert_eq!(summary.rows[1].auc_difference, None);
        runs.reverse();
        let again = Summary::of(&runs, Vec::new()).unwrap();
        assert_eq!((again.csv(), again.json()), (summary.csv(), summary.json()));
    }

    #[test]
    fn runs_that_do_not_belong_together_are_named() {
        let one = run(3, 1, None, 0.5);
        let alone = Summary::of(std::slice::from_ref(&one), Vec::new()).unwrap();
        assert!(alone.rows[0].auc.is_none() && alone.rows[0].accuracy.interval.is_none());
        assert!(!alone.csv().contains("NaN"), "{}", alone.csv());
        let twice = Outcome { name: "copy".into(), ..one.clone() };
        let error = Summary::of(&[one.clone(), twice], Vec::new()).unwrap_err().to_string();
        assert!(error.contains("copy and freeze-3_fold-1"), "{error}");
        let longer = Outcome { shared: json!({"epochs": 2}), ..run(3, 2, None, 0.5) };
        let error = Summary::of(&[one, longer], Vec::new()).unwrap_err().to_string();
        assert!(error.contains("epochs is 1 in one and 2 in the other"), "{error}");
    }
}

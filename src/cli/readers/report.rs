//! The readers' table and the pairs' table, and both as JSON.

use nodal::metrics::{Confidence, Interval, McNemar, Metric};
use serde_json::{Value, json};

use super::super::evaluate::report::{ends, metrics_json};
use super::super::grid::Grid;
use super::calls::Reading;
use super::pairs::Pair;

/// The columns of the paper's table, by metric, and as they are called.
const COLUMNS: [&str; 6] = ["ppv", "npv", "sensitivity", "specificity", "auc", "accuracy"];
pub const HEADER: [&str; 6] = ["PPV, %", "NPV, %", "sensitivity, %", "specificity, %", "AUC", "accuracy, %"];

/// Every metric of a reading, the AUC last.
pub fn metrics(reading: &Reading, confidence: Confidence) -> nodal::Result<Vec<Metric>> {
    let mut metrics = reading.confusion.metrics(confidence);
    metrics.push(Metric::auc(&reading.scored()?, confidence));
    Ok(metrics)
}

/// The cells of the paper's table.
pub fn cells(metrics: &[Metric]) -> [String; 6] {
    COLUMNS.map(|name| metrics.iter().find(|metric| metric.name == name).map_or(String::new(), cell))
}

pub fn as_tables(readings: &[Reading], pairs: &[Pair], confidence: Confidence) -> nodal::Result<String> {
    let mut table = Grid::new(["reader"].into_iter().chain(HEADER), 1);
    for reading in readings {
        table.row([reading.name()].into_iter().chain(cells(&metrics(reading, confidence)?)));
    }
    Ok(match pairs_grid(readings, pairs, confidence) {
        Ok(pairs) => format!("{}\n{}", table.text(), pairs.text()),
        Err(why) => format!("{}{why}\n", table.text()),
    })
}

/// The table of pairs, or why there is none.
pub fn pairs_grid(
    readings: &[Reading],
    pairs: &[Pair],
    confidence: Confidence,
) -> Result<Grid, &'static str> {
    if pairs.is_empty() {
        return Err(match readings.iter().all(|reading| reading.cases.is_empty()) {
            true => "counts name no cases, so that neither kappa nor a comparison of AUCs follows from them",
            false => "no two readings have cases in common",
        });
    }
    let header = ["pair", "cases", "kappa", "AUC, difference", "P, DeLong", "P, McNemar (exact)"];
    let mut table = Grid::new(header, 1);
    for pair in pairs {
        let kappa = pair.kappa.map(|kappa| with(3, kappa.value, Some(kappa.interval(confidence))));
        let aucs = pair.aucs.map(|aucs| with(3, aucs.difference, Some(aucs.interval(confidence))));
        table.row([
            format!("{} / {}", readings[pair.of.0].name(), readings[pair.of.1].name()),
            pair.cases.to_string(),
            kappa.unwrap_or("-".into()),
            aucs.unwrap_or("-".into()),
            pair.aucs.map_or("-".into(), |aucs| p_value(aucs.test.p)),
            p_value(pair.mcnemar.exact_p),
        ]);
    }
    Ok(table)
}

fn cell(metric: &Metric) -> String {
    let Some(value) = metric.value else { return "-".into() };
    let percent = |Interval { low, high }| Interval { low: 100.0 * low, high: 100.0 * high };
    match metric.name {
        "auc" => with(3, value, metric.interval),
        _ => with(1, 100.0 * value, metric.interval.map(percent)),
    }
}

/// A figure with its interval.
pub fn with(digits: usize, value: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(Interval { low, high }) => format!("{value:.digits$} ({low:.digits$} to {high:.digits$})"),
        None => format!("{value:.digits$}"),
    }
}

/// A P value in three digits.
pub fn p_value(p: f64) -> String {
    if p < 0.0005 { "< 0.001".into() } else { format!("{p:.3}") }
}

pub fn as_json(readings: &[Reading], pairs: &[Pair], confidence: Confidence) -> nodal::Result<Value> {
    let mut read = Vec::new();
    for reading in readings {
        read.push(json!({
            "reader": reading.reader,
            "reading": reading.way,
            "positives": reading.confusion.positives(),
            "negatives": reading.confusion.negatives(),
            "metrics": metrics_json(&metrics(reading, confidence)?),
        }));
    }
    let pair = |pair: &Pair| {
        let McNemar { exact_p, chi_square, corrected } = pair.mcnemar;
        json!({
            "first": readings[pair.of.0].name(),
            "second": readings[pair.of.1].name(),
            "cases": pair.cases,
            "kappa": pair.kappa.map(|kappa| json!({
                "value": kappa.value,
                "standard_error": kappa.standard_error,
                "interval": ends(Some(kappa.interval(confidence))),
            })),
            "delong": pair.aucs.map(|aucs| json!({
                "difference": aucs.difference,
                "interval": ends(Some(aucs.interval(confidence))),
                "z": aucs.test.statistic,
                "p": aucs.test.p,
            })),
            "mcnemar": {"exact_p": exact_p, "chi_square_p": chi_square.p, "corrected_p": corrected.p},
        })
    };
    Ok(json!({"readings": read, "pairs": pairs.iter().map(pair).collect::<Vec<_>>()}))
}

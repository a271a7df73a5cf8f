//! A sweep's summary as a table.

use std::path::Path;

use nodal::metrics::Interval;
use nodal::train::sweep::{Difference, Estimate, Summary};

use super::super::grid::Grid;
use super::super::readers::p_value;

const HEADER: [&str; 11] = [
    "freeze",
    "lr",
    "batch",
    "runs",
    "AUC",
    "95 %",
    "accuracy, %",
    "95 %",
    "AUC − best",
    "P",
    "accuracy − best, %, P",
];

/// What to bear in mind.
pub const NOTE: &str = "\
Validation at each run's best epoch, mean over runs; t intervals, paired t tests over the same seeds and folds.
The epoch and the best are chosen by the figures that judge them, folds share training images, and P is for one
comparison: small differences prove nothing.
";

/// The table, what to bear in mind, the runs that do not count, and where the files lie.
pub fn as_text(summary: &Summary, folder: &Path) -> String {
    let mut text = grid(summary).text();
    text += NOTE;
    for left in &summary.left {
        text += &format!("{}: {}, does not count\n", left.name, left.reason);
    }
    text + &format!("{}\n", folder.join("summary.{csv,json,svg}").display())
}

/// A row for each configuration.
pub fn grid(summary: &Summary) -> Grid {
    let mut table = Grid::new(HEADER, 0);
    for (i, row) in summary.rows.iter().enumerate() {
        let own = row.configuration;
        let mut cells = [own.freeze.to_string(), own.lr.to_string(), own.batch.to_string()].to_vec();
        cells.push(row.runs.len().to_string());
        cells.extend(estimate(row.auc, 1.0, 3));
        cells.extend(estimate(Some(row.accuracy), 100.0, 1));
        if i == summary.best {
            cells.extend(["best".into(), String::new(), "best".into()]);
        } else {
            let [auc, p] = difference(row.auc_difference, 1.0, 3);
            let accuracy = difference(row.accuracy_difference, 100.0, 1);
            cells.extend([auc, p, accuracy.join(", ")]);
        }
        table.row(cells);
    }
    table
}

fn estimate(of: Option<Estimate>, scale: f64, digits: usize) -> [String; 2] {
    let mean = of.map_or("-".into(), |own| format!("{:.digits$}", own.mean * scale));
    let ends = |Interval { low, high }| format!("{:.digits$} to {:.digits$}", low * scale, high * scale);
    [mean, of.and_then(|own| own.interval).map_or("-".into(), ends)]
}

fn difference(of: Option<Difference>, scale: f64, digits: usize) -> [String; 2] {
    let mean = of.map_or("-".into(), |own| format!("{:+.digits$}", own.mean * scale));
    [mean, of.and_then(|own| own.test).map_or("-".into(), |test| p_value(test.test.p))]
}

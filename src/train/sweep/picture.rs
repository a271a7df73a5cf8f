//! Means with their intervals by configuration, as SVG.

use super::summary::{Estimate, Row, Summary};
use crate::error::Result;
use crate::plot::{Axis, COLORS, Chart, Color, Legend, Mark, Point, Series};

const HEIGHT: u32 = 420;
/// Width of a configuration's place.
const PLACE: u32 = 84;
const MIN_WIDTH: u32 = 640;

impl Summary {
    /// Mean validation AUC and accuracy of each configuration, with 95 % intervals, as SVG.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) when it cannot be drawn.
    pub fn picture(&self) -> Result<String> {
        self.chart().svg()
    }

    /// That picture before it is drawn.
    pub fn chart(&self) -> Chart {
        let (what, labels) = labels(&self.rows);
        let count = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        let series = [
            means("AUC", COLORS[0], -0.08, self.rows.iter().map(|row| row.auc)),
            means("accuracy", COLORS[1], 0.08, self.rows.iter().map(|row| Some(row.accuracy))),
        ];
        let points = series.iter().flat_map(|own| &own.points);
        let ends = points.map(|point| point.interval.unwrap_or((point.y, point.y)));
        let (low, high) = ends.fold((1.0f64, 0.0f64), |(low, high), own| (low.min(own.0), high.max(own.1)));
        let range = (-0.5, labels.len() as f64 + 0.3);
        Chart {
            title: "Validation at each run's best epoch: mean and 95 % interval".into(),
            size: (MIN_WIDTH.max(count.saturating_mul(PLACE).saturating_add(90)), HEIGHT),
            x: Axis { places: Some(labels), ..Axis::new(what, range) },
            y: Axis::new("AUC, accuracy", ((low - 0.05).max(0.0), (high + 0.05).min(1.02))),
            series: series.into(),
            legend: Legend::Above,
        }
    }
}

/// A marker for each configuration, `aside` from the middle of its place.
fn means(name: &str, color: Color, aside: f64, of: impl Iterator<Item = Option<Estimate>>) -> Series {
    let known = of.enumerate().filter_map(|(i, own)| Some((i as f64 + aside, own?)));
    let point = |(x, own): (f64, Estimate)| Point {
        x,
        y: own.mean,
        interval: own.interval.map(|own| (own.low, own.high)),
    };
    Series { name: name.into(), color, mark: Mark::Circle, points: known.map(point).collect() }
}

/// What varies between the configurations, and for each its values; the frozen convolutions where nothing does.
fn labels(rows: &[Row]) -> (String, Vec<String>) {
    let values = |row: &Row| {
        let own = row.configuration;
        [own.freeze.to_string(), own.lr.to_string(), own.batch.to_string()]
    };
    let all: Vec<[String; 3]> = rows.iter().map(values).collect();
    let varies = |k: usize| all.iter().any(|own| own[k] != all[0][k]);
    let mut shown: Vec<usize> = (0..3).filter(|&k| varies(k)).collect();
    if shown.is_empty() {
        shown.push(0);
    }
    let names = ["frozen convolutions", "learning rate", "batch"];
    let joined = |of: &dyn Fn(usize) -> String| shown.iter().map(|&k| of(k)).collect::<Vec<_>>().join(" / ");
    (joined(&|k| names[k].into()), all.iter().map(|own| joined(&|k| own[k].clone())).collect())
}

//! Sections of metrics as tables, JSON and CSV.

use nodal::metrics::{Confidence, Confusion, Interval, Metric, MultiClass, RocPoint, Scored};
use serde_json::{Map, Value, json};

use super::super::grid::Grid;

/// The metrics of one class on one level.
pub struct Section {
    /// image, node or patient.
    pub level: &'static str,
    /// The positive class; `all` for several together.
    pub class: String,
    pub cases: usize,
    pub threshold: Option<f64>,
    /// What the bootstrap drew.
    pub drawn: Option<&'static str>,
    /// Of several classes together.
    pub matrix: Option<MultiClass>,
    pub confusion: Option<Confusion>,
    pub metrics: Vec<Metric>,
    pub scored: Option<Scored>,
}

pub fn as_tables(sections: &[Section], confidence: Confidence) -> String {
    let table = |section: &Section| format!("{}{}\n\n", grid(section, confidence).text(), heading(section));
    sections.iter().map(table).collect()
}

/// Bins of the reliability curve.
pub const BINS: usize = 10;

/// The level of intervals, as `95 %` or `99.5 %`; what is below 1 never becomes `100 %`.
pub fn percent(confidence: Confidence) -> String {
    format!("{} %", (confidence.level() * 1e12).round() / 1e10)
}

/// Every metric of a section with its intervals.
pub fn grid(section: &Section, confidence: Confidence) -> Grid {
    let percent = percent(confidence);
    let drawn = section.drawn.map_or("bootstrap".into(), |drawn| format!("bootstrap by {drawn}"));
    let level = format!("per {}", section.level);
    let interval = format!("interval, {percent}");
    let mut grid = Grid::new([&level, "value", "of", &interval, "Wilson", &drawn], 1);
    for metric in &section.metrics {
        grid.row([
            metric.name.to_string(),
            metric.value.map_or("-".into(), |value| format!("{value:.4}")),
            metric.share.map_or(String::new(), |share| format!("{}/{}", share.hits(), share.total())),
            range(metric.interval),
            range(metric.wilson),
            range(metric.bootstrap),
        ]);
    }
    grid
}

/// One line below a table: cases, threshold, confusion matrix.
pub fn heading(section: &Section) -> String {
    let unit = if section.cases == 1 { "" } else { "s" };
    let mut line = format!("{} {}{unit}, positive: {}", section.cases, section.level, section.class);
    if section.class == "all" {
        line = format!("{} {}{unit}, all classes", section.cases, section.level);
    }
    if let Some(threshold) = section.threshold {
        line += &format!(" from {threshold} on");
    }
    if let Some(c) = section.confusion {
        line += &format!(
            "; TP {}, FN {}, TN {}, FP {}",
            c.true_positives, c.false_negatives, c.true_negatives, c.false_positives
        );
    }
    line
}

fn range(interval: Option<Interval>) -> String {
    interval.map_or(String::new(), |Interval { low, high }| format!("{low:.4} to {high:.4}"))
}

pub fn as_json(sections: &[Section]) -> Value {
    let mut levels: Map<String, Value> = Map::new();
    for section in sections {
        let level = levels.entry(section.level).or_insert_with(|| json!([]));
        if let Value::Array(all) = level {
            all.push(section_json(section));
        }
    }
    // Two classes have one section a level, several a list.
    let single = |(level, value): (String, Value)| match value {
        Value::Array(mut all) if all.len() == 1 => (level, all.remove(0)),
        value => (level, value),
    };
    json!({"levels": levels.into_iter().map(single).collect::<Map<_, _>>()})
}

fn section_json(section: &Section) -> Value {
    let mut value = json!({
        "positive": section.class,
        "cases": section.cases,
        "threshold": section.threshold,
        "bootstrap_by": section.drawn,
        "metrics": metrics_json(&section.metrics),
    });
    if let Some(c) = section.confusion {
        value["confusion"] = json!({
            "true_positives": c.true_positives,
            "false_positives": c.false_positives,
            "true_negatives": c.true_negatives,
            "false_negatives": c.false_negatives,
        });
    }
    if let Some(scored) = &section.scored {
        value["roc"] = scored.roc().map_or(Value::Null, |roc| corners(&roc).map(point).collect());
        let curve = scored.precision_recall().unwrap_or_default();
        value["precision_recall"] = curve
            .iter()
            .map(|point| json!({"threshold": point.threshold, "precision": point.precision, "recall": point.recall}))
            .collect();
        let bins = scored.calibration(BINS).map(|calibration| calibration.bins).unwrap_or_default();
        value["reliability"] = bins
            .iter()
            .map(|bin| json!({"low": bin.low, "high": bin.high, "count": bin.count, "mean_probability": bin.mean_probability, "observed": bin.observed}))
            .collect();
    }
    value
}

fn point(point: &RocPoint) -> Value {
    let RocPoint { threshold, false_positive_rate, true_positive_rate } = point;
    json!({"threshold": threshold, "fpr": false_positive_rate, "tpr": true_positive_rate})
}

/// The points of a ROC curve without those amid a level or an upright line.
fn corners(roc: &[RocPoint]) -> impl Iterator<Item = &RocPoint> {
    (0..roc.len()).filter_map(move |k| {
        let within = |of: fn(&RocPoint) -> f64| {
            k > 0 && k + 1 < roc.len() && of(&roc[k - 1]) == of(&roc[k]) && of(&roc[k]) == of(&roc[k + 1])
        };
        (!within(|p| p.false_positive_rate) && !within(|p| p.true_positive_rate)).then_some(&roc[k])
    })
}

/// Metrics by name.
pub fn metrics_json(metrics: &[Metric]) -> Value {
    let named = |metric: &Metric| (metric.name.to_string(), metric_json(metric));
    Value::Object(metrics.iter().map(named).collect())
}

/// An interval as the list of its ends.
pub fn ends(interval: Option<Interval>) -> Option<Value> {
    interval.map(|Interval { low, high }| json!([low, high]))
}

fn metric_json(metric: &Metric) -> Value {
    let mut value = json!({"value": metric.value, "interval": ends(metric.interval)});
    if let Some(share) = metric.share {
        value["hits"] = share.hits().into();
        value["total"] = share.total().into();
        value["wilson"] = ends(metric.wilson).into();
    }
    if let Some(bootstrap) = ends(metric.bootstrap) {
        value["bootstrap"] = bootstrap;
    }
    value
}

pub fn as_csv(sections: &[Section]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "level",
        "positive",
        "metric",
        "value",
        "hits",
        "total",
        "low",
        "high",
        "wilson_low",
        "wilson_high",
        "bootstrap_low",
        "bootstrap_high",
    ])?;
    for section in sections {
        for metric in &section.metrics {
            let mut record = vec![section.level.to_string(), section.class.clone(), metric.name.to_string()];
            record.push(metric.value.map_or(String::new(), |value| value.to_string()));
            record.push(metric.share.map_or(String::new(), |share| share.hits().to_string()));
            record.push(metric.share.map_or(String::new(), |share| share.total().to_string()));
            for interval in [metric.interval, metric.wilson, metric.bootstrap] {
                record.push(interval.map_or(String::new(), |interval| interval.low.to_string()));
                record.push(interval.map_or(String::new(), |interval| interval.high.to_string()));
            }
            writer.write_record(&record)?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

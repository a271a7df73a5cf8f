//! Pictures of a run: loss by epoch, and the ROC curve of its best epoch, as SVG.

use crate::error::Result;
use crate::metrics::RocPoint;
use crate::plot::{Axis, COLORS, Chart, Legend, Mark, Series};

/// Width and height in pixels.
const SIZE: (u32, u32) = (640, 420);

/// Mean loss of each epoch, in training and, where there is one, in validation.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) when it cannot be drawn.
pub fn loss_curve(training: &[f64], validation: &[f64]) -> Result<String> {
    let highest = training.iter().chain(validation).copied().fold(0.0, f64::max);
    let top = highest.max(1e-6) * 1.05;
    let named = [("training", COLORS[0], training), ("validation", COLORS[1], validation)];
    let drawn = named.into_iter().filter(|(.., values)| !values.is_empty());
    let by_epoch = |(name, color, values): (&str, _, &[f64])| {
        let points = values.iter().enumerate().map(|(i, &loss)| ((i + 1) as f64, loss));
        Series::new(name, color, Mark::Line, points)
    };
    let chart = Chart {
        title: "Loss".into(),
        size: SIZE,
        x: Axis::counting("epoch", training.len()),
        y: Axis::new("mean loss", (0.0, top)),
        series: drawn.map(by_epoch).collect(),
        legend: Legend::Above,
    };
    chart.svg()
}

/// A ROC curve, by falling threshold, and its area.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) when it cannot be drawn.
pub fn roc_curve(points: &[RocPoint], auc: f64) -> Result<String> {
    let mut chart = Chart::square(SIZE.1, "1 − specificity", "sensitivity");
    chart.title = format!("ROC, AUC {auc:.3}");
    let points = points.iter().map(|p| (p.false_positive_rate, p.true_positive_rate));
    chart.series.push(Series::new("", COLORS[1], Mark::Line, points));
    chart.svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_svg_with_their_names() {
        let svg = loss_curve(&[0.7, 0.5, 0.3], &[0.8, 0.6, 0.5]).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("training") && svg.contains("validation") && svg.contains("mean loss"));
        assert_eq!(svg, loss_curve(&[0.7, 0.5, 0.3], &[0.8, 0.6, 0.5]).unwrap());
        assert!(loss_curve(&[0.7], &[]).unwrap().contains("<svg"));
        let point = |x, y| RocPoint { threshold: 0.5, false_positive_rate: x, true_positive_rate: y };
        let roc = roc_curve(&[point(0.0, 0.0), point(0.0, 0.5), point(1.0, 1.0)], 0.75).unwrap();
        assert!(roc.contains("AUC 0.750") && roc.contains("sensitivity"));
    }
}

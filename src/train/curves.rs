//! Pictures of a run: loss by epoch, and the ROC curve of its best epoch, as SVG.

use plotters::prelude::*;

use crate::error::{Error, Result};
use crate::metrics::RocPoint;

/// Width and height in pixels.
const SIZE: (u32, u32) = (640, 420);
const TRAINING: RGBColor = RGBColor(31, 119, 180);
const VALIDATION: RGBColor = RGBColor(214, 39, 40);

/// Mean loss of each epoch, in training and, where there is one, in validation.
///
/// # Errors
/// [`Error::Argument`] when it cannot be drawn.
pub fn loss_curve(training: &[f64], validation: &[f64]) -> Result<String> {
    let highest = training.iter().chain(validation).copied().fold(0.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(undrawn)?;
        let (epochs, top) = (training.len().max(2) as f64, highest.max(1e-6) * 1.05);
        let mut chart = ChartBuilder::on(&area)
            .caption("Loss", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(1.0..epochs, 0.0..top)
            .map_err(undrawn)?;
        chart.configure_mesh().x_desc("epoch").y_desc("mean loss").draw().map_err(undrawn)?;
        for (name, color, values) in
            [("training", TRAINING, training), ("validation", VALIDATION, validation)]
        {
            if values.is_empty() {
                continue;
            }
            let points = values.iter().enumerate().map(|(i, &loss)| ((i + 1) as f64, loss));
            let line = LineSeries::new(points, color.stroke_width(2));
            chart
                .draw_series(line)
                .map_err(undrawn)?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()
            .map_err(undrawn)?;
        area.present().map_err(undrawn)?;
    }
    Ok(svg)
}

/// A ROC curve, by falling threshold, and its area.
///
/// # Errors
/// [`Error::Argument`] when it cannot be drawn.
pub fn roc_curve(points: &[RocPoint], auc: f64) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (SIZE.1, SIZE.1)).into_drawing_area();
        area.fill(&WHITE).map_err(undrawn)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("ROC, AUC {auc:.3}"), ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)
            .map_err(undrawn)?;
        chart.configure_mesh().x_desc("1 − specificity").y_desc("sensitivity").draw().map_err(undrawn)?;
        let chance = LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.3).stroke_width(1));
        chart.draw_series(chance).map_err(undrawn)?;
        let points = points.iter().map(|p| (p.false_positive_rate, p.true_positive_rate));
        chart.draw_series(LineSeries::new(points, VALIDATION.stroke_width(2))).map_err(undrawn)?;
        area.present().map_err(undrawn)?;
    }
    Ok(svg)
}

pub(super) fn undrawn(problem: impl std::fmt::Display) -> Error {
    Error::Argument(format!("a curve cannot be drawn: {problem}"))
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

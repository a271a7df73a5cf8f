//! Means with their intervals by configuration, as SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::summary::{Estimate, Row, Summary};
use crate::error::Result;
use crate::train::curves::undrawn;

const HEIGHT: u32 = 420;
/// Width of a configuration's place.
const PLACE: u32 = 84;
const MIN_WIDTH: u32 = 640;
const AUC: RGBColor = RGBColor(31, 119, 180);
const ACCURACY: RGBColor = RGBColor(214, 39, 40);

/// Mean validation AUC and accuracy of each configuration, with 95 % intervals.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) when it cannot be drawn.
pub fn means(summary: &Summary) -> Result<String> {
    let (what, labels) = labels(&summary.rows);
    let places = u32::try_from(labels.len()).unwrap_or(u32::MAX);
    let width = MIN_WIDTH.max(places.saturating_mul(PLACE).saturating_add(90));
    let series: [(&str, RGBColor, f64, Vec<Option<Estimate>>); 2] = [
        ("AUC", AUC, -0.08, summary.rows.iter().map(|row| row.auc).collect()),
        ("accuracy", ACCURACY, 0.08, summary.rows.iter().map(|row| Some(row.accuracy)).collect()),
    ];
    let ends = |of: &Estimate| of.interval.map_or((of.mean, of.mean), |own| (own.low, own.high));
    let all = series.iter().flat_map(|(.., own)| own.iter().flatten());
    let (low, high) =
        all.map(ends).fold((1.0f64, 0.0f64), |(low, high), own| (low.min(own.0), high.max(own.1)));
    let (low, high) = ((low - 0.05).max(0.0), (high + 0.05).min(1.02));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, HEIGHT)).into_drawing_area();
        area.fill(&WHITE).map_err(undrawn)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("Validation at each run's best epoch: mean and 95 % interval", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(52)
            .y_label_area_size(52)
            .build_cartesian_2d(-0.5..labels.len() as f64 + 0.3, low..high)
            .map_err(undrawn)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().x_labels(0).y_desc("AUC, accuracy").draw().map_err(undrawn)?;
        let style = ("sans-serif", 13).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Top));
        let mut texts: Vec<(f64, i32, String)> =
            labels.into_iter().enumerate().map(|(i, label)| (i as f64, 8, label)).collect();
        texts.push((texts.len() as f64 / 2.0 - 0.5, 30, what));
        let drawn = texts
            .into_iter()
            .map(|(x, down, text)| EmptyElement::at((x, low)) + Text::new(text, (0, down), style.clone()));
        chart.draw_series(drawn).map_err(undrawn)?;
        for (name, color, aside, estimates) in series {
            let known = estimates.iter().enumerate().filter_map(|(i, own)| Some((i as f64 + aside, (*own)?)));
            let lines = known.clone().map(|(x, own)| {
                let (low, high) = ends(&own);
                PathElement::new([(x, low), (x, high)], color.stroke_width(2))
            });
            chart.draw_series(lines).map_err(undrawn)?;
            chart
                .draw_series(known.map(|(x, own)| Circle::new((x, own.mean), 4, color.filled())))
                .map_err(undrawn)?
                .label(name)
                .legend(move |(x, y)| Circle::new((x + 9, y), 4, color.filled()));
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

//! The network's figures on every level, its calibration, and all there is in tables.

use maud::{Markup, html};
use nodal::metrics::{Bin, Interval, Proportion};
use nodal::plot::{COLORS, Chart, Mark, Point, Series};

use super::super::evaluate::pool::Pool;
use super::super::evaluate::report::{BINS, grid, heading, percent};
use super::super::grid::Grid;
use super::super::readers::report::{HEADER, cells, with};
use super::content::{Content, Judged};
use super::html::{figure, table};
use super::readers::{COUNTS, counts};

/// The paper's figures per image, node and patient.
pub fn levels(content: &Content) -> Option<Markup> {
    let judged =
        content.judged.as_ref().filter(|judged| judged.study.is_two() && judged.sections.len() > 1)?;
    let mut grid = Grid::new(["network", COUNTS].into_iter().chain(HEADER), 1);
    let mut drawn = Grid::new(["network", "drawn"].into_iter().chain(HEADER), 2);
    for section in &judged.sections {
        let Some(confusion) = section.confusion else { continue };
        let name = format!("per {}", section.level);
        grid.row([name.clone(), counts(&confusion)].into_iter().chain(cells(&section.metrics)));
        if let Some(by) = section.drawn {
            let metrics: Vec<_> = section
                .metrics
                .iter()
                .map(|own| nodal::metrics::Metric { interval: own.bootstrap, ..*own })
                .collect();
            drawn.row([name, format!("{by}s")].into_iter().chain(cells(&metrics)));
        }
    }
    let percent = percent(content.confidence);
    Some(html! {
        p { (pooled(judged)) }
        (table(&grid, &format!("Exact and DeLong's {percent} intervals, as if cases were independent")))
        @if let Some(bootstrap) = judged.study.bootstrap.filter(|_| !drawn.rows.is_empty()) {
            (table(&drawn, &format!("{percent} intervals by the bootstrap: {} draws of whole groups", bootstrap.resamples)))
            p.note { "These allow for images of one patient or node being alike, and are the ones to quote. Where every draw \
                gives 100 % the bootstrap has no width; the exact interval has." }
        }
    })
}

/// What nodes and patients have from their images, where there are such.
fn pooled(judged: &Judged) -> String {
    let known = |level| judged.sections.iter().any(|section| section.level == level);
    let of_node = match judged.study.pool {
        Pool::Max => "the largest of those of its images",
        Pool::Vote => "the share of its images that are called positive",
        Pool::Mean => "the mean of those of its images",
    };
    let node = known("node").then(|| format!("The probability of a node is {of_node}."));
    let (one, all) = if known("node") { ("a node", "nodes") } else { ("an image", "images") };
    let patient = known("patient").then(|| {
        format!(
            "A patient counts as positive where {one} is, and has the largest probability among the {all}."
        )
    });
    [node, patient].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Whether probabilities mean what they say.
///
/// # Errors
/// When the chart cannot be drawn.
pub fn calibration(content: &Content) -> anyhow::Result<Option<Markup>> {
    let Some(judged) = content.judged.as_ref().filter(|judged| judged.study.is_two()) else {
        return Ok(None);
    };
    let Some(scored) = &judged.images().scored else { return Ok(None) };
    let calibration = scored.calibration(BINS)?;
    let mut chart =
        Chart::square(480, "predicted probability, mean of a bin", "observed share of positive images");
    let share = |bin: &Bin| {
        Proportion::new((bin.observed * bin.count as f64).round() as u64, bin.count as u64)
            .exact(content.confidence)
    };
    let point = |bin: &Bin| Point {
        x: bin.mean_probability,
        y: bin.observed,
        interval: share(bin).map(|Interval { low, high }| (low, high)),
    };
    let points: Vec<Point> = calibration.bins.iter().map(point).collect();
    chart.series.push(Series {
        name: String::new(),
        color: COLORS[0],
        mark: Mark::Line,
        points: points.iter().map(|own| (own.x, own.y).into()).collect(),
    });
    chart.series.push(Series { name: String::new(), color: COLORS[0], mark: Mark::Circle, points });
    let mut grid = Grid::new(["probability", "images", "mean probability", "positive, share"], 1);
    for bin in &calibration.bins {
        let [low, high] = [bin.low, bin.high].map(|end| format!("{end:.1}"));
        let [count, mean] = [bin.count.to_string(), format!("{:.3}", bin.mean_probability)];
        grid.row([format!("{low} to {high}"), count, mean, with(3, bin.observed, share(bin))]);
    }
    let percent = percent(content.confidence);
    Ok(Some(html! {
        p {
            "Of images that get a probability of 0.8, eight in ten should be positive. Brier score: \
                " (format!("{:.4}", calibration.brier))
            " (0 at best; 0.25 for one who always says 0.5). Expected calibration error: " (format!("{:.4}", calibration.ece))
            ", the mean distance from the dashed line, weighted by images (n = " (scored.scores().len()) ")."
        }
        (figure(&chart, &format!(
            "Reliability: {BINS} bins of equal width, empty ones left out; bars are exact (Clopper-Pearson) {percent} \
                intervals of the share. Well calibrated is on the dashed line."
        ))?)
        (table(&grid, ""))
    }))
}

/// Every table that `evaluate` prints.
pub fn all(content: &Content) -> Option<Markup> {
    let judged = content.judged.as_ref()?;
    Some(html! {
        p.note { "As `nodal evaluate` prints them; shares from 0 to 1." }
        @for section in &judged.sections {
            (table(&grid(section, content.confidence), &heading(section)))
        }
    })
}

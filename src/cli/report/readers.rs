//! The network's ROC curve with the readers in it, and their figures side by side: the paper's figure 4 and its table 2.

use std::collections::BTreeSet;

use maud::{Markup, html};
use nodal::metrics::{Confusion, Metric, Scored};
use nodal::plot::{COLORS, Chart, Legend, MARKERS, Mark, Series};

use super::super::evaluate::report::percent;
use super::super::grid::Grid;
use super::super::readers::calls::Reading;
use super::super::readers::report::{HEADER, cells, metrics, pairs_grid};
use super::content::{Content, Judged, Readers};
use super::html::{count, figure, table};

const SIZE: u32 = 480;

/// What [`counts`] gives.
pub const COUNTS: &str = "n (+, −)";

/// How many cases there are of both classes.
pub fn counts(confusion: &Confusion) -> String {
    format!("{} ({} + {})", confusion.total(), confusion.positives(), confusion.negatives())
}

/// The network among the cases that are compared.
struct Network {
    scored: Scored,
    confusion: Confusion,
    metrics: Vec<Metric>,
}

/// Figure and tables of two classes.
///
/// # Errors
/// When a figure cannot be computed or drawn.
pub fn part(content: &Content) -> anyhow::Result<Option<Markup>> {
    let judged = content.judged.as_ref().filter(|judged| judged.study.is_two());
    let readers = content.readers.as_ref();
    if judged.is_none() && readers.is_none() {
        return Ok(None);
    }
    let network = judged.map(|judged| network(content, judged, readers)).transpose()?.flatten();
    let (compared, own) = match readers {
        // The network stands last among shared cases and is drawn by itself.
        Some(readers) => {
            let all = readers.compared();
            (&all[..all.len() - usize::from(!readers.shared.is_empty())], readers.shared.last())
        }
        None => (&[][..], None),
    };
    let chart = roc(network.as_ref(), judged, compared)?;
    let mut grid = Grid::new(["reader", COUNTS].into_iter().chain(HEADER), 1);
    if let (Some(network), None) = (&network, own) {
        grid.row(row("network", &network.confusion, &network.metrics));
    }
    for reading in compared.iter().chain(own) {
        grid.row(row(&reading.name(), &reading.confusion, &metrics(reading, content.confidence)?));
    }
    let percent = percent(content.confidence);
    // What a reader's case is, an image or a node, its file does not say.
    let unit = if readers.is_some() { "case" } else { "image" };
    let counted = match (readers, &network, own) {
        (None, ..) => "images",
        (Some(_), Some(_), None) => "cases of readers, and images of the network",
        (Some(_), ..) => "cases",
    };
    Ok(Some(html! {
        @if let Some(said) = said(readers) { p { (said) } }
        (figure(&chart, &shows(network.as_ref(), own.is_some(), compared))?)
        (table(&grid, &format!("Figures with {percent} intervals")))
        p.note {
            "n is " (counted) ", of them positive + negative. Intervals: exact (Clopper-Pearson) for shares, DeLong's for the AUC, as if " (unit) "s were \
                independent. The AUC of a reader, who says yes or no, is "
            "(sensitivity + specificity) / 2."
        }
        @if let Some(readers) = readers {
            h3 { "Agreement and differences" }
            @match pairs_grid(readers.compared(), &readers.pairs, content.confidence) {
                Ok(pairs) => {
                    (table(&pairs, ""))
                    p.note {
                        "Kappa: agreement beyond chance, 1 at its best (Cohen). AUC, difference: the first's less the second's, \
                            with DeLong's paired test. McNemar: whether one "
                        "of the two is right more often. P values are two-sided, as if cases were independent, and not \
                            corrected for the number of comparisons."
                    }
                }
                Err(why) => p.note { "None: " (why) "." },
            }
            @if readers.have_lost_cases() {
                h3 { "Readers on all cases that they read" }
                (table(&all(readers, content)?, ""))
            }
        }
    }))
}

impl Readers {
    /// Whether a reading has cases that the network has no predictions of.
    fn have_lost_cases(&self) -> bool {
        let left = |all: &Reading| {
            let own = |own: &&Reading| own.reader == all.reader && own.way == all.way;
            self.shared.iter().find(own).map_or(0, |own| own.cases.len())
        };
        !self.shared.is_empty() && self.all.iter().any(|all| left(all) < all.cases.len())
    }
}

/// The network on the cases that readers read, else on all.
fn network(content: &Content, judged: &Judged, readers: Option<&Readers>) -> nodal::Result<Option<Network>> {
    if let Some(own) = readers.and_then(|readers| readers.shared.last()) {
        let metrics = metrics(own, content.confidence)?;
        return Ok(Some(Network { scored: own.scored()?, confusion: own.confusion, metrics }));
    }
    let images = judged.images();
    let (Some(scored), Some(confusion)) = (&images.scored, images.confusion) else { return Ok(None) };
    Ok(Some(Network { scored: scored.clone(), confusion, metrics: images.metrics.clone() }))
}

fn row(name: &str, confusion: &Confusion, metrics: &[Metric]) -> Vec<String> {
    [name.to_string(), counts(confusion)].into_iter().chain(cells(metrics)).collect()
}

fn all(readers: &Readers, content: &Content) -> nodal::Result<Grid> {
    let mut grid = Grid::new(["reader", COUNTS].into_iter().chain(HEADER), 1);
    for reading in &readers.all {
        grid.row(row(&reading.name(), &reading.confusion, &metrics(reading, content.confidence)?));
    }
    Ok(grid)
}

/// Which cases are compared.
fn said(readers: Option<&Readers>) -> Option<String> {
    let readers = readers?;
    let read = readers.all.iter().flat_map(|reading| reading.cases.keys()).collect::<BTreeSet<_>>().len();
    Some(match readers.shared.last() {
        Some(own) => {
            let shared = count(own.cases.len(), "case");
            format!("Readers and network are compared on the {shared} that the network has predictions of; the readers read \
                {read}.")
        }
        None if readers.are_counts() => {
            "The readers' figures follow from counts, which name no cases: where a network stands beside them, it may have seen \
                other cases.".into()
        }
        None => format!("The readers read {}.", count(read, "case")),
    })
}

/// The ROC curve of the network, its operating point, and a marker for each reading.
fn roc(network: Option<&Network>, judged: Option<&Judged>, readings: &[Reading]) -> nodal::Result<Chart> {
    let mut chart =
        Chart { legend: Legend::Beside, ..Chart::square(SIZE, "1 − specificity", "sensitivity") };
    if let Some(Network { scored, confusion, metrics }) = network {
        let points: Vec<(f64, f64)> =
            scored.roc()?.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
        let auc = metrics.iter().find(|metric| metric.name == "auc").and_then(|metric| metric.value);
        let name = auc.map_or("network".into(), |auc| format!("network, AUC {auc:.3}"));
        chart.series.push(Series::new(name, COLORS[0], Mark::Line, points));
        let threshold = judged.and_then(|judged| judged.images().threshold).unwrap_or(0.5);
        let name = format!("network, positive from {threshold} on");
        chart.series.push(Series::new(name, COLORS[0], Mark::Circle, point(confusion)));
    }
    // A colour for each reader, a shape for each way of reading.
    let (mut readers, mut ways): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for reading in readings {
        let color = COLORS[1 + place(&mut readers, &reading.reader) % (COLORS.len() - 1)];
        let mark = MARKERS[(1 + place(&mut ways, &reading.way)) % MARKERS.len()];
        chart.series.push(Series::new(reading.name(), color, mark, point(&reading.confusion)));
    }
    Ok(chart)
}

/// Where calls lie among ROC curves, where they have both classes.
fn point(confusion: &Confusion) -> Option<(f64, f64)> {
    Some((1.0 - confusion.specificity().value()?, confusion.sensitivity().value()?))
}

/// The number of a name, which is added when it is new.
fn place<'a>(names: &mut Vec<&'a str>, name: &'a str) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

/// What the chart shows; with `shared` the network is judged on the readers' cases.
fn shows(network: Option<&Network>, shared: bool, readings: &[Reading]) -> String {
    let unit = if shared { "cases" } else { "images" };
    let curve = network.map(|network| {
        format!(
            "The line is the network at every threshold ({} {unit}: {} positive, {} negative), the circle the threshold it is \
                judged at. ",
            network.confusion.total(),
            network.confusion.positives(),
            network.confusion.negatives()
        )
    });
    let markers = if readings.is_empty() {
        ""
    } else {
        "Each marker is a reader, one colour a reader, one shape a way of reading. "
    };
    format!(
        "ROC: the share of positive {} that are found, over the share of negative ones called positive. {}{markers}Upper \
            left is best; on the dashed line one guesses.",
        if readings.is_empty() { unit } else { "cases" },
        curve.unwrap_or_default()
    )
}

//! More than two classes: who is taken for whom, and each class against the rest.

use maud::{Markup, html};
use nodal::metrics::MultiClass;
use nodal::plot::{COLORS, Chart, Legend, Mark, Series};

use super::super::evaluate::report::percent;
use super::super::grid::Grid;
use super::super::readers::report::{HEADER, cells};
use super::content::Content;
use super::html::{figure, table};

/// Confusion matrix, ROC curves and figures by class.
///
/// # Errors
/// When the chart cannot be drawn.
pub fn part(content: &Content) -> anyhow::Result<Option<Markup>> {
    let Some(judged) = content.judged.as_ref().filter(|judged| !judged.study.is_two()) else {
        return Ok(None);
    };
    let classes = &judged.study.data.classes;
    let mut chart =
        Chart { legend: Legend::Beside, ..Chart::square(480, "1 − specificity", "sensitivity") };
    let mut grid = Grid::new(["class", "n", "of it"].into_iter().chain(HEADER), 1);
    let of_images =
        judged.sections.iter().filter(|section| section.level == "image" && section.matrix.is_none());
    for (k, section) in of_images.enumerate() {
        let own = section.confusion.map_or(0, |confusion| confusion.positives());
        let [n, own] = [section.cases.to_string(), own.to_string()];
        grid.row([section.class.clone(), n, own].into_iter().chain(cells(&section.metrics)));
        // Without a case of the class, or with no other, there is no curve.
        let Some(roc) = section.scored.as_ref().and_then(|scored| scored.roc().ok()) else { continue };
        let auc = section.metrics.iter().find(|metric| metric.name == "auc").and_then(|metric| metric.value);
        let name = auc.map_or(section.class.clone(), |auc| format!("{}, AUC {auc:.3}", section.class));
        let points = roc.iter().map(|point| (point.false_positive_rate, point.true_positive_rate));
        chart.series.push(Series::new(name, COLORS[k % COLORS.len()], Mark::Line, points));
    }
    let percent = percent(content.confidence);
    Ok(Some(html! {
        @for section in &judged.sections { @if let Some(matrix) = &section.matrix {
            (table(&matrix_grid(matrix, classes), &format!("What {}s are, and what they are called", section.level)))
        } }
        (figure(&chart, &format!(
            "ROC of each class against the rest, {} images: the share of the class that is found, over the share of others \
                called so.", judged.images().cases
        ))?)
        (table(&grid, &format!("Each class against the rest, per image, with {percent} intervals")))
        p.note { "Intervals: exact (Clopper-Pearson) for shares, DeLong's for the AUC, as if images were independent." }
    }))
}

fn matrix_grid(matrix: &MultiClass, classes: &[String]) -> Grid {
    let header =
        ["truth".to_string()].into_iter().chain(classes.iter().map(|class| format!("called {class}")));
    let mut grid = Grid::new(header, 1);
    for (row, class) in classes.iter().enumerate() {
        let counts = (0..classes.len()).map(|column| matrix.table().at(row, column).to_string());
        grid.row([class.clone()].into_iter().chain(counts));
    }
    grid
}

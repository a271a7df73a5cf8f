//! How the network learned.

use maud::{Markup, html};
use nodal::plot::{Axis, COLORS, Chart, Color, Legend, Mark, Series};
use nodal::train::{Epoch, Figures};

use super::super::grid::Grid;
use super::content::Content;
use super::html::{count, figure, table};

const SIZE: (u32, u32) = (480, 340);

/// Loss, accuracy and AUC by epoch, and the best epoch's figures.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn part(content: &Content) -> anyhow::Result<Option<Markup>> {
    let Some(run) = &content.run else { return Ok(None) };
    let Some(best) = run.epochs.iter().rfind(|epoch| epoch.best) else { return Ok(None) };
    let hyper = &run.config.hyper;
    let mut grid = Grid::new(["epoch", "part", "mean loss", "accuracy, %", "AUC"], 2);
    let last = run.epochs.last().filter(|last| last.epoch != best.epoch);
    for (epoch, name) in [(Some(best), "best"), (last, "last")] {
        let Some(epoch) = epoch else { continue };
        for (figures, part) in [(epoch.training, "training"), (epoch.validation, "validation")] {
            let auc = figures.auc.map_or("-".into(), |auc| format!("{auc:.3}"));
            let [loss, accuracy] =
                [format!("{:.4}", figures.loss), format!("{:.1}", 100.0 * figures.accuracy)];
            grid.row([format!("{}, {name}", epoch.epoch), part.into(), loss, accuracy, auc]);
        }
    }
    let convolutions = run.config.network()?.convolutions().count();
    let frozen = match hyper.freeze {
        0 => format!("All {convolutions} convolutions learn"),
        n => format!("The first {n} of {convolutions} convolutions keep what they had learned before"),
    };
    Ok(Some(html! {
        p {
            "Inception-v3 saw the training images " (count(run.epochs.len(), "time")) " (epochs), " (hyper.batch) " at a step, \
                at a learning rate of " (hyper.lr)
            " (" (hyper.schedule) ") and a momentum of " (hyper.momentum) ". " (frozen) ". "
            @if let Some(weight) = hyper.aux_weight { "An auxiliary head learned along, whose loss counts " (weight) " times the \
                network's own; it predicts nothing. " }
            "Images are " (run.config.size.0) "×" (run.config.size.1)
            " pixels; augmentation: " (hyper.augment) "."
        }
        div.charts {
            (figure(&loss(&run.epochs), "Mean loss of an image by epoch: how far probabilities are from the truth, less being \
                better.")?)
            (figure(&shares(&run.epochs, best.epoch), &format!(
                "AUC and accuracy on the validation part by epoch; the dashed line is epoch {}, {}.", best.epoch,
                if content.judged_on_validation() { "whose weights are judged here" } else { "the best one" }
            ))?)
        }
        (table(&grid, ""))
        p.note { "Training figures are taken while the network learns, with augmentation; validation figures after the epoch, \
            on the images as they are." }
    }))
}

fn by_epoch(
    name: &str,
    color: Color,
    mark: Mark,
    epochs: &[Epoch],
    of: impl Fn(&Epoch) -> Option<f64>,
) -> Series {
    let points = epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, of(epoch)?)));
    Series::new(name, color, mark, points)
}

fn chart(epochs: &[Epoch], y: Axis, series: Vec<Series>, legend: Legend) -> Chart {
    Chart { title: String::new(), size: SIZE, x: Axis::counting("epoch", epochs.len()), y, series, legend }
}

fn loss(epochs: &[Epoch]) -> Chart {
    let series = vec![
        by_epoch("training", COLORS[0], Mark::Line, epochs, |epoch| Some(epoch.training.loss)),
        by_epoch("validation", COLORS[1], Mark::Line, epochs, |epoch| Some(epoch.validation.loss)),
    ];
    let highest = series.iter().flat_map(|own| &own.points).fold(1e-6, |most, point| point.y.max(most));
    chart(epochs, Axis::new("mean loss", (0.0, 1.05 * highest)), series, Legend::Above)
}

fn shares(epochs: &[Epoch], best: usize) -> Chart {
    let of = |name, color, value: fn(&Figures) -> Option<f64>| {
        by_epoch(name, color, Mark::Line, epochs, |epoch| value(&epoch.validation))
    };
    let series = vec![
        Series::new("", nodal::plot::GREY, Mark::Dashes, [(best as f64, 0.0), (best as f64, 1.0)]),
        of("AUC", COLORS[0], |figures| figures.auc),
        of("accuracy", COLORS[1], |figures| Some(figures.accuracy)),
    ];
    chart(epochs, Axis::new("AUC, accuracy", (0.0, 1.0)), series, Legend::Below)
}

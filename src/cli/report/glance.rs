//! What a reader in a hurry takes along.

use maud::{Markup, html};
use nodal::metrics::{Interval, Metric};

use super::super::evaluate::report::percent;
use super::content::{Content, Judged};
use super::html::count;
use super::seen::Seen;

/// The figures of the images in large, and what limits them.
pub fn part(content: &Content) -> Option<Markup> {
    let judged = content.judged.as_ref()?;
    let percent = percent(content.confidence);
    Some(html! {
        p { (said(judged)) }
        ul.big {
            @for (name, metric) in headline(judged) {
                li {
                    (name)
                    b { (value(metric)) }
                    span { (beside(metric, &percent)) }
                }
            }
        }
        @if let Some(warning) = content.seen.as_ref().and_then(Seen::warning) {
            p.notice { strong { "Seen in training: " } (warning) "." }
        }
        @if content.judged_on_validation() {
            p.note {
                "The images are the run's validation part, and the weights are those of the epoch that was best on these very \
                    images: the "
                "figures flatter a little. An unbiased figure needs images that were kept out of every choice."
            }
        }
        p.note {
            (format!("The {percent} interval is the range in which the true figure may lie, as if images were independent. "))
            "Images of one node or patient are not, so that the true range is wider"
            @if draws_groups(judged) { ": intervals that draw whole patients or nodes stand further down" }
            "."
        }
    })
}

/// One sentence on what was judged.
fn said(judged: &Judged) -> String {
    let (study, images) = (&judged.study, judged.images());
    let many = count(images.cases, "image");
    let right = match (&images.confusion, &images.matrix) {
        (Some(c), _) => c.true_positives + c.true_negatives,
        (None, Some(matrix)) => matrix.accuracy().hits(),
        (None, None) => 0,
    };
    let begin = format!("The network calls {right} of {many} right");
    match (&images.confusion, images.threshold) {
        (Some(c), Some(threshold)) => format!(
            "{begin}. An image is called {class} from a probability of {} on; so {} of the {} {class} images are found, and {} \
                of the {} others are called \
             {class} by mistake.",
            threshold,
            c.true_positives,
            c.positives(),
            c.false_positives,
            c.negatives(),
            class = images.class,
        ),
        _ => format!(
            "{begin}; it tells {} classes apart: {}.",
            study.data.classes.len(),
            study.data.classes.join(", ")
        ),
    }
}

/// Whether some interval is of draws of whole patients or nodes.
fn draws_groups(judged: &Judged) -> bool {
    judged.sections.iter().any(|section| {
        matches!(section.drawn, Some("patient" | "node"))
            && section.metrics.iter().any(|metric| metric.bootstrap.is_some())
    })
}

/// The figures that are shown large.
fn headline(judged: &Judged) -> Vec<(&'static str, &Metric)> {
    let wanted: &[(&str, &str)] = match judged.study.is_two() {
        true => &[
            ("sensitivity", "Sensitivity"),
            ("specificity", "Specificity"),
            ("auc", "AUC"),
            ("accuracy", "Accuracy"),
        ],
        false => &[
            ("accuracy", "Accuracy"),
            ("macro_auc", "AUC, mean of the classes"),
            ("macro_sensitivity", "Sensitivity, mean of the classes"),
            ("macro_f1", "F1, mean of the classes"),
        ],
    };
    let metrics = &judged.images().metrics;
    let found =
        wanted.iter().filter_map(|(key, name)| Some((*name, metrics.iter().find(|own| own.name == *key)?)));
    found.collect()
}

fn is_area(metric: &Metric) -> bool {
    metric.name.ends_with("auc") || metric.name.ends_with("f1")
}

fn value(metric: &Metric) -> String {
    match metric.value {
        None => "-".into(),
        Some(value) if is_area(metric) => format!("{value:.3}"),
        Some(value) => format!("{:.1} %", 100.0 * value),
    }
}

fn beside(metric: &Metric, percent: &str) -> String {
    let of = metric.share.map_or(String::new(), |share| format!("{} of {}; ", share.hits(), share.total()));
    let interval = metric.interval.map_or(String::new(), |Interval { low, high }| match is_area(metric) {
        true => format!("{percent} interval {low:.3} to {high:.3}"),
        false => format!("{percent} interval {:.1} to {:.1} %", 100.0 * low, 100.0 * high),
    });
    of + &interval
}

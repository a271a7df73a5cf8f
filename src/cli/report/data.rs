//! Whom and what the study is of: patients' features, and how images were parted.

use std::collections::BTreeMap;

use maud::{Markup, html};
use nodal::data::train::SplitBy;

use super::super::cohort::report;
use super::super::grid::Grid;
use super::content::{Content, Run};
use super::html::{count, table};
use super::seen::Seen;

/// The table of clinical features.
pub fn cohort(content: &Content) -> Option<Markup> {
    let (grid, notes) = report::grid(content.cohort.as_ref()?);
    Some(html! {
        p { "Features of the groups: mean ± standard deviation, or how many and the share of the group." }
        (table(&grid, ""))
        @for note in notes { p.note { (note) } }
        p.note {
            "P is how often a difference this large would appear by chance alone if the groups were alike; tests are two-sided \
                and not corrected for "
            "their number. t: Student's test, pooled and Welch's. χ²: Pearson's test, with Yates' correction where both have \
                two values; Fisher's is exact."
        }
    })
}

/// How many images, nodes and patients teach and validate.
pub fn split(content: &Content) -> Option<Markup> {
    let run = content.run.as_ref()?;
    let classes = &run.config.classes;
    let (nodes, patients) =
        (run.split.iter().any(|row| !row[2].is_empty()), run.split.iter().any(|row| !row[3].is_empty()));
    let mut header: Vec<String> = ["part".to_string()]
        .into_iter()
        .chain(classes.iter().map(|class| format!("images, {class}")))
        .collect();
    header.push("images".into());
    header.extend(nodes.then(|| "nodes".into()));
    header.extend(patients.then(|| "patients".into()));
    let mut grid = Grid::new(header, 1);
    for (part, name) in [("train", "training"), ("val", "validation")] {
        let mut by_class: BTreeMap<&str, usize> = BTreeMap::new();
        run.split
            .iter()
            .filter(|row| row[0] == part)
            .for_each(|row| *by_class.entry(&row[1]).or_default() += 1);
        let own = classes.iter().map(|class| by_class.get(class.as_str()).copied().unwrap_or(0));
        let mut cells = vec![name.to_string()];
        cells.extend(own.map(|own| own.to_string()));
        cells.push(by_class.values().sum::<usize>().to_string());
        cells.extend(nodes.then(|| run.groups(SplitBy::Node, part).len().to_string()));
        cells.extend(patients.then(|| run.groups(SplitBy::Patient, part).len().to_string()));
        grid.row(cells);
    }
    let how = match run.config.split.as_str() {
        "given" => "those of the data".to_string(),
        how => format!("drawn {how} (seed {})", run.config.hyper.seed),
    };
    Some(html! {
        p {
            @if content.judged_on_validation() {
                "The network learns from the training part and is judged on the validation part."
            } @else {
                "The run's network learned from the training part, and the validation part told which epoch is best. The figures of \
                    this page are of the predictions that were given, whatever they are of."
            }
            " The parts are " (how) "."
            @if let Some(Seen { training, validation, all }) = &content.seen {
                " By their names " (training) " of the " (all) " predicted images are in the training part and " (validation) " in \
                    the validation part."
            }
        }
        (table(&grid, ""))
        @if let Some(both) = both(run) { p.notice { strong { "On both sides: " } (both) } }
    })
}

/// What has images in both parts.
fn both(run: &Run) -> Option<String> {
    let shared = |by| run.groups(by, "train").intersection(&run.groups(by, "val")).count();
    let told = [(shared(SplitBy::Patient), "patient"), (shared(SplitBy::Node), "node")];
    let told: Vec<String> = told.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
    (!told.is_empty()).then(|| {
        format!("{} with images in training and in validation, which makes the network look better than it is on new \
            patients.", told.join(" and "))
    })
}

//! More than two classes: all together, then each against the rest.

use nodal::metrics::{MultiSummary, multi_summary};

use super::cases::Case;
use super::pool::{clusters, nodes};
use super::report::Section;
use super::study::Study;

/// The sections of the images and, where they are named, the nodes. A patient with nodes of several classes is of none.
pub fn sections(study: &Study) -> anyhow::Result<Vec<Section>> {
    let mut sections = of_level(study, "image", &study.data.cases)?;
    if study.data.cases.iter().any(|case| case.node.is_some()) {
        sections.extend(of_level(study, "node", &nodes(&study.data.cases, study.pool, 0, 0.5)?)?);
    }
    Ok(sections)
}

fn of_level(study: &Study, level: &'static str, cases: &[Case]) -> anyhow::Result<Vec<Section>> {
    let classes = &study.data.classes;
    let labels: Vec<usize> = cases.iter().filter_map(|case| case.label).collect();
    let scores: Vec<Vec<f64>> = cases.iter().map(|case| case.probabilities.clone()).collect();
    let (drawn, clusters) = clusters(cases, level);
    let draws = study.bootstrap.map(|bootstrap| (&clusters[..], bootstrap));
    let MultiSummary { matrix, together, each } =
        multi_summary(&scores, &labels, classes.len(), study.confidence, draws)?;
    let section = |class: &str, metrics| Section {
        level,
        class: class.into(),
        cases: cases.len(),
        threshold: None,
        drawn: study.bootstrap.map(|_| drawn),
        matrix: None,
        confusion: None,
        metrics,
        scored: None,
    };
    let all = Section { matrix: Some(matrix), ..section("all", together) };
    let each = classes.iter().zip(each).map(|(class, one)| Section {
        confusion: Some(one.confusion),
        scored: Some(one.scored),
        ..section(class, one.metrics)
    });
    Ok([all].into_iter().chain(each).collect())
}

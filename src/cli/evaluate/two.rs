//! Two classes: a section for the images, the nodes, the patients.

use nodal::metrics::{Cutoff, Scored, summary};

use super::cases::Case;
use super::pool::{Pool, clusters, nodes, patients};
use super::report::Section;
use super::study::Study;

/// The sections that the data have names for.
pub fn sections(study: &Study) -> anyhow::Result<Vec<Section>> {
    let images = &study.data.cases;
    let by_image = section(study, "image", images, study.cutoff)?;
    let by_node = nodes(images, study.pool, study.positive, by_image.threshold.unwrap_or(0.5))?;
    // The images' votes were cut already; half of them decide.
    let cutoff = if study.pool == Pool::Vote { Cutoff::Threshold(0.5) } else { study.cutoff };
    let mut sections = vec![by_image];
    if images.iter().any(|case| case.node.is_some()) {
        sections.push(section(study, "node", &by_node, cutoff)?);
    }
    if images.iter().any(|case| case.patient.is_some()) {
        let patients = patients(&by_node, study.positive);
        let ill = patients.iter().filter(|case| case.label == Some(study.positive)).count();
        // Where every patient is ill there is nothing to tell apart, and the images still are of two classes.
        let cutoff = if ill == 0 || ill == patients.len() { Cutoff::Threshold(0.5) } else { cutoff };
        sections.push(section(study, "patient", &patients, cutoff)?);
    }
    Ok(sections)
}

fn section(study: &Study, level: &'static str, cases: &[Case], cutoff: Cutoff) -> anyhow::Result<Section> {
    let scores: Vec<f64> = cases.iter().map(|case| case.probabilities[study.positive]).collect();
    let labels: Vec<bool> = cases.iter().map(|case| case.label == Some(study.positive)).collect();
    let scored = Scored::new(&scores, &labels)?;
    let threshold = cutoff.choose(&scored)?;
    let (drawn, clusters) = clusters(cases, level);
    let draws = study.bootstrap.map(|bootstrap| (&clusters[..], bootstrap));
    let metrics = summary(&scored, threshold, study.confidence, draws)?;
    Ok(Section {
        level,
        class: study.data.classes[study.positive].clone(),
        cases: cases.len(),
        threshold: Some(threshold),
        drawn: study.bootstrap.map(|_| drawn),
        matrix: None,
        confusion: Some(scored.confusion(threshold)),
        metrics,
        scored: Some(scored),
    })
}

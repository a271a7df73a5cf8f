//! More than two classes: all together, then each against the rest.

use nodal::metrics::{Confusion, Metric, MultiClass, Scored, one_vs_rest_auc};

use super::cases::Case;
use super::pool::{call, nodes};
use super::report::Section;
use super::study::Study;

/// The sections of the images and, where they are named, the nodes.
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
    let calls: Vec<usize> = cases.iter().map(|case| call(&case.probabilities, 0, 0.5)).collect();
    let all = MultiClass::count(&labels, &calls, classes.len())?;
    let section = |class: String, matrix, confusion, metrics, scored| Section {
        level,
        class,
        cases: cases.len(),
        threshold: None,
        drawn: None,
        matrix,
        confusion,
        metrics,
        scored,
    };
    let mut sections =
        vec![section("all".into(), Some(all.clone()), None, together(study, cases, &labels, &all), None)];
    for (k, class) in classes.iter().enumerate() {
        let own: Vec<f64> = cases.iter().map(|case| case.probabilities[k]).collect();
        let scored = Scored::new(&own, &labels.iter().map(|&label| label == k).collect::<Vec<_>>())?;
        let one = all.one_vs_rest(k);
        let mut metrics = one.metrics(study.confidence);
        metrics.push(Metric::auc(&scored, study.confidence));
        metrics.push(Metric::plain("average_precision", scored.average_precision().ok()));
        sections.push(section(class.clone(), None, Some(one), metrics, Some(scored)));
    }
    Ok(sections)
}

/// The accuracy, and the plain means over the classes.
fn together(study: &Study, cases: &[Case], labels: &[usize], all: &MultiClass) -> Vec<Metric> {
    let classes = study.data.classes.len();
    let scores: Vec<Vec<f64>> = cases.iter().map(|case| case.probabilities.clone()).collect();
    // Without a case of some class there is no macro AUC.
    let aucs = one_vs_rest_auc(&scores, labels, classes).ok();
    let macro_auc = aucs.map(|aucs| aucs.iter().map(|auc| auc.value).sum::<f64>() / classes as f64);
    vec![
        Metric::share("accuracy", all.accuracy(), study.confidence),
        Metric::plain("macro_sensitivity", all.macro_mean(|one| one.sensitivity().value())),
        Metric::plain("macro_specificity", all.macro_mean(|one| one.specificity().value())),
        Metric::plain("macro_ppv", all.macro_mean(|one| one.ppv().value())),
        Metric::plain("macro_f1", all.macro_mean(Confusion::f1)),
        Metric::plain("macro_auc", macro_auc),
    ]
}

//! More than two classes: all together, then each against the rest.

use nodal::metrics::{Confusion, Metric, MultiClass, Scored, one_vs_rest_auc};

use super::Study;
use super::cases::Case;
use super::pool::{call, nodes};
use super::report::Section;

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
    let scores: Vec<Vec<f64>> = cases.iter().map(|case| case.probabilities.clone()).collect();
    let all = MultiClass::count(&labels, &calls, classes.len())?;
    // Without a case of some class there is no macro AUC.
    let aucs = one_vs_rest_auc(&scores, &labels, classes.len()).ok();
    let plain =
        |name, value| Metric { name, value, share: None, interval: None, wilson: None, bootstrap: None };
    let section = |class: String, confusion, metrics, scored| Section {
        level,
        class,
        cases: cases.len(),
        threshold: None,
        drawn: None,
        confusion,
        metrics,
        scored,
    };
    let accuracy = all.accuracy();
    let together = vec![
        Metric {
            share: Some(accuracy),
            interval: accuracy.exact(study.confidence),
            wilson: accuracy.wilson(study.confidence),
            ..plain("accuracy", accuracy.value())
        },
        plain("macro_sensitivity", all.macro_mean(|one| one.sensitivity().value())),
        plain("macro_specificity", all.macro_mean(|one| one.specificity().value())),
        plain("macro_ppv", all.macro_mean(|one| one.ppv().value())),
        plain("macro_f1", all.macro_mean(Confusion::f1)),
        plain(
            "macro_auc",
            aucs.map(|aucs| aucs.iter().map(|auc| auc.value).sum::<f64>() / classes.len() as f64),
        ),
    ];
    let mut sections = vec![section("all".into(), None, together, None)];
    for (k, class) in classes.iter().enumerate() {
        let own: Vec<f64> = scores.iter().map(|row| row[k]).collect();
        let scored = Scored::new(&own, &labels.iter().map(|&label| label == k).collect::<Vec<_>>())?;
        let one = all.one_vs_rest(k);
        let mut metrics = one.metrics(study.confidence);
        let auc = scored.auc().ok();
        let interval = auc.and_then(|auc| auc.interval(study.confidence));
        metrics.push(Metric { interval, ..plain("auc", auc.map(|auc| auc.value)) });
        metrics.push(plain("average_precision", scored.average_precision().ok()));
        sections.push(section(class.clone(), Some(one), metrics, Some(scored)));
    }
    Ok(sections)
}

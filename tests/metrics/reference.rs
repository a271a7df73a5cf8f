//! Figures of `reference.json`, which `reference.py` made, to 1e-9.

use nodal::metrics::*;
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|value| value.as_f64().unwrap()).collect()
}

fn integer(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[track_caller]
fn same(got: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    let bound = TOLERANCE * expected.abs().max(1.0);
    assert!((got - expected).abs() <= bound, "{what}: expected {expected:e}, got {got:e}");
}

/// P values agree in their digits, however small they are.
#[track_caller]
fn same_p(got: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((got - expected).abs() <= TOLERANCE * expected, "{what}: expected P = {expected:e}, got {got:e}");
}

#[track_caller]
fn same_interval(got: Interval, expected: &Value, what: &str) {
    same(got.low, &expected[0], what);
    same(got.high, &expected[1], what);
}

#[track_caller]
fn same_test(got: Test, expected: &Value, what: &str) {
    same(got.statistic, &expected[0], what);
    same_p(got.p, &expected[1], what);
}

fn labels(case: &Value) -> Vec<bool> {
    list(&case["labels"]).iter().map(|label| label.as_bool().unwrap()).collect()
}

fn scored(case: &Value, which: &str) -> Scored {
    Scored::new(&numbers(&case[which]), &labels(case)).unwrap()
}

fn contingency(table: &Value) -> Contingency {
    let rows = list(table);
    let counts: Vec<u64> = rows.iter().flat_map(|row| list(row).iter().map(integer)).collect();
    Contingency::new(rows.len(), list(&rows[0]).len(), &counts).unwrap()
}

#[test]
fn intervals_of_proportions() {
    for case in list(&reference()["proportions"]) {
        let share = Proportion::new(integer(&case["hits"]), integer(&case["total"]));
        let confidence = Confidence::new(case["level"].as_f64().unwrap()).unwrap();
        same_interval(share.exact(confidence).unwrap(), &case["exact"], &format!("exact {share:?}"));
        same_interval(share.wilson(confidence).unwrap(), &case["wilson"], &format!("Wilson {share:?}"));
    }
}

#[test]
fn curves_cutoffs_and_calibration() {
    for case in list(&reference()["scored"]) {
        let scored = scored(case, "first");
        let roc = scored.roc().unwrap();
        assert_eq!(roc.len(), list(&case["fpr"]).len());
        for (k, point) in roc.iter().enumerate() {
            same(point.false_positive_rate, &case["fpr"][k], "false positive rate");
            same(point.true_positive_rate, &case["tpr"][k], "true positive rate");
            if k > 0 {
                same(point.threshold, &case["thresholds"][k - 1], "threshold");
            }
        }
        let curve = scored.precision_recall().unwrap();
        assert_eq!(curve.len(), list(&case["precision"]).len());
        for (k, point) in curve.iter().enumerate() {
            same(point.precision, &case["precision"][k], "precision");
            same(point.recall, &case["recall"][k], "recall");
        }
        same(scored.average_precision().unwrap(), &case["average_precision"], "average precision");
        same(Cutoff::Youden.choose(&scored).unwrap(), &case["youden"], "Youden's threshold");
        let calibration = scored.calibration(10).unwrap();
        same(calibration.brier, &case["brier"], "Brier");
        same(calibration.ece, &case["ece"], "ECE");
    }
}

#[test]
fn areas_and_their_comparison() {
    let reference = reference();
    let cases = list(&reference["scored"]);
    for (k, case) in cases.iter().enumerate() {
        let (first, second) = (scored(case, "first"), scored(case, "second"));
        for (which, scored) in [&first, &second].into_iter().enumerate() {
            let auc = scored.auc().unwrap();
            same(auc.value, &case["auc"][which], "AUC");
            same(auc.variance.unwrap(), &case["variance"][which], "variance");
        }
        same_interval(first.auc().unwrap().interval(Confidence::P95).unwrap(), &case["interval"], "AUC");
        let paired = compare_paired(&first, &second).unwrap();
        same(paired.test.statistic, &case["paired"]["z"], "paired z");
        same_p(paired.test.p, &case["paired"]["p"], "paired P");
        if k > 0 {
            let unpaired = compare_unpaired(&first, &scored(&cases[k - 1], "first")).unwrap();
            same(unpaired.test.statistic, &case["unpaired"]["z"], "unpaired z");
            same_p(unpaired.test.p, &case["unpaired"]["p"], "unpaired P");
        }
    }
}

#[test]
fn metrics_of_calls() {
    for case in list(&reference()["scored"]) {
        let metrics = scored(case, "first").confusion(0.5).metrics(Confidence::P95);
        for (name, expected) in case["metrics"].as_object().unwrap() {
            let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
            // scikit-learn writes 0 where nothing is defined.
            same(metric.value.unwrap_or(0.0), expected, name);
        }
    }
}

#[test]
fn bootstrap_by_cluster() {
    let case = &reference()["bootstrap"];
    let clusters: Vec<usize> = list(&case["clusters"]).iter().map(|c| integer(c) as usize).collect();
    let options = Bootstrap {
        resamples: integer(&case["resamples"]) as usize,
        seed: integer(&case["seed"]),
        confidence: Confidence::P95,
    };
    let metrics = summary(&scored(case, "first"), 0.5, Confidence::P95, Some((&clusters, options))).unwrap();
    for name in ["sensitivity", "auc"] {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        same_interval(metric.bootstrap.unwrap(), &case[name], name);
    }
}

#[test]
fn mcnemar() {
    for case in list(&reference()["mcnemar"]) {
        let test = McNemar::new(integer(&case["b"]), integer(&case["c"]));
        same_p(test.exact_p, &case["exact"], "exact P");
        same_test(test.chi_square, &case["chi_square"], "chi-square");
        same_test(test.corrected, &case["corrected"], "corrected");
    }
}

#[test]
fn kappa() {
    for case in list(&reference()["kappa"]) {
        let weighting = match case["weighting"].as_str().unwrap() {
            "linear" => Weighting::Linear,
            "quadratic" => Weighting::Quadratic,
            _ => Weighting::None,
        };
        let kappa = contingency(&case["table"]).kappa(weighting).unwrap();
        same(kappa.value, &case["value"], "kappa");
        same(kappa.standard_error, &case["se"], "standard error");
        same_interval(kappa.interval(Confidence::P95), &case["interval"], "interval");
    }
}

#[test]
fn t_tests() {
    let reference = reference();
    for case in list(&reference["t"]) {
        let [first, second] = ["first", "second"].map(|which| Moments::of(&numbers(&case[which])).unwrap());
        let tests = [first.t_test_pooled(&second).unwrap(), first.t_test_welch(&second).unwrap()];
        for (test, expected) in tests.iter().zip([&case["pooled"], &case["welch"]]) {
            same(test.test.statistic, &expected["t"], "t");
            same_p(test.test.p, &expected["p"], "P");
            same(test.freedom, &expected["freedom"], "degrees of freedom");
            same_interval(test.interval(Confidence::P95), &expected["interval"], "interval");
        }
    }
    for case in list(&reference["t_paired"]) {
        let [first, second] = ["first", "second"].map(|which| numbers(&case[which]));
        let paired = TTest::paired(&first.into_iter().zip(second).collect::<Vec<_>>()).unwrap();
        same(paired.test.statistic, &case["t"], "paired t");
        same_p(paired.test.p, &case["p"], "paired P");
        same(paired.freedom, &case["freedom"], "paired degrees of freedom");
        same_interval(paired.interval(Confidence::P95), &case["interval"], "paired interval");
    }
    let age =
        [Moments::from_moments(83, 56.4, 11.3).unwrap(), Moments::from_moments(46, 60.4, 9.24).unwrap()];
    let expected = &reference["t_published"];
    same(age[0].t_test_pooled(&age[1]).unwrap().test.p, &expected["pooled"], "published age, pooled");
    same(age[0].t_test_welch(&age[1]).unwrap().test.p, &expected["welch"], "published age, Welch");
}

#[test]
fn tables() {
    for case in list(&reference()["tables"]) {
        let table = contingency(&case["table"]);
        let plain = table.chi_square().unwrap();
        same_test(plain.test, &case["chi_square"], "chi-square");
        same(plain.least_expected, &case["least"], "least expected");
        assert_eq!(plain.freedom as u64, integer(&case["freedom"]));
        same_p(table.fisher().unwrap(), &case["fisher"], "Fisher");
        if case["yates"].is_array() {
            same_test(table.chi_square_yates().unwrap().test, &case["yates"], "Yates");
        }
    }
}

#[test]
fn several_classes() {
    let case = &reference()["multi_class"];
    let classes = |which: &str| -> Vec<usize> {
        list(&case[which]).iter().map(|class| integer(class) as usize).collect()
    };
    let all = MultiClass::count(&classes("labels"), &classes("calls"), 3).unwrap();
    same(all.accuracy().value().unwrap(), &case["accuracy"], "accuracy");
    same(all.macro_mean(Confusion::f1).unwrap(), &case["f1"], "macro F1");
    same(all.macro_mean(|c| c.sensitivity().value()).unwrap(), &case["sensitivity"], "macro sensitivity");
    same(all.macro_mean(|c| c.ppv().value()).unwrap(), &case["ppv"], "macro PPV");
    let scores: Vec<Vec<f64>> = list(&case["scores"]).iter().map(numbers).collect();
    let aucs = one_vs_rest_auc(&scores, &classes("labels"), 3).unwrap();
    same(aucs.iter().map(|auc| auc.value).sum::<f64>() / 3.0, &case["auc"], "macro AUC");
    let whole = multi_summary(&scores, &classes("labels"), 3, Confidence::P95, None).unwrap();
    let macro_auc = whole.together.iter().find(|metric| metric.name == "macro_auc").unwrap();
    same(macro_auc.value.unwrap(), &case["auc"], "macro AUC of the summary");
}

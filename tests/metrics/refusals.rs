//! What the data do not define is `None`, what they cannot answer a sentence.

use nodal::metrics::*;

#[track_caller]
fn refused<T: std::fmt::Debug>(result: nodal::Result<T>, says: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, nodal::Error::Argument(_)), "{error:?}");
    assert!(error.to_string().contains(says), "expected `{says}` in: {error}");
}

#[test]
fn undefined_figures_are_none() {
    let one = Scored::new(&[0.1, 0.7], &[false, false]).unwrap();
    for metric in summary(&one, 0.5, Confidence::P95, None).unwrap() {
        let undefined = ["sensitivity", "balanced_accuracy", "youden", "mcc", "auc", "average_precision"]
            .contains(&metric.name);
        assert_eq!(metric.value.is_none(), undefined, "{metric:?}");
        assert!(metric.value.is_some() || metric.interval.is_none() && metric.wilson.is_none(), "{metric:?}");
    }
    assert_eq!(Proportion::new(0, 0).exact(Confidence::P95), None);
    assert_eq!(Confusion::default().f1(), None);
    assert_eq!(McNemar::new(0, 0).exact_p, 1.0);
    let apart = Scored::new(&[0.1, 0.2, 0.7, 0.8], &[false, false, true, true]).unwrap();
    assert_eq!(apart.auc().unwrap(), Auc { value: 1.0, variance: Some(0.0) });
    assert_eq!(compare_paired(&apart, &apart).unwrap().test, Test { statistic: 0.0, p: 1.0 });
}

#[test]
fn questions_without_an_answer_are_refused() {
    let one = Scored::new(&[0.1, 0.7], &[true, true]).unwrap();
    refused(one.roc(), "none of the 2 cases is negative");
    refused(one.auc(), "an AUC needs both classes");
    refused(Cutoff::Youden.choose(&one), "needs both classes");
    refused(Cutoff::Threshold(f64::NAN).choose(&one), "not NaN");
    refused(Scored::new(&[0.1], &[]), "1 scores and 0 labels");
    refused(Scored::new(&[0.1, f64::NAN], &[true, false]), "score 2 is NaN");
    refused(Scored::new(&[1.5], &[true]).unwrap().calibration(10), "not 1.5");
    refused(one.calibration(0), "at least one bin");
    let (up, down) = ([0.1, 0.2, 0.7, 0.8], [0.8, 0.7, 0.2, 0.1]);
    let scored = |scores: &[f64]| Scored::new(scores, &[false, false, true, true]).unwrap();
    refused(compare_paired(&scored(&up), &scored(&down)), "have no variance");
    refused(compare_paired(&scored(&up), &one), "the same cases");
    let small = Scored::new(&[0.1, 0.7], &[true, false]).unwrap();
    refused(compare_unpaired(&small, &scored(&up)), "at least two cases");
    refused(Confidence::new(1.0), "between 0 and 1");
    refused(Confidence::new(f64::NAN), "between 0 and 1");
    refused(Confusion::count(&[true], &[]), "1 labels and 0 calls");
    refused("youden=1".parse::<Cutoff>(), "a cut-off is");
    refused("sensitivity=1.5".parse::<Cutoff>(), "a cut-off is");
    let options = Bootstrap { resamples: 0, seed: 1, confidence: Confidence::P95 };
    refused(bootstrap(&[0], options, |_| [None]), "at least one");
    refused(bootstrap(&[3], Bootstrap { resamples: 1, ..options }, |_| [None]), "below the number");
}

#[test]
fn tables_without_a_test_are_refused() {
    let table = |rows, columns, counts: &[u64]| Contingency::new(rows, columns, counts).unwrap();
    refused(Contingency::new(2, 2, &[1]), "2×2");
    refused(Contingency::new(1, 1, &[0]), "all cells are 0");
    refused(table(2, 2, &[1, 0, 3, 0]).chi_square(), "column 2 is empty");
    refused(table(2, 2, &[0, 0, 3, 1]).fisher(), "row 1 is empty");
    refused(table(1, 2, &[1, 2]).chi_square(), "at least two rows");
    refused(table(3, 2, &[1; 6]).chi_square_yates(), "not 3×2");
    refused(table(2, 2, &[0, 0, 0, 9]).kappa(Weighting::None), "the same class");
    refused(table(2, 3, &[1; 6]).kappa(Weighting::None), "square");
    refused(table(6, 6, &[50; 36]).fisher(), "too large");
    refused(table(2, 2, &[1_000_000; 4]).fisher(), "too large");
    refused(McNemar::of_calls(&[true], &[]), "the same cases twice");
    refused(Moments::of(&[1.0]), "at least two values");
    refused(Moments::of(&[1.0, f64::INFINITY]), "at least two values");
    let flat = Moments::of(&[1.0, 1.0]).unwrap();
    refused(flat.t_test_pooled(&flat), "values that vary");
    refused(flat.t_test_welch(&flat), "values that vary");
    refused(MultiClass::count(&[0, 3], &[0, 1], 3), "class 3");
    refused(one_vs_rest_auc(&[vec![0.1]], &[0], 2), "each of 2 classes");
}

//! The paper's tables from its own counts (`tests/data/paper/`), by the binary.

use serde_json::Value;

use crate::folder::Folder;

fn of(command: &str, file: &str) -> Value {
    let path = format!("{}/tests/data/paper/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&Folder::with(&[]).ok(&[command, "--json", &path])).unwrap()
}

#[test]
fn the_readers_are_within_three_tenths_of_a_point() {
    let names = ["ppv", "npv", "sensitivity", "specificity", "auc", "accuracy"];
    let printed = [
        ("R2", "without SA", [64.7, 61.6, 54.7, 70.9, 62.6, 62.7]),
        ("R2", "with SA", [62.7, 66.1, 68.2, 60.4, 64.3, 64.3]),
        ("R3", "without SA", [65.5, 68.5, 69.8, 64.1, 67.1, 67.1]),
        ("R3", "with SA", [64.6, 69.4, 72.3, 61.3, 67.0, 66.9]),
    ];
    let table = of("readers", "readers.csv");
    let readings = table["readings"].as_array().unwrap();
    assert_eq!(readings.len(), printed.len());
    for (reading, (reader, way, figures)) in readings.iter().zip(printed) {
        assert_eq!((&reading["reader"], &reading["reading"]), (&reader.into(), &way.into()));
        assert_eq!((&reading["positives"], &reading["negatives"]), (&319.into(), &325.into()));
        for (name, figure) in names.iter().zip(figures) {
            let got = 100.0 * reading["metrics"][name]["value"].as_f64().unwrap();
            assert!((got - figure).abs() <= 0.3, "{reader} {way} {name}: printed {figure}, got {got}");
        }
    }
    assert_eq!(table["pairs"], Value::Array(Vec::new()), "counts name no cases");
}

#[test]
fn the_cohort_has_the_printed_p_values() {
    let table = of("cohort", "cohort.csv");
    assert_eq!(table["groups"], serde_json::json!(["LN-", "LN+"]));
    let rounded = |feature: usize, test: &str| {
        (table["features"][feature][test]["p"].as_f64().unwrap() * 1000.0).round() / 1000.0
    };
    assert_eq!(rounded(0, "t_pooled"), 0.042);
    assert_eq!(rounded(0, "t_welch"), 0.032);
    assert_eq!(rounded(1, "chi_square_yates"), 0.421);
    assert_eq!(rounded(2, "chi_square"), 0.005);
    assert_eq!(table["features"][2]["chi_square_yates"], Value::Null, "Yates' correction is for 2×2");
    assert_eq!(table["features"][2]["counts"]["T3"], serde_json::json!([61, 44]));
}

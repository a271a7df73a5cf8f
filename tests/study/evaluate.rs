//! `nodal evaluate` as a user drives it.

use std::fmt::Write;

use serde_json::Value;

use crate::folder::Folder;

/// Twelve images of four nodes of two patients.
const IMAGES: &str = "image,class,negative,positive,error,label,node,patient
a1,negative,0.9,0.1,,negative,1,A
a2,negative,0.8,0.2,,negative,1,A
a3,positive,0.3,0.7,,negative,1,A
a4,negative,0.6,0.4,,negative,2,A
b1,positive,0.1,0.9,,positive,1,B
b2,positive,0.2,0.8,,positive,1,B
b3,negative,0.7,0.3,,positive,1,B
b4,negative,0.6,0.4,,positive,2,B
";

fn json(folder: &Folder, arguments: &[&str]) -> Value {
    serde_json::from_str(&folder.ok(&[&["evaluate", "--json"], arguments].concat())).unwrap()
}

#[test]
fn images_nodes_and_patients() {
    let folder = Folder::with(&[("p.csv", IMAGES)]);
    let all = json(&folder, &["p.csv"]);
    let value =
        |level: &str, metric: &str| all["levels"][level]["metrics"][metric]["value"].as_f64().unwrap();
    assert_eq!(value("image", "sensitivity"), 0.5);
    assert_eq!(value("image", "specificity"), 0.75);
    // Of 16 pairs 12 are in order and one ties.
    assert_eq!(value("image", "auc"), 12.5 / 16.0);
    assert_eq!((&all["pool"], &all["bootstrap"]["seed"]), (&"mean".into(), &1.into()));
    assert_eq!(all["levels"]["node"]["cases"], 4);
    assert_eq!(value("node", "sensitivity"), 0.5);
    assert_eq!(value("node", "auc"), 0.875);
    assert_eq!(all["levels"]["patient"]["cases"], 2);
    assert_eq!(value("patient", "accuracy"), 1.0);
    assert_eq!(all["levels"]["image"]["bootstrap_by"], "patient");
    let image = &all["levels"]["image"];
    for interval in [&image["metrics"]["sensitivity"]["interval"], &image["metrics"]["sensitivity"]["wilson"]]
    {
        assert!(interval[0].as_f64().unwrap() < 0.5 && 0.5 < interval[1].as_f64().unwrap());
    }
    assert_eq!(image["roc"][0]["fpr"], 0.0);
    assert_eq!(image["confusion"]["true_positives"], 2);
    let maximum = json(&folder, &["p.csv", "--pool", "max"]);
    assert_eq!(maximum["levels"]["node"]["metrics"]["specificity"]["value"], 0.5);
    let vote = json(&folder, &["p.csv", "--pool", "vote"]);
    assert_eq!(vote["levels"]["node"]["metrics"]["specificity"]["value"], 1.0);
}

#[test]
fn thresholds_and_seeds() {
    let folder = Folder::with(&[("p.csv", IMAGES)]);
    let at = |how: &[&str]| json(&folder, &[&["p.csv"], how].concat())["levels"]["image"].clone();
    assert_eq!(at(&["--threshold", "0.3"])["metrics"]["sensitivity"]["value"], 1.0);
    assert_eq!(at(&["--cutoff", "sensitivity=1"])["threshold"], 0.3);
    assert_eq!(at(&["--cutoff", "specificity=1"])["threshold"], 0.8);
    assert_eq!(at(&["--cutoff", "youden"])["threshold"], 0.8);
    assert_eq!(at(&["--seed", "4"]), at(&["--seed", "4"]));
    assert!(at(&["--bootstrap", "0"])["metrics"]["auc"]["bootstrap"].is_null());
    assert_eq!(at(&["--positive", "negative"])["metrics"]["sensitivity"]["value"], 0.75);
    let csv = folder.ok(&["evaluate", "--csv", "p.csv"]);
    assert!(
        csv.starts_with("level,positive,metric,value") && csv.contains("patient,positive,mcc,1"),
        "{csv}"
    );
    let table = folder.ok(&["evaluate", "p.csv"]);
    assert!(table.contains("bootstrap by patient") && table.contains("TP 2, FN 2, TN 3, FP 1"), "{table}");
    assert!(!table.contains("NaN"), "{table}");
}

#[test]
fn one_column_and_several_classes() {
    let three = "label,a,b,c,node\na,0.7,0.2,0.1,1\nb,0.1,0.8,0.1,2\nc,0.2,0.2,0.6,3\nc,0.5,0.3,0.2,3\n";
    let folder = Folder::with(&[
        ("one.csv", "label,probability\n0,0.2\n1,0.9\n1,0.4\n"),
        ("named.csv", "label,probability\nbenign,0.2\ntumour,0.9\n"),
        ("three.csv", three),
    ]);
    assert_eq!(json(&folder, &["one.csv"])["levels"]["image"]["metrics"]["auc"]["value"], 1.0);
    folder.refused(&["evaluate", "named.csv"], "name the one that `probability` is of with --positive");
    let named = json(&folder, &["named.csv", "--positive", "tumour"]);
    assert_eq!(named["levels"]["image"]["metrics"]["accuracy"]["value"], 1.0);
    let all = json(&folder, &["three.csv"]);
    assert_eq!(all["levels"]["image"][0]["metrics"]["accuracy"]["value"], 0.75);
    assert_eq!(all["levels"]["image"][3]["metrics"]["sensitivity"]["value"], 0.5);
    assert_eq!(all["levels"]["node"][0]["cases"], 3);
    folder.refused(&["evaluate", "three.csv", "--cutoff", "youden"], "are for two classes");
    folder.refused(&["evaluate", "three.csv", "--threshold", "0.9"], "--threshold is for two classes");
    let drawn = json(&folder, &["three.csv", "--bootstrap", "200", "--seed", "4"]);
    let image = &drawn["levels"]["image"][0];
    assert_eq!(image["bootstrap_by"], "node");
    let interval = &image["metrics"]["accuracy"]["bootstrap"];
    assert!(interval[0].as_f64().unwrap() < 0.75 && interval[1] == 1.0, "{interval}");
    let none = json(&folder, &["three.csv", "--bootstrap", "0"]);
    assert!(none["levels"]["image"][0]["metrics"]["accuracy"]["bootstrap"].is_null(), "{none}");
}

#[test]
fn a_folder_through_a_network_and_its_predictions_give_the_same() {
    let folder = Folder::with(&[]);
    let crops = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/crops/val");
    let init =
        ["init", "--seed", "5", "--size", "75", "--class-names", "grass,gravel", "-o", "w.safetensors"];
    folder.ok(&init);
    let weights = ["--weights", "w.safetensors", "--device", "cpu", "--batch", "8"];
    let direct = json(&folder, &[&weights[..], &[crops]].concat());
    let mut table = folder.ok(&[&["predict", "--csv"], &weights[..], &[crops]].concat());
    // What predict writes, with a column more.
    table = table.lines().enumerate().fold(String::new(), |mut text, (k, line)| {
        let label = if k == 0 {
            "label"
        } else if line.contains("/grass/") {
            "grass"
        } else {
            "gravel"
        };
        writeln!(text, "{line},{label}").unwrap();
        text
    });
    folder.write("p.csv", &table);
    assert_eq!(json(&folder, &["p.csv"]), direct);
    assert_eq!(direct["levels"]["image"]["cases"], 80);
    folder.refused(&["evaluate", crops], "name the weights");
    let above = crops.trim_end_matches("/val");
    folder.refused(&["evaluate", "--weights", "w.safetensors", above], "is split into train and val");
    folder.ok(&["init", "--seed", "5", "--size", "75", "-o", "other.safetensors"]);
    folder.refused(
        &["evaluate", "--weights", "other.safetensors", crops],
        "`grass` is none of the classes negative",
    );
    folder.refused(
        &["evaluate", "--weights", "w.safetensors", &format!("{crops}/grass")],
        "lies in no sub-folder",
    );
    let twice =
        format!("image,label\n{crops}/grass/grass-000.jpg,grass\n{crops}/grass/grass-000.jpg,grass\n");
    folder.write("twice.csv", &twice);
    folder.refused(&["evaluate", "--weights", "w.safetensors", "twice.csv"], "stands there twice");
}

#[test]
fn bad_input_gives_one_sentence() {
    let folder = Folder::with(&[
        ("p.csv", IMAGES),
        ("alone.csv", "label,probability\npositive,0.2\npositive,0.4\n"),
        ("unknown.csv", "label,a,b\na,0.5,0.5\nc,0.5,0.5\n"),
        ("unlabelled.csv", "image,a,b\nx,0.5,0.5\n"),
        ("empty.csv", "label,a,b\n"),
        ("none.csv", "label,a\na,1\n"),
        ("sum.csv", "label,a,b\na,0.5,0.5\nb,0.5,0.6\n"),
        ("range.csv", "label,probability\n1,0.5\n0,1.5\n"),
        ("word.csv", "label,probability\n1,0.5\n0,high\n"),
        ("twice.csv", "image,label,probability\nx,1,0.5\nx,0,0.5\n"),
        ("columns.csv", "label,label,probability\n1,1,0.5\n"),
        ("ragged.csv", "label,probability\n1,0.5\n0\n"),
        ("blank.csv", "label,probability\n1,0.5\n,0.1\n"),
        ("failed.csv", "label,a,b,error\na,0.5,0.5,\nb,,,is empty\n"),
        ("torn.csv", "label,probability,node\n1,0.5,1\n0,0.1,1\n"),
    ]);
    for (file, says) in [
        ("alone.csv", "every label is `positive`"),
        ("unknown.csv", "line 3: the label `c` is none of the classes a, b"),
        ("unlabelled.csv", "has no column `label`; its first line names image, a, b"),
        ("empty.csv", "has no row"),
        ("none.csv", "has neither a column `probability`"),
        ("sum.csv", "line 3: the probabilities a, b sum to 1.1"),
        ("range.csv", "line 3: a probability lies between 0 and 1, not 1.5"),
        ("word.csv", "line 3: `probability` is no number: `high`"),
        ("twice.csv", "line 3: `x` stands here a second time"),
        ("columns.csv", "has the column `label` twice"),
        ("ragged.csv", "line 3: expected 2 fields"),
        ("blank.csv", "line 3: `label` is empty"),
        ("failed.csv", "line 3: was not classified (is empty)"),
        ("torn.csv", "the images of node 1 have different labels"),
        ("nowhere.csv", "cannot read"),
    ] {
        folder.refused(&["evaluate", file], says);
    }
    folder.refused(&["evaluate", "p.csv", "--bootstrap", "99999999999"], "1 to 1000000 resamples");
    folder.refused(&["evaluate", "p.csv", "--cutoff", "best"], "a cut-off is");
    folder.refused(&["evaluate", "p.csv", "--threshold", "NaN"], "lies between 0 and 1");
    folder.refused(&["evaluate", "p.csv", "--confidence", "95"], "between 0 and 1");
    folder.refused(&["evaluate", "p.csv", "--positive", "ill"], "--positive ill: is none of the classes");
    folder.refused(&["evaluate", "p.csv", "--json", "--csv"], "cannot be used with");
}

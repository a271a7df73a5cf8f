//! `nodal readers`: calls, criteria, counts, the network beside them.

use serde_json::Value;

use crate::folder::Folder;

fn json(folder: &Folder, arguments: &[&str]) -> Value {
    serde_json::from_str(&folder.ok(&[&["readers", "--json"], arguments].concat())).unwrap()
}

/// Two readers who call the cases a to h; R2 differs from R1 in b, e and f.
const CALLS: &str = "reader,case,label,call
R1,a,1,1\nR1,b,1,1\nR1,c,1,1\nR1,d,1,0\nR1,e,0,0\nR1,f,0,0\nR1,g,0,0\nR1,h,0,1
R2,a,1,yes\nR2,b,1,no\nR2,c,1,yes\nR2,d,1,no\nR2,e,0,yes\nR2,f,0,yes\nR2,g,0,no\nR2,h,0,yes
";

#[test]
fn two_readers_and_the_network() {
    let network = "image,benign,malign\na,0.1,0.9\nb,0.2,0.8\nc,0.3,0.7\nd,0.4,0.6\ne,0.9,0.1\nf,0.8,0.2\ng,0.7,0.3\nh,0.3,0.7\n";
    let folder = Folder::with(&[("r.csv", CALLS), ("n.csv", network)]);
    let all = json(&folder, &["r.csv", "--predictions", "n.csv"]);
    let value = |reading: usize, metric: &str| all["readings"][reading]["metrics"][metric]["value"].clone();
    assert_eq!(value(0, "sensitivity"), 0.75);
    assert_eq!(value(1, "specificity"), 0.25);
    assert_eq!(value(1, "auc"), 0.375);
    // 12 of 16 pairs are in order below h, whose 0.7 ties with c and lies above d.
    assert_eq!(value(2, "auc"), (16.0 - 1.0 - 0.5) / 16.0);
    let pair = &all["pairs"][0];
    assert_eq!((&pair["first"], &pair["second"], &pair["cases"]), (&"R1".into(), &"R2".into(), &8.into()));
    // Both: 3 called, 2 not; 5 of 8 agree, 4 of 8 by chance.
    assert_eq!(pair["kappa"]["value"], 0.25);
    // Right are R1 alone in b, e, f: 2 · (1/2)³.
    assert!((pair["mcnemar"]["exact_p"].as_f64().unwrap() - 0.25).abs() < 1e-12);
    assert_eq!(pair["delong"]["difference"], 0.375);
    assert_eq!(all["pairs"].as_array().unwrap().len(), 3);
    let text = folder.ok(&["readers", "r.csv"]);
    assert!(text.contains("R1 / R2") && text.contains("0.250 (") && !text.contains("NaN"), "{text}");
}

#[test]
fn predictions_of_some_cases_are_set_beside_the_readers_of_those() {
    let network = "image,benign,malign\n/s/a,0.1,0.9\n/s/b,0.2,0.8\n/s/d,0.4,0.6\n/s/e,0.9,0.1\n/s/h,0.3,0.7\n/s/z,0.3,0.7\n";
    let twice = format!("{network}/t/a,0.5,0.5\n");
    let benign = "image,benign,malign\ne,0.9,0.1\nf,0.9,0.1\n";
    let folder =
        Folder::with(&[("r.csv", CALLS), ("n.csv", network), ("twice.csv", &twice), ("benign.csv", benign)]);
    folder.refused(&["readers", "r.csv", "--predictions", "n.csv"], "no prediction of case `c`");
    let all = json(&folder, &["r.csv", "--predictions", "n.csv", "--shared"]);
    // R1 of a, b, d | e, h: right in a, b and e.
    let hits = |reading: usize, metric: &str| {
        let metric = &all["readings"][reading]["metrics"][metric];
        (metric["hits"].as_u64().unwrap(), metric["total"].as_u64().unwrap())
    };
    assert_eq!((hits(0, "sensitivity"), hits(0, "specificity")), ((2, 3), (1, 2)));
    assert_eq!((hits(2, "sensitivity"), hits(2, "specificity")), ((3, 3), (1, 2)));
    let refused = |predictions: &str, says: &str| {
        folder.refused(&["readers", "r.csv", "--predictions", predictions, "--shared"], says);
    };
    refused("twice.csv", "several predictions are of a case `a`");
    refused("benign.csv", "R1: no case is positive");
}

#[test]
fn a_case_is_one_case_however_its_readers_spell_it() {
    let network = "image,benign,malign\n/s/i/a,0.1,0.9\n/s/i/b,0.7,0.3\n";
    let readers = "reader,case,label,call\nR1,i/a,1,1\nR1,i/b,0,0\nR2,a,1,1\nR2,s/i/b,0,1\n";
    let twice = format!("{readers}R2,i/b,0,1\n");
    let folder = Folder::with(&[("n.csv", network), ("r.csv", readers), ("twice.csv", &twice)]);
    let all = json(&folder, &["r.csv", "--predictions", "n.csv"]);
    assert_eq!(all["readings"][2]["metrics"]["accuracy"]["total"], 2, "{all}");
    let pairs: Vec<u64> =
        all["pairs"].as_array().unwrap().iter().map(|pair| pair["cases"].as_u64().unwrap()).collect();
    assert_eq!(pairs, [2, 2, 2]);
    folder.refused(
        &["readers", "twice.csv", "--predictions", "n.csv"],
        "R2 reads case `/s/i/b` under two names",
    );
}

#[test]
fn criteria_become_calls_by_three_rules() {
    let head = "reader,case,label,irregular_border,heterogeneous_signal,round_shape";
    // Case by case: criteria, diameter; calls without, by the text, by the guideline.
    let with = format!(
        "{head},short_axis_mm\nR,a,1,1,1,0,4.9\nR,b,1,1,1,1,4.9\nR,c,1,1,0,1,9\nR,d,0,1,1,0,9.5\nR,e,0,0,0,0,12\nR,f,0,0,1,0,7\n"
    );
    let without = format!("{head}\nR,a,1,1,1,0\nR,b,0,0,0,1\n");
    let folder = Folder::with(&[("with.csv", &with), ("without.csv", &without)]);
    let all = json(&folder, &["with.csv"]);
    let hits = |reading: usize, metric: &str| all["readings"][reading]["metrics"][metric]["hits"].clone();
    for (reading, name, tp, tn) in [
        (0, "without SA", 3, 2),
        (1, "with SA, all criteria above 9 mm", 2, 3),
        (2, "with SA, positive from 9 mm on", 2, 1),
    ] {
        assert_eq!(all["readings"][reading]["reading"], name);
        assert_eq!(
            (hits(reading, "sensitivity"), hits(reading, "specificity")),
            (tp.into(), tn.into()),
            "{name}"
        );
    }
    assert_eq!(json(&folder, &["without.csv"])["readings"].as_array().unwrap().len(), 1);
}

#[test]
fn bad_input_gives_one_sentence() {
    let folder = Folder::with(&[
        ("r.csv", CALLS),
        ("nothing.csv", "reader,case,label\nR,a,1\n"),
        ("nameless.csv", "reader,label,call\nR,1,1\n"),
        ("maybe.csv", "reader,case,label,call\nR,a,1,maybe\n"),
        ("twice.csv", "reader,case,label,call\nR,a,1,1\nR,a,1,0\n"),
        ("torn.csv", "reader,case,label,call\nR,a,1,1\nS,a,0,1\n"),
        ("alone.csv", "reader,case,label,call\nR,a,1,1\nR,b,1,1\n"),
        ("many.csv", "reader,label,call,count\nR,1,1,99999999\n"),
        (
            "mm.csv",
            "reader,case,label,irregular_border,heterogeneous_signal,round_shape,short_axis_mm\nR,a,1,1,1,1,-3\n",
        ),
        ("counts.csv", "reader,label,call,count\nR,1,1,9\nR,0,0,9\n"),
        ("few.csv", "case,probability\na,0.5\n"),
        ("other.csv", "case,label,probability\na,0,0.5\nb,1,0.4\n"),
        ("three.csv", "case,a,b,c\na,0.5,0.5,0\n"),
    ]);
    for (file, says) in [
        ("nothing.csv", "has neither a column `call` nor all of irregular_border"),
        ("nameless.csv", "has no column `case`"),
        ("maybe.csv", "line 2: `call` is 1 or 0, yes or no, positive or negative, not `maybe`"),
        ("twice.csv", "line 3: R reads case `a` a second time"),
        ("torn.csv", "line 3: the case had another label before"),
        ("alone.csv", "R: no case is negative"),
        ("many.csv", "are too many"),
        ("mm.csv", "a short axis of -3 mm"),
        ("nowhere.csv", "cannot read"),
    ] {
        folder.refused(&["readers", file], says);
    }
    let network = |file: &str, says: &str| folder.refused(&["readers", "r.csv", "--predictions", file], says);
    network("few.csv", "has no prediction of case `b`");
    network("other.csv", "case `a` has another label");
    network("three.csv", "readers tell two classes apart, not a, b, c");
    folder.refused(&["readers", "counts.csv", "--predictions", "few.csv"], "name no case");
    folder.refused(&["readers", "r.csv", "--threshold", "0.4"], "--predictions");
    folder.refused(&["readers", "r.csv", "--confidence", "0"], "between 0 and 1");
}

//! Pages of files that are at hand: published counts, predictions of two and of three classes.

use std::fmt::Write;

use crate::folder::Folder;
use crate::html::Page;

/// Six images of three patients.
const PREDICTIONS: &str = "\
image,label,node,patient,negative,positive
images/a.jpg,negative,n1,p1,0.9,0.1
images/b.jpg,negative,n1,p1,0.4,0.6
images/c.jpg,positive,n2,p2,0.2,0.8
images/d.jpg,positive,n2,p2,0.7,0.3
images/e.jpg,positive,n3,p2,0.1,0.9
images/f.jpg,negative,n4,p3,0.8,0.2
";

fn page(folder: &Folder, arguments: &[&str]) -> Page {
    folder.ok(&[arguments, &["-o", "page.html"]].concat());
    read(folder, "page.html")
}

fn read(folder: &Folder, name: &str) -> Page {
    let page = Page::read(std::fs::read_to_string(folder.path().join(name)).unwrap());
    for reference in page.references() {
        let inside = reference.starts_with("#part-")
            || reference.starts_with("data:image/png")
            || reference == "data:,";
        assert!(inside, "the page refers to {reference}");
    }
    assert!(page.text.contains("default-src 'none'") && !page.tags.iter().any(|(name, _)| name == "script"));
    page
}

#[test]
fn published_counts_give_the_published_figures() {
    let paper = |file: &str| format!("{}/tests/data/paper/{file}", env!("CARGO_MANIFEST_DIR"));
    let (readers, cohort) = (paper("readers.csv"), paper("cohort.csv"));
    let page = page(&Folder::with(&[]), &["report", "--readers", &readers, "--cohort", &cohort]);
    let printed = [
        ("R2, without SA", [64.7, 61.6, 54.7, 70.9, 0.626, 62.7]),
        ("R2, with SA", [62.7, 66.1, 68.2, 60.4, 0.643, 64.3]),
        ("R3, without SA", [65.5, 68.5, 69.8, 64.1, 0.671, 67.1]),
        ("R3, with SA", [64.6, 69.4, 72.3, 61.3, 0.670, 66.9]),
    ];
    for (reader, figures) in printed {
        let row = page.row(reader);
        assert_eq!(row[0], "644 <small>(319 + 325)</small>", "{reader}");
        for (cell, figure) in row[1..].iter().zip(figures) {
            let tolerance = if figure < 1.0 { 0.003 } else { 0.3 };
            assert!(
                (Page::number(cell) - figure).abs() <= tolerance + 1e-9,
                "{reader}: printed {figure}, got {cell}"
            );
            assert!(cell.contains(" to "), "{cell} has an interval");
        }
    }
    assert_eq!(page.row("age")[3], "0.042");
    assert_eq!(page.row("gender")[3], "0.421");
    assert_eq!(page.row("T stage")[3], "0.005");
    assert!(page.text.contains("counts name no cases") && !page.text.contains("Phantom data"));
    // Each reading is a marker with its name in the legend.
    assert!(page.tags.iter().filter(|(name, _)| name == "polygon").count() >= 8);
}

#[test]
fn predictions_have_the_figures_of_evaluate() {
    let folder = Folder::with(&[("p.csv", PREDICTIONS)]);
    let alone = page(&folder, &["report", "--predictions", "p.csv"]);
    let value: serde_json::Value =
        serde_json::from_str(&folder.ok(&["evaluate", "--json", "p.csv"])).unwrap();
    for (level, name) in [("image", "per image"), ("node", "per node"), ("patient", "per patient")] {
        let row = alone.row(name);
        let metrics = &value["levels"][level]["metrics"];
        for (k, (metric, scale)) in [
            ("ppv", 100.0),
            ("npv", 100.0),
            ("sensitivity", 100.0),
            ("specificity", 100.0),
            ("auc", 1.0),
            ("accuracy", 100.0),
        ]
        .into_iter()
        .enumerate()
        {
            let expected = metrics[metric]["value"].as_f64().unwrap() * scale;
            assert!(
                (Page::number(&row[k + 1]) - expected).abs() < 0.051,
                "{level} {metric}: {} for {expected}",
                row[k + 1]
            );
        }
    }
    assert!(alone.text.contains("network, AUC 0.889") && alone.text.contains("Brier score"));
    assert!(
        alone.text.contains("2 images of 6 called wrong") && alone.text.contains("the crop was not found")
    );
    // `evaluate` writes the same parts and prints what it prints without.
    let printed = folder.ok(&["evaluate", "p.csv", "--report", "e.html"]);
    assert_eq!(printed, folder.ok(&["evaluate", "p.csv"]));
    let of_evaluate = read(&folder, "e.html");
    assert_eq!(of_evaluate.row("per node"), alone.row("per node"));
}

#[test]
fn the_same_inputs_are_the_same_bytes_under_any_name() {
    let folder = Folder::with(&[("p.csv", PREDICTIONS)]);
    folder.ok(&["report", "--predictions", "p.csv", "-o", "one.html"]);
    folder.ok(&["report", "--predictions", "p.csv", "-o", "other.html"]);
    folder.ok(&["report", "--predictions", "p.csv", "--out=third.html"]);
    let bytes = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert!(bytes("one.html") == bytes("other.html"));
    assert!(String::from_utf8(bytes("third.html")).unwrap().contains("--out=report.html"));
}

#[test]
fn names_are_text_and_nothing_else() {
    let evil = "<script>alert(1)</script>";
    let quoted = "\"\"><img src=x onerror=alert(1)>";
    let mut text = format!("image,label,node,patient,{evil},b'&\n");
    for (i, (label, p)) in [(evil, 0.9), (evil, 0.2), ("b'&", 0.3), ("b'&", 0.8)].into_iter().enumerate() {
        writeln!(text, "\"{i}{quoted}\",{label},\"{quoted}\",\"{i}{quoted}\",{p},{:.1}", 1.0 - p).unwrap();
    }
    let mut readers = "reader,case,label,call\n".to_string();
    for (i, label) in [0, 0, 1, 1].into_iter().enumerate() {
        writeln!(readers, "{evil},\"{i}{quoted}\",{label},{}", i % 2).unwrap();
    }
    let folder = Folder::with(&[("p.csv", &text), ("r.csv", &readers)]);
    let page = page(&folder, &["report", "--predictions", "p.csv", "--readers", "r.csv", "--title", evil]);
    assert!(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.text.contains("<script") && !page.tags.iter().any(|(_, own)| own.contains("onerror")));
}

#[test]
fn several_classes_have_a_matrix_and_means() {
    let text = "image,label,a,b,c\n1,a,0.8,0.1,0.1\n2,a,0.3,0.6,0.1\n3,b,0.2,0.7,0.1\n4,b,0.1,0.8,0.1\n5,c,0.1,0.2,0.7\n6,c,0.2,0.2,0.6\n";
    let folder = Folder::with(&[("p.csv", text)]);
    let page = page(&folder, &["report", "--predictions", "p.csv"]);
    assert_eq!(page.row("a")[..3], ["1", "1", "0"], "one a is called b");
    assert_eq!(page.row("c")[..3], ["0", "0", "2"]);
    assert!(page.text.contains("AUC, mean of the classes") && !page.text.contains("Brier score"));
}

#[test]
fn readers_and_network_are_compared_on_the_cases_of_both() {
    let mut readers = "reader,case,label,call\n".to_string();
    for (case, label, call) in [
        ("a", 0, 0),
        ("b", 0, 1),
        ("c", 1, 1),
        ("d", 1, 1),
        ("e", 1, 1),
        ("f", 0, 0),
        ("g", 0, 1),
        ("h", 1, 0),
    ] {
        writeln!(readers, "R,images/{case}.jpg,{label},{call}").unwrap();
    }
    // The network's images have longer paths.
    let predictions = PREDICTIONS.replace("images/", "/data/study/images/");
    let folder = Folder::with(&[("p.csv", &predictions), ("r.csv", &readers)]);
    let page = page(&folder, &["report", "--predictions", "p.csv", "--readers", "r.csv"]);
    assert!(
        page.text.contains("compared on the 6 cases that the network has predictions of; the readers read 8")
    );
    assert_eq!(page.row("R")[0], "6 <small>(3 + 3)</small>");
    assert!(page.row("R")[3].starts_with("100.0"), "all three positive cases: {:?}", page.row("R"));
    assert!(page.row("R / network").len() == 5 && page.text.contains("Readers on all cases that they read"));
    assert!(
        page.text.contains("called positive by R"),
        "what the reader called a case that the network has wrong"
    );
    folder
        .refused(&["readers", "r.csv", "--predictions", "p.csv"], "has no prediction of case `images/g.jpg`");
}

#[test]
fn readers_of_different_cases_are_counted_by_case() {
    // One reads what the network knows, the other two cases of it and two more.
    let mut readers = "reader,case,label,call\n".to_string();
    for (reader, cases) in [("R", "abcdef"), ("S", "acgh")] {
        for case in cases.chars() {
            let label = u8::from("cdeh".contains(case));
            writeln!(readers, "{reader},images/{case}.jpg,{label},{label}").unwrap();
        }
    }
    let folder = Folder::with(&[("p.csv", PREDICTIONS), ("r.csv", &readers)]);
    let both = page(&folder, &["report", "--predictions", "p.csv", "--readers", "r.csv"]);
    assert!(
        both.text
            .contains("compared on the 6 cases that the network has predictions of; the readers read 8.")
    );
    assert!(both.text.contains("Readers on all cases that they read"), "S has lost g and h");
    assert_eq!(both.row("S")[0], "2 <small>(1 + 1)</small>");
    assert!(both.text.contains("n is cases, of them positive + negative."));
    let alone = page(&folder, &["report", "--readers", "r.csv"]);
    assert!(alone.text.contains("The readers read 8 cases."));
    // Who has lost none is not shown twice.
    let own: String =
        readers.lines().filter(|line| !line.starts_with('S')).map(|l| format!("{l}\n")).collect();
    folder.write("r.csv", &own);
    let both = page(&folder, &["report", "--predictions", "p.csv", "--readers", "r.csv"]);
    assert!(!both.text.contains("Readers on all cases"));
}

#[test]
fn levels_and_thresholds_are_told_as_they_are() {
    let folder = Folder::with(&[("p.csv", PREDICTIONS)]);
    let of =
        |options: &[&str]| page(&folder, &[&["report", "--predictions", "p.csv"], options].concat()).text;
    for (level, shown) in [("0.995", "99.5 %"), ("0.975", "97.5 %"), ("0.99999", "99.999 %"), ("0.9", "90 %")]
    {
        let text = of(&["--confidence", level]);
        for said in [
            format!("The {shown} interval"),
            format!("Figures with {shown} intervals"),
            format!("{shown} intervals by the bootstrap"),
            format!("(Clopper-Pearson) {shown} intervals"),
            format!("interval, {shown}"),
        ] {
            assert!(text.contains(&said), "{level}: {said}");
        }
        assert!(!text.contains("100 % interval") && !text.contains("98 % interval"), "{level}");
    }
    for threshold in ["0.00001", "0.61545134"] {
        let text = of(&["--threshold", threshold]);
        assert!(text.contains(&format!("from a probability of {threshold} on")));
        assert!(text.contains(&format!("network, positive from {threshold} on")));
    }
}

#[test]
fn what_is_not_there_is_not_spoken_of() {
    let without = |columns: &[usize]| -> String {
        let kept = |line: &str| {
            let cells = line.split(',').enumerate().filter(|(k, _)| !columns.contains(k));
            cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",") + "\n"
        };
        PREDICTIONS.lines().map(kept).collect()
    };
    let (images, patients) = (without(&[2, 3]), without(&[2]));
    let folder =
        Folder::with(&[("p.csv", PREDICTIONS), ("images.csv", &images), ("patients.csv", &patients)]);
    let of = |file: &str, options: &[&str]| {
        page(&folder, &[&["report", "--predictions", file], options].concat()).text
    };
    let further = "intervals that draw whole patients or nodes stand further down";
    let all = of("p.csv", &["--pool", "max"]);
    assert!(all.contains(further));
    assert!(all.contains("The probability of a node is the largest of those of its images. A patient counts as positive where a \
         node is"));
    let patients = of("patients.csv", &[]);
    assert!(patients.contains(further) && !patients.contains("probability of a node"));
    assert!(patients.contains("A patient counts as positive where an image is"));
    for text in [of("images.csv", &[]), of("p.csv", &["--bootstrap", "0"])] {
        assert!(!text.contains(further));
    }
    assert!(!of("images.csv", &[]).contains("node is"));
    let none = of("p.csv", &["--errors", "0"]);
    assert!(
        none.contains("2 images of 6 called wrong; none is shown.") && !none.contains("Crops are enlarged")
    );
    assert!(
        of("p.csv", &["--errors", "1"]).contains("called wrong; the worst one is shown, that with the least")
    );
}

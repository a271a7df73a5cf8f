//! A page of a run over phantoms, from training to crops, and that its commands give the same again.

use crate::folder::Folder;
use crate::html::Page;

fn text(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

#[test]
fn a_run_is_told_whole_and_can_be_repeated() {
    let folder = Folder::with(&[]);
    folder.ok(&["phantom", "made", "--seed", "3", "--patients", "12", "--size", "40x40"]);
    folder.ok(&["init", "--seed", "4", "--size", "75", "-o", "w.safetensors"]);
    folder.ok(&[
        "train",
        "made/nodes.csv",
        "--weights",
        "w.safetensors",
        "--out",
        "run",
        "--epochs",
        "3",
        "--freeze",
        "94",
        "--lr",
        "0.0003",
        "--val-fraction",
        "0.4",
        "--seed",
        "5",
        "--device",
        "cpu:portable",
    ]);
    let arguments = [
        "report",
        "run",
        "--readers",
        "made/readers.csv",
        "--cohort",
        "made/cohort.csv",
        "--bootstrap",
        "50",
        "-o",
        "page.html",
    ];
    folder.ok(&arguments);
    let page = Page::read(text(&folder, "page.html"));
    for part in [
        "Phantom data",
        "no clinical evidence",
        "Patients",
        "Images and split",
        "Training",
        "Network and readers",
        "Calibration",
        "Worst errors",
        "phantom reader A, with SA",
        "config.json",
        "xxh3-128:",
        "whose weights are judged here",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
    // As many images validate as the split says, and the network is judged on all of them.
    let split = text(&folder, "run/split.csv");
    let validation = split.lines().filter(|line| line.split(',').nth(2) == Some("val")).count().to_string();
    assert_eq!(page.row("validation")[2], validation);
    assert!(page.row("network")[0].starts_with(&format!("{validation} ")), "{:?}", page.row("network"));
    let crops = page
        .tags
        .iter()
        .filter(|(name, own)| name == "img" && own.contains("data:image/png;base64,iVBOR"))
        .count();
    assert!(crops > 0 || page.text.contains("every image is called as it is labelled"), "no crop is shown");
    folder.ok(&arguments);
    assert!(page.text == text(&folder, "page.html"), "the same twice");

    let command = page.text.split("<pre>nodal train ").nth(1).unwrap().split("</pre>").next().unwrap();
    let again: Vec<&str> = ["train"]
        .into_iter()
        .chain(command.split(' '))
        .map(|word| if word == "run" { "again" } else { word })
        .collect();
    folder.ok(&again);
    assert_eq!(text(&folder, "run/config.json"), text(&folder, "again/config.json"));
    let weights =
        |run: &str| std::fs::read(folder.path().join(run).join("weights-best.safetensors")).unwrap();
    assert!(weights("run") == weights("again"), "the command gives other weights");
}

#[test]
fn a_sweep_is_summarized_and_its_folder_left_as_it_is() {
    let folder = Folder::with(&[]);
    folder.ok(&["phantom", "made", "--seed", "3", "--patients", "12", "--size", "40x40"]);
    folder.ok(&["init", "--seed", "4", "--size", "75", "-o", "w.safetensors"]);
    let lists = ["--freeze", "94", "--lr", "0.001,0.01", "--folds", "2", "--epochs", "1"];
    folder
        .ok(&[&["sweep", "made/nodes.csv", "--weights", "w.safetensors", "--out", "sweep"][..], &lists]
            .concat());
    let summary: serde_json::Value = serde_json::from_str(&text(&folder, "sweep/summary.json")).unwrap();
    std::fs::remove_file(folder.path().join("sweep/summary.json")).unwrap();
    folder.ok(&["report", "--sweep", "sweep", "-o", "page.html"]);
    assert!(!folder.path().join("sweep/summary.json").exists(), "the report writes nothing but its page");
    let page = Page::read(text(&folder, "page.html"));
    assert!(page.text.contains("4 runs of 2 configurations") && page.text.contains("Phantom data"));
    for configuration in summary["configurations"].as_array().unwrap() {
        let accuracy = 100.0 * configuration["accuracy"]["mean"].as_f64().unwrap();
        assert!(page.text.contains(&format!("<td class=\"figure\">{accuracy:.1}</td>")), "{accuracy}");
    }
}

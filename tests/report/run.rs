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
        // So each negative image is called wrong, whatever the network says.
        "--threshold",
        "0",
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
    let config: serde_json::Value = serde_json::from_str(&text(&folder, "run/config.json")).unwrap();
    let negative = format!(",{},val,", config["classes"][0].as_str().unwrap());
    let wrong = split.lines().filter(|line| line.contains(&negative)).count();
    let crops = page
        .tags
        .iter()
        .filter(|(name, own)| name == "img" && own.contains("data:image/png;base64,iVBOR"))
        .count();
    assert!(wrong > 0 && crops == 2 * wrong.min(12), "{crops} crops and maps of {wrong} wrong calls");
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

    // What is missing is named with what helps.
    let best = folder.path().join("again/weights-best.safetensors");
    std::fs::remove_file(&best).unwrap();
    folder.refused(&["report", "again", "-o", "page.html"], "weights-best.safetensors is gone");
    std::fs::rename(folder.path().join("made"), folder.path().join("moved")).unwrap();
    folder.refused(
        &["evaluate", "run"],
        "are not there any more: put them back or a link to them, or judge its weights on other data with `nodal evaluate DATA \
         --weights run`",
    );
    folder.ok(&["evaluate", "moved/nodes.csv", "--weights", "run"]);
}

#[test]
fn a_run_whose_mean_image_is_from_elsewhere_can_be_repeated() {
    let folder = Folder::with(&[]);
    folder.ok(&["phantom", "made", "--seed", "3", "--patients", "12", "--size", "40x40"]);
    folder.ok(&["init", "--seed", "4", "--size", "75", "-o", "w.safetensors"]);
    let mean = nodal::Tensor::new(&[3, 75, 75], vec![90.0; 3 * 75 * 75]).unwrap();
    let file = nodal::Weights::from_tensors([("mean", &mean)].into_iter()).unwrap();
    file.save_safetensors(&folder.path().join("mean.safetensors")).unwrap();
    let train = |weights: &str, out: &str, options: &[&str]| {
        let begin = [
            "train",
            "made/nodes.csv",
            "--weights",
            weights,
            "--out",
            out,
            "--epochs",
            "1",
            "--freeze",
            "94",
        ];
        let rest = ["--val-fraction", "0.4", "--seed", "5", "--device", "cpu:portable"];
        folder.ok(&[&begin[..], &rest, options].concat());
    };
    train("w.safetensors", "training", &["--normalize", "mean"]);
    train("w.safetensors", "file", &["--normalize", "mean:mean.safetensors"]);
    // The weights' mean is that of a file, not of the training images.
    train("file/weights-best.safetensors", "weights", &[]);
    for (run, option) in [
        ("training", Some("--normalize mean ".to_string())),
        (
            "file",
            Some(format!(
                "--normalize mean:{}",
                folder.path().canonicalize().unwrap().join("mean.safetensors").display()
            )),
        ),
        ("weights", None),
    ] {
        folder.ok(&["report", run, "--bootstrap", "0", "--errors", "0", "-o", "page.html"]);
        let page = text(&folder, "page.html");
        let command = page.split("<pre>nodal train ").nth(1).unwrap().split("</pre>").next().unwrap();
        match option {
            Some(option) => assert!(command.contains(&option), "{run}: {command}"),
            None => assert!(!command.contains("--normalize"), "{run}: {command}"),
        }
        let place = format!("--out {run} ");
        assert!(command.contains(&place), "{command}");
        let again = format!("again-{run}");
        let command = command.replace(&place, &format!("--out {again} "));
        folder.ok(&[&["train"], &command.split(' ').collect::<Vec<_>>()[..]].concat());
        for file in ["config.json", "weights-best.safetensors"] {
            let bytes = |run: &str| std::fs::read(folder.path().join(run).join(file)).unwrap();
            assert!(bytes(run) == bytes(&again), "{run}: the command gives another {file}");
        }
    }
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

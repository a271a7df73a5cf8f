//! What a run leaves.

use super::place::{Place, short};
use serde_json::Value;

#[test]
fn a_run_leaves_all_that_predicting_and_repeating_need() {
    let place = Place::new(6, 4);
    let said =
        place.ok(&short(&["--out", "run", "--augment", "paper", "--normalize", "mean", "--standardize"]));
    assert!(said.contains("grass and gravel (positive) on "), "{said}");
    let begins = "12 images teach, 8 validate, split as given; 3 steps an epoch, 80 convolutions frozen, last layer as given";
    assert!(said.contains(begins), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("epoch")).count(), 3, "{said}");

    let mut names: Vec<String> = std::fs::read_dir(place.at("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "checkpoint",
        "config.json",
        "loss.svg",
        "metrics.jsonl",
        "roc.svg",
        "split.csv",
        "weights-best.safetensors",
        "weights-last.safetensors",
    ];
    assert_eq!(names, expected);

    let config: Value = serde_json::from_slice(&std::fs::read(place.at("run/config.json")).unwrap()).unwrap();
    assert_eq!(config["classes"], serde_json::json!(["grass", "gravel"]));
    assert_eq!((config["outputs"].as_u64(), config["hyper"]["freeze"].as_u64()), (Some(1), Some(80)));
    assert!(config["data_digest"].as_str().unwrap().starts_with("xxh3-128:"));

    let log = place.log("run");
    let kinds: Vec<&str> = log.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["step", "step", "step", "epoch"].repeat(3));
    for line in &log {
        let keys: &[&str] = match line["kind"] == "step" {
            true => &[
                "epoch",
                "step",
                "loss",
                "accuracy",
                "auc",
                "lr",
                "gradient_norm",
                "images_per_s",
                "wait_ms",
            ],
            false => &["epoch", "training", "validation", "best", "images_per_s", "took_ms", "wait_ms"],
        };
        assert!(keys.iter().all(|key| line.get(key).is_some()), "{line}");
    }
    assert!(
        log[0]["gradient_norm"].as_f64().unwrap() > 0.0
            && log[3]["validation"]["loss"].as_f64().unwrap() > 0.0
    );

    // The weights say by themselves how crops become inputs, and validate as they did in the run.
    let json = place.ok(&["predict", "--weights", "run/weights-best.safetensors", "data/val", "--json"]);
    let results: Value = serde_json::from_str(&json).unwrap();
    let right = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["image"].as_str().unwrap().contains(row["class"].as_str().unwrap()));
    let accuracy = right.count() as f64 / 8.0;
    let best = log.iter().rev().find(|line| line["best"] == true).unwrap();
    assert_eq!(best["validation"]["accuracy"].as_f64().unwrap(), accuracy);
    // The run itself stands for both.
    assert_eq!(place.ok(&["predict", "--weights", "run", "data/val", "--json"]), json);
    let judged = place.ok(&["evaluate", "run", "--json"]);
    assert_eq!(
        judged,
        place.ok(&["evaluate", "--weights", "run/weights-best.safetensors", "data/val", "--json"])
    );
    let judged: Value = serde_json::from_str(&judged).unwrap();
    let auc = judged["levels"]["image"]["metrics"]["auc"]["value"].as_f64().unwrap();
    assert!((best["validation"]["auc"].as_f64().unwrap() - auc).abs() < 1e-9, "{judged}");
    place.refused(
        &["evaluate", "run", "--weights", "w.safetensors"],
        "run: is a run, which has its own weights",
    );
    place.refused(&["evaluate", "data/val"], "data/val: is a folder and no run");
    // Another run begins with its best weights, and they are converted.
    place.ok(&["train", "data", "--weights", "run", "--out", "further", "--epochs", "1", "--freeze", "94"]);
    let further: Value =
        serde_json::from_slice(&std::fs::read(place.at("further/config.json")).unwrap()).unwrap();
    assert!(further["weights"].as_str().unwrap().ends_with("run/weights-best.safetensors"), "{further}");
    // The other class as the positive one is another output.
    let turned = ["--epochs", "1", "--freeze", "94", "--positive", "grass"];
    let said = place.ok(&[&["train", "data", "--weights", "run", "--out", "turned"], &turned[..]].concat());
    assert!(said.contains("gravel and grass (positive)") && said.contains("last layer made anew"), "{said}");
    let judged: Value = serde_json::from_str(&place.ok(&["evaluate", "turned", "--json"])).unwrap();
    assert_eq!(judged["levels"]["image"]["positive"], "grass");
    place.ok(&["convert", "run", "copy.safetensors"]);
    let weights = |name| std::fs::read(place.at(name)).unwrap();
    assert!(weights("copy.safetensors") == weights("run/weights-best.safetensors"));
    std::fs::remove_file(place.at("run/weights-best.safetensors")).unwrap();
    place.refused(&["evaluate", "run"], "run: weights-best.safetensors is gone");
}

#[test]
fn three_classes_get_a_head_of_their_own_and_what_is_frozen_stays() {
    let place = Place::new(4, 4);
    place.crops("train", "grass", "three/lawn", 4);
    place.crops("train", "gravel", "three/gravel", 4);
    place.crops("val", "gravel", "three/stones", 4);
    place.ok(&[
        "train",
        "three",
        "--weights",
        "w.safetensors",
        "--out",
        "run",
        "--epochs",
        "1",
        "--batch",
        "5",
        "--freeze",
        "90",
        "--val-fraction",
        "0.25",
        "--class-weights",
        "balanced",
        "--label-smoothing",
        "0.1",
        "--dropout",
        "0.3",
        "--schedule",
        "cosine",
        "--warmup",
        "1",
        "--nesterov",
        "--clip-norm",
        "5",
        "--reestimate-batch-norm",
    ]);
    let open = |name: &str| nodal::Weights::open(&place.at(name)).unwrap();
    let (before, after) = (open("w.safetensors"), open("run/weights-last.safetensors"));
    assert_eq!(after.shape("fc.weight"), Some(&[3, 2048][..]));
    let differs = |name: &str| before.f32(name).unwrap() != after.f32(name).unwrap();
    assert!(!differs("Mixed_7b.branch1x1.conv.weight") && !differs("Mixed_7b.branch1x1.bn.running_mean"));
    assert!(differs("Mixed_7c.branch_pool.conv.weight") && differs("Mixed_7c.branch_pool.bn.running_mean"));
    let predicted =
        place.ok(&["predict", "--weights", "run/weights-last.safetensors", "three/lawn", "--json"]);
    assert!(predicted.contains("\"stones\""), "{predicted}");
}

#[test]
fn figures_do_not_depend_on_the_batch() {
    // At a rate of nothing the network stays what it is, and so does what is said of it.
    let place = Place::new(4, 8);
    let loss = |batch: &str, out: &str| {
        let arguments = ["train", "data", "--weights", "w.safetensors", "--epochs", "1", "--freeze", "94"];
        let more = ["--lr", "1e-30", "--class-weights", "1,10", "--batch", batch, "--out", out];
        place.ok(&[&arguments[..], &more[..]].concat());
        let log = place.log(out);
        let epoch = log.iter().find(|line| line["kind"] == "epoch").unwrap().clone();
        ["training", "validation"].map(|part| epoch[part]["loss"].as_f64().unwrap())
    };
    let (a, b) = (loss("3", "three"), loss("8", "eight"));
    assert!((a[0] / b[0] - 1.0).abs() < 1e-5 && (a[1] / b[1] - 1.0).abs() < 1e-5, "{a:?} {b:?}");
}

#[test]
fn statistics_taken_anew_are_those_of_the_training_part() {
    let place = Place::new(6, 4);
    let run = |out: &str, rate: &str| {
        let begin =
            ["train", "data", "--weights", "w.safetensors", "--out", out, "--epochs", "1", "--batch", "4"];
        place.ok(&[&begin[..], &["--freeze", "80", "--lr", rate, "--reestimate-batch-norm"]].concat());
        nodal::Weights::open(&place.at(out).join("weights-last.safetensors")).unwrap()
    };
    let weights = run("run", "1e-30");
    // The same weights begun with other running statistics end with the same ones.
    place.ok(&[
        "train",
        "data",
        "--weights",
        "run/weights-last.safetensors",
        "--out",
        "again",
        "--epochs",
        "1",
        "--batch",
        "4",
        "--freeze",
        "80",
        "--lr",
        "1e-30",
        "--reestimate-batch-norm",
    ]);
    let again = nodal::Weights::open(&place.at("again").join("weights-last.safetensors")).unwrap();
    let name = "Mixed_7c.branch1x1.bn.running_var";
    let (a, b) = (weights.f32(name).unwrap(), again.f32(name).unwrap());
    let old = nodal::Weights::open(&place.at("w.safetensors")).unwrap();
    let old = old.f32(name).unwrap();
    for ((a, b), old) in a.iter().zip(b.iter()).zip(old.iter()) {
        assert!((a - b).abs() <= 1e-4 * a.abs(), "{a} {b}");
        assert!((a - old).abs() > 1e-3 * old, "{a} is the old one");
    }
}

#[test]
fn the_last_layer_alone_learns_over_kept_features() {
    let place = Place::new(20, 10);
    let begin =
        ["train", "data", "--weights", "w.safetensors", "--batch", "8", "--freeze", "94", "--size", "155"];
    let epochs = |out: &str, more: &[&str]| -> Vec<Value> {
        place.ok(&[&begin[..], &["--seed", "9", "--lr", "0.01", "--out", out], more].concat());
        place.log(out).into_iter().filter(|line| line["kind"] == "epoch").collect()
    };
    let kept = epochs("kept", &["--epochs", "4"]);
    let loss = |line: &Value| line["training"]["loss"].as_f64().unwrap();
    assert!(loss(&kept[3]) < loss(&kept[0]), "{} {}", loss(&kept[0]), loss(&kept[3]));

    // Without features to keep, by noise too weak to matter, the losses are nearly the same and the time is not.
    let full = epochs("full", &["--epochs", "2", "--augment", "noise=0.00001"]);
    assert!((loss(&full[1]) / loss(&kept[1]) - 1.0).abs() < 1e-3, "{} {}", loss(&full[1]), loss(&kept[1]));
    let took = |line: &Value| line["took_ms"].as_f64().unwrap();
    let later = kept[1..].iter().map(took).fold(f64::INFINITY, f64::min);
    assert!(later < took(&full[1]) / 10.0, "{later} against {}", took(&full[1]));
}

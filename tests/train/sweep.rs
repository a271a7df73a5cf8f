//! Many runs as one: what a sweep leaves, that it goes on, what it gathers and refuses.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::place::{Place, assert_same};
use serde_json::Value;

/// Two configurations over two folds of 12 images, in batches of three.
const SWEEP: [&str; 13] = [
    "sweep",
    "data/train",
    "--weights",
    "w.safetensors",
    "--freeze",
    "90,80",
    "--folds",
    "2",
    "--epochs",
    "1",
    "--batch",
    "3",
    "--out",
];
const RUNS: [&str; 4] = [
    "freeze-80_batch-3_fold-1",
    "freeze-80_batch-3_fold-2",
    "freeze-90_batch-3_fold-1",
    "freeze-90_batch-3_fold-2",
];
const SUMMARY: [&str; 3] = ["summary.csv", "summary.json", "summary.svg"];

/// [`SWEEP`] into the folder `out`, with more behind.
fn sweep<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&SWEEP[..], &[out], more].concat()
}

fn summary(place: &Place, sweep: &str) -> Vec<Vec<u8>> {
    SUMMARY.iter().map(|name| std::fs::read(place.at(sweep).join(name)).unwrap()).collect()
}

fn json(place: &Place, sweep: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.at(sweep).join("summary.json")).unwrap()).unwrap()
}

#[test]
fn a_sweep_leaves_its_runs_and_a_summary_that_its_logs_bear_out() {
    let place = Place::new(6, 4);
    let said = place.ok(&sweep("out", &[]));
    assert!(said.contains("[4/4] freeze-80_batch-3_fold-2"), "{said}");
    assert!(!said.contains("does not count") && said.contains("out/summary.{csv,json,svg}"), "{said}");

    let summed = json(&place, "out");
    let configurations = summed["configurations"].as_array().unwrap();
    assert_eq!(
        configurations.iter().map(|own| own["freeze"].as_u64().unwrap()).collect::<Vec<_>>(),
        [80, 90]
    );
    let mut means = Vec::new();
    for (configuration, runs) in configurations.iter().zip(RUNS.chunks(2)) {
        let best: Vec<Value> = runs
            .iter()
            .map(|run| {
                place.log(&format!("out/{run}")).into_iter().rfind(|line| line["best"] == true).unwrap()
            })
            .collect();
        for figure in ["auc", "accuracy"] {
            let values: Vec<f64> =
                best.iter().map(|line| line["validation"][figure].as_f64().unwrap()).collect();
            let own = &configuration[figure];
            let mean = (values[0] + values[1]) / 2.0;
            assert!((own["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{own} {values:?}");
            // t(0.975; 1) = 12.7062, and the standard error of two values is half their distance.
            let half = 12.706_204_7 * (values[0] - values[1]).abs() / 2.0;
            let low = own["interval"][0].as_f64().unwrap();
            assert!((low - (mean - half).max(0.0)).abs() < 1e-6, "{own} {values:?}");
        }
        means.push(configuration["auc"]["mean"].as_f64().unwrap());
        let names: Vec<&str> = configuration["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["run"].as_str().unwrap())
            .collect();
        assert_eq!(names, runs);
    }
    let other = usize::from(summed["best"]["freeze"] == 80);
    assert!(means[1 - other] >= means[other]);
    assert_eq!(configurations[1 - other]["auc_difference"], Value::Null);
    let difference = &configurations[other]["auc_difference"];
    assert!((difference["mean"].as_f64().unwrap() - (means[other] - means[1 - other])).abs() < 1e-12);
    assert_eq!(difference["pairs"], 2);

    let csv = String::from_utf8(summary(&place, "out").remove(0)).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with("freeze,lr,batch,best,runs,auc,auc_low"), "{csv}");
    assert!(lines.iter().all(|line| line.split(',').count() == lines[0].split(',').count()), "{csv}");
    let svg = String::from_utf8(summary(&place, "out").remove(2)).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("frozen convolutions") && svg.contains("accuracy"));

    // A run of it is a run like any other.
    place.ok(&[
        "train",
        "data/train",
        "--weights",
        "w.safetensors",
        "--freeze",
        "80",
        "--fold",
        "2/2",
        "--epochs",
        "1",
        "--batch",
        "3",
        "--out",
        "alone",
    ]);
    assert_same(&place, "alone", "out/freeze-80_batch-3_fold-2");

    // Nothing is left to do, and what is said of it stays the same.
    let before = summary(&place, "out");
    let said = place.ok(&sweep("out", &[]));
    assert_eq!(said.matches(": finished").count(), 4, "{said}");
    assert!(before == summary(&place, "out"));
    place.refused(&sweep("out", &["--momentum", "0.5"]), "the sweep there began with options");
    place.refused(&["train", "--resume", "out"], "is no run");
}

#[test]
fn a_list_has_the_commands_that_are_left() {
    let place = Place::new(6, 4);
    let passed = place.ok(&sweep("other", &["--list", "--positive", "grass", "--standardize=false"]));
    assert!(passed.lines().all(|line| line.contains("--positive grass --standardize=false")), "{passed}");
    let list = |place: &Place| place.ok(&sweep("my sweep", &["--list"]));
    let lines = list(&place);
    assert_eq!(lines.lines().count(), 4, "{lines}");
    let first = lines.lines().next().unwrap();
    assert!(
        first.starts_with("nodal train data/train") && first.ends_with("'my sweep/freeze-90_batch-3_fold-1'")
    );
    assert_eq!(std::fs::read_dir(place.at("my sweep")).unwrap().count(), 1, "nothing is run");
    shell(&place, first);
    let left = list(&place);
    assert_eq!(left.lines().collect::<Vec<_>>(), lines.lines().skip(1).collect::<Vec<_>>());
    // What has begun is taken up.
    std::fs::remove_file(place.at("my sweep/freeze-90_batch-3_fold-1/weights-last.safetensors")).unwrap();
    let again = list(&place);
    assert_eq!(again.lines().next().unwrap(), "nodal train --resume 'my sweep/freeze-90_batch-3_fold-1'");
    again.lines().for_each(|line| shell(&place, line));
    assert_eq!(list(&place), "");
    place.ok(&["sweep", "--collect", "my sweep"]);
    place.ok(&sweep("whole", &[]));
    assert!(summary(&place, "my sweep") == summary(&place, "whole"), "the same, whoever made the runs");
}

/// Has a shell run a line, `nodal` being the binary.
#[track_caller]
fn shell(place: &Place, line: &str) {
    let binary = Path::new(env!("CARGO_BIN_EXE_nodal")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    let output = command.args(["-c", line]).current_dir(place.at("")).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_killed_sweep_started_again_gives_the_same_summary() {
    let place = Place::new(6, 4);
    let begin = Instant::now();
    place.ok(&sweep("whole", &[]));
    let whole = begin.elapsed();
    for i in 0..6u32 {
        let mut child = place.start(&sweep("killed", &[]));
        std::thread::sleep(whole * (i * 5 % 7 + 1) / 9);
        let _ = child.kill();
        child.wait().unwrap();
    }
    place.ok(&sweep("killed", &[]));
    assert!(summary(&place, "killed") == summary(&place, "whole"));
    RUNS.iter().for_each(|run| assert_same(&place, &format!("whole/{run}"), &format!("killed/{run}")));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_sweep_after_the_step_and_says_how_to_go_on() {
    let place = Place::new(6, 4);
    let output = place.signalled("INT", &sweep("out", &[]), "out", "out/freeze-90_batch-3_fold-1");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.contains("go on with: nodal sweep data/train --weights w.safetensors"), "{said}");
    shell(&place, last.split_once("go on with: ").unwrap().1);
    assert_eq!(json(&place, "out")["unfinished"], serde_json::json!([]));
}

#[test]
fn runs_are_collected_from_a_folder_alone() {
    let place = Place::new(6, 4);
    place.ok(&sweep("out", &[]));
    std::fs::create_dir(place.at("copy")).unwrap();
    for (i, run) in RUNS.iter().enumerate() {
        // Names do not count.
        let to = place.at("copy").join(format!("run {i}"));
        std::fs::create_dir(&to).unwrap();
        for file in ["config.json", "split.csv", "checkpoint", "metrics.jsonl", "weights-last.safetensors"] {
            std::fs::copy(place.at("out").join(run).join(file), to.join(file)).unwrap();
        }
    }
    std::fs::create_dir(place.at("copy/notes")).unwrap();
    let printed: Value = serde_json::from_str(&place.ok(&["sweep", "--collect", "copy", "--json"])).unwrap();
    assert_eq!(printed, json(&place, "copy"));
    let figures = |sweep: &str| std::fs::read_to_string(place.at(sweep).join("summary.csv")).unwrap();
    assert_eq!(figures("copy"), figures("out"));

    std::fs::remove_file(place.at("copy/run 3/weights-last.safetensors")).unwrap();
    std::fs::write(place.at("copy/run 1/metrics.jsonl"), "{\n").unwrap();
    let said = place.ok(&["sweep", "--collect", "copy"]);
    assert!(said.contains("run 3: unfinished, 1 of 1 epochs, does not count"), "{said}");
    assert!(said.contains("run 1: ") && said.contains("a line is broken"), "{said}");
    let difference = &json(&place, "copy")["configurations"][0]["accuracy"]["runs"];
    assert_eq!(*difference, 1);

    std::fs::write(place.at("copy/run 0/config.json"), "").unwrap();
    std::fs::remove_dir_all(place.at("copy/run 2")).unwrap();
    place.refused(&["sweep", "--collect", "copy"], "copy: no run is finished, run 0 is ");
    place.refused(&["sweep", "--collect", "nowhere"], "nowhere: is no folder of runs");
    place.refused(&["sweep", "--collect", "copy", "--freeze", "3"], "leave --freeze out");
    place.refused(&["sweep", "--collect", "copy", "--epochs", "3"], "leave --epochs out");
}

#[test]
fn a_run_that_fails_is_named_and_the_others_go_on() {
    let place = Place::new(6, 4);
    let arguments = [
        "sweep",
        "data/train",
        "--weights",
        "w.safetensors",
        "--out",
        "out",
        "--lr",
        "1e30,0.001",
        "--seed",
        "1,2",
        "--val-fraction",
        "0.3",
        "--freeze",
        "90",
        "--epochs",
        "1",
        "--batch",
        "3",
    ];
    place.refused(
        &arguments,
        "2 of 4 runs failed: freeze-90_lr-1e30_batch-3_seed-1, freeze-90_lr-1e30_batch-3_seed-2",
    );
    let output = place.output(&arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("nodal: freeze-90_lr-1e30_batch-3_seed-1: step"), "{error}");
    let summed = json(&place, "out");
    assert_eq!(summed["best"]["lr"], 0.001);
    assert_eq!(summed["configurations"][0]["runs"].as_array().unwrap().len(), 2);
    assert_eq!(summed["unfinished"].as_array().unwrap().len(), 2);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_runs() {
    let place = Place::new(6, 4);
    let begin = ["sweep", "data/train", "--weights", "w.safetensors", "--out", "out", "--batch"];
    let call = |more: &[&'static str]| [&begin[..], more].concat();
    place.refused(&["sweep"], "required");
    place.refused(
        &["sweep", "data/train", "--weights", "w.safetensors", "--out", "out"],
        "needs something to vary",
    );
    place.refused(&call(&["3", "--freeze", "80,95", "--folds", "2"]), "freeze-95_batch-3_fold-1: 95 frozen");
    place.refused(&call(&["3,5", "--folds", "2"]), "batch-5_fold-1: 6 images in batches of 5 leave one");
    place.refused(
        &call(&["3", "--lr", "0.1,0", "--folds", "2"]),
        "lr-0_batch-3_fold-1: lr 0: give a positive number",
    );
    place.refused(&call(&["3", "--lr", "0.001,1e-3"]), "--lr has 0.001 twice");
    place.refused(
        &call(&["3", "--lr=-1", "--folds", "2"]),
        "lr--1_batch-3_fold-1: lr -1: give a positive number",
    );
    place.refused(&call(&["3", "--folds", "1"]), "1 is not in");
    place.refused(&call(&["3", "--folds", "2", "--val-fraction", "0.5"]), "cannot be used with");
    place.refused(&call(&["3", "--folds", "7"]), "too few for 7 folds");
    place.refused(
        &["sweep", "data", "--weights", "w.safetensors", "--out", "out", "--folds", "2", "--batch", "4"],
        "data: is split already into train and val",
    );
    place.refused(&call(&["3", "--list", "--freeze", "95"]), "95 frozen");
    assert!(!place.at("out").exists());
    let elsewhere = ["sweep", "data/train", "--weights", "w.safetensors", "--out", "data", "--batch", "3"];
    place.refused(&elsewhere, "data: is there already and is no sweep");
}

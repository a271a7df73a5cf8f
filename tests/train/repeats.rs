//! The same bits again: with the same seed, on other threads, after a kill, after Ctrl-C.

use std::time::{Duration, Instant};

use super::place::{Place, assert_same, short};

#[test]
fn the_same_seed_gives_the_same_files_on_any_number_of_threads() {
    let place = Place::new(6, 4);
    let run = |out, seed, threads| {
        let mut arguments =
            short(&["--out", out, "--augment", "paper", "--dropout", "0.2", "--threads", threads]);
        let at = arguments.iter().position(|a| *a == "9").unwrap();
        arguments[at] = seed;
        place.ok(&arguments);
    };
    run("one", "9", "1");
    run("three", "9", "3");
    assert_same(&place, "one", "three");
    run("other", "10", "1");
    let weights = |run: &str| std::fs::read(place.at(run).join("weights-last.safetensors")).unwrap();
    assert!(weights("one") != weights("other"), "another seed is another run");
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened() {
    let place = Place::new(6, 4);
    let more = ["--augment", "paper", "--checkpoint-every", "2"];
    let begin = Instant::now();
    place.ok(&short(&[&["--out", "whole"], &more[..]].concat()));
    let whole = begin.elapsed();
    let mut kills = 0;
    // Moments spread over the run without a pattern, the first ones while it is being made.
    for i in 0..20u32 {
        if !place.at("killed").exists() {
            kill_after(&place, &short(&[&["--out", "killed"], &more[..]].concat()), whole * (i % 7) / 10);
        } else {
            kill_after(&place, &["train", "--resume", "killed"], whole * (i * 13 % 8) / 12);
        }
        kills += 1;
    }
    if place.at("killed").exists() {
        place.ok(&["train", "--resume", "killed"]);
    } else {
        place.ok(&short(&[&["--out", "killed"], &more[..]].concat()));
    }
    assert_eq!(kills, 20);
    assert_same(&place, "whole", "killed");
}

/// Starts a call and ends it with SIGKILL after a while, if it lasts that long.
fn kill_after(place: &Place, arguments: &[&str], time: Duration) {
    let mut child = place.start(arguments);
    std::thread::sleep(time);
    let _ = child.kill();
    child.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_after_the_step_and_says_how_to_go_on() {
    let place = Place::new(6, 4);
    place.ok(&short(&["--out", "whole"]));
    let child = place.start(&short(&["--out", "stopped"]));
    // As soon as a step is in the log.
    let log = place.at("stopped").join("metrics.jsonl");
    let begin = Instant::now();
    while std::fs::metadata(&log).map_or(0, |about| about.len()) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(120), "no step within two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(!place.at("stopped").join("weights-last.safetensors").exists());
    let said = place.ok(&["train", "--resume", "stopped"]);
    assert!(said.contains("best epoch"), "{said}");
    assert_same(&place, "whole", "stopped");
    // Taken up once more it has nothing to do.
    place.ok(&["train", "--resume", "stopped"]);
    assert_same(&place, "whole", "stopped");
}

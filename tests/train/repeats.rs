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
    let more = ["--augment", "paper", "--checkpoint-every", "2", "--reestimate-batch-norm"];
    let begin = Instant::now();
    place.ok(&short(&[&["--out", "whole"], &more[..]].concat()));
    let whole = begin.elapsed();
    // Moments without a pattern, until twenty have hit a run in progress; a run that gets to its end is compared, and another begun.
    let (mut kills, mut runs, mut tries) = (0, 0, 0);
    while kills < 20 {
        tries += 1;
        assert!(tries < 200, "{kills} of {tries} tries hit a run in progress");
        let run = format!("killed{runs}");
        let call = match place.at(&run).exists() {
            true => vec!["train", "--resume", &run],
            false => short(&[&["--out", &run], &more[..]].concat()),
        };
        if kill_after(&place, &call, whole * (tries * 13 % 8 + 1) / 12) {
            kills += 1;
        } else {
            assert_same(&place, "whole", &run);
            runs += 1;
        }
    }
    let run = format!("killed{runs}");
    match place.at(&run).exists() {
        true => place.ok(&["train", "--resume", &run]),
        false => place.ok(&short(&[&["--out", &run], &more[..]].concat())),
    };
    assert_same(&place, "whole", &run);
}

/// Starts a call and ends it with SIGKILL after a while; false where it had ended well before.
fn kill_after(place: &Place, arguments: &[&str], time: Duration) -> bool {
    let mut child = place.start(arguments);
    let begin = Instant::now();
    while begin.elapsed() < time {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{arguments:?}: {status}");
            return false;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

#[test]
fn one_process_at_a_time_trains_in_a_run() {
    let place = Place::new(6, 4);
    place.ok(&short(&["--out", "whole", "--checkpoint-every", "1"]));
    let mut child = place.start(&short(&["--out", "busy", "--checkpoint-every", "1"]));
    while !place.at("busy").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    place.refused(&["train", "--resume", "busy"], "another process trains in this run");
    assert!(child.wait().unwrap().success());
    assert_same(&place, "whole", "busy");
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

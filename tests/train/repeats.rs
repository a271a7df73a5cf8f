//! The same bits again: with the same seed, on other threads, after a kill, after Ctrl-C, after a full disk.

use std::cell::Cell;
use std::time::{Duration, Instant};

use nodal::Device;
use nodal::data::Preprocess;
use nodal::train::{Begin, End, EpochReport, Hyper, Job, StepReport, Watch};

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
    let device = Device::open("cpu", Some(2)).unwrap();
    let hyper = Hyper { epochs: 1, batch: 5, freeze: 80, ..Hyper::default() };
    let begin = |run| Job::begin(begin(&place, hyper.clone()), &place.at(run), &device, 2).unwrap();
    begin("whole").run(&device, &mut never()).unwrap();
    let job = begin("busy");
    place.refused(&["train", "--resume", "busy"], "another process trains in this run");
    job.run(&device, &mut never()).unwrap();
    assert_same(&place, "whole", "busy");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_after_the_step_and_says_how_to_go_on() {
    let place = Place::new(6, 4);
    place.ok(&short(&["--out", "whole"]));
    let output = place.signalled("INT", &short(&["--out", "stopped"]), "stopped", "stopped");
    assert_eq!(output.status.code(), Some(130));
    assert!(!place.at("stopped").join("weights-last.safetensors").exists());
    let said = place.ok(&["train", "--resume", "stopped"]);
    assert!(said.contains("best epoch"), "{said}");
    assert_same(&place, "whole", "stopped");
    // Taken up once more it has nothing to do.
    place.ok(&["train", "--resume", "stopped"]);
    assert_same(&place, "whole", "stopped");
}

/// A run over the crops of `place`.
pub fn begin(place: &Place, hyper: Hyper) -> Begin {
    Begin {
        data: place.at("data"),
        weights: place.at("w.safetensors"),
        preprocess: Preprocess { size: (75, 75), ..Preprocess::default() },
        mean_image: false,
        softmax: false,
        split_by: None,
        val_fraction: None,
        fold: None,
        positive: None,
        balanced: false,
        hyper,
    }
}

/// Asks to stop when it is asked for the n-th time whether to.
pub struct StopAt(pub Cell<usize>);

impl Watch for StopAt {
    fn step(&mut self, _: &StepReport) {}

    fn epoch(&mut self, _: &EpochReport) {}

    fn stop(&self) -> bool {
        self.0.set(self.0.get().wrapping_sub(1));
        self.0.get() == 0
    }
}

/// Asks not at all.
fn never() -> StopAt {
    StopAt(Cell::new(0))
}

#[test]
fn a_run_can_be_stopped_in_validation_and_in_re_estimation() {
    let place = Place::new(6, 4);
    let device = Device::open("cpu", Some(2)).unwrap();
    let hyper = Hyper { epochs: 1, batch: 5, freeze: 80, reestimate: true, ..Hyper::default() };
    let begin = || begin(&place, hyper.clone());
    let mut whole = never();
    Job::begin(begin(), &place.at("whole"), &device, 2).unwrap().run(&device, &mut whole).unwrap();
    // After each of three steps, before each of two batches of validation, three of training, and two of validation again.
    assert_eq!(usize::MAX - whole.0.get() + 1, 3 + 2 + 3 + 2);
    for (n, stopped) in [(4, (0, 3)), (5, (0, 3)), (10, (1, 0))] {
        let run = format!("stopped{n}");
        let job = Job::begin(begin(), &place.at(&run), &device, 2).unwrap();
        let end = job.run(&device, &mut StopAt(Cell::new(n))).unwrap();
        assert_eq!(end, End::Stopped { epoch: stopped.0, batch: stopped.1 }, "{n}");
        drop(job);
        let job = Job::resume(&place.at(&run), 2).unwrap();
        assert!(matches!(job.run(&device, &mut never()).unwrap(), End::Finished(Some(_))));
        drop(job);
        assert_same(&place, "whole", &run);
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_one_sentence_and_loses_nothing() {
    let place = Place::new(6, 4);
    let device = Device::open("cpu", Some(2)).unwrap();
    let hyper = Hyper { epochs: 1, batch: 5, freeze: 80, checkpoint_every: 2, ..Hyper::default() };
    let begin = || begin(&place, hyper.clone());
    Job::begin(begin(), &place.at("whole"), &device, 2).unwrap().run(&device, &mut never()).unwrap();
    // The limit on a file's size stands for the disk's: it lets the log through and no weights.
    let limited = |arguments: &[&str]| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 20000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_nodal")]);
        shell.args(arguments).current_dir(place.at("")).output().unwrap()
    };
    let refused = |arguments: &[&str], file: &str| {
        let output = limited(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("nodal: ") && last.contains(file) && last.contains("write"), "{said}");
    };
    refused(&short(&["--out", "never"]), "never");
    let left: Vec<_> = std::fs::read_dir(place.at("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("never")), "{left:?}");
    // A run that has begun.
    let job = Job::begin(begin(), &place.at("full"), &device, 2).unwrap();
    job.run(&device, &mut StopAt(Cell::new(1))).unwrap();
    drop(job);
    refused(&["train", "--resume", "full"], "full");
    place.ok(&["train", "--resume", "full"]);
    assert_same(&place, "whole", "full");
}

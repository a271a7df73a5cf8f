//! A folder with small weights and crops, and the binary driven in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What identifies the crops of two classes in the repository.
const CLASSES: [&str; 2] = ["grass", "gravel"];

/// A folder that goes when it is dropped.
pub struct Place(tempfile::TempDir);

impl Place {
    /// With `train` and `val` crops of each class, and weights for 75×75.
    pub fn new(train: usize, val: usize) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        for (part, count) in [("train", train), ("val", val)] {
            for class in CLASSES {
                place.crops(part, class, &format!("data/{part}/{class}"), count);
            }
        }
        place.ok(&["init", "--seed", "4", "--size", "75", "-o", "w.safetensors"]);
        place
    }

    /// Copies `count` crops of `class` from the repository's `part` into the folder `to`.
    pub fn crops(&self, part: &str, class: &str, to: &str, count: usize) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crops").join(part).join(class);
        std::fs::create_dir_all(self.at(to)).unwrap();
        for i in 0..count {
            let name = format!("{class}-{i:03}.jpg");
            std::fs::copy(from.join(&name), self.at(to).join(&name)).unwrap();
        }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodal"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a good call prints.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A bad call ends with one sentence that has `says` in it.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str], says: &str) {
        let output = self.output(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {:?} {message}", output.status);
        assert!(message.contains(says), "{arguments:?}: expected `{says}` in: {message}");
        assert!(!message.contains("panicked"), "{arguments:?}: {message}");
        if output.status.code() == Some(1) {
            let last = message.lines().last().unwrap_or_default();
            assert!(last.starts_with("nodal: "), "{arguments:?}: {message}");
        }
    }

    /// Starts a call and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What becomes of a call that gets a signal, INT or KILL, as soon as a step is in the log of `run`. One that has ended by then is
    /// made anew, without what it left at `out`.
    #[cfg(unix)]
    pub fn signalled(&self, signal: &str, arguments: &[&str], out: &str, run: &str) -> Output {
        let log = self.at(run).join("metrics.jsonl");
        for _ in 0..5 {
            let mut child =
                self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let begin = Instant::now();
            while std::fs::metadata(&log).map_or(0, |about| about.len()) == 0 {
                let waits = begin.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none();
                if !waits {
                    let _ = child.kill();
                    panic!("{arguments:?}: no step within two minutes: {:?}", child.wait());
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
            assert!(kill.unwrap().success());
            let output = child.wait_with_output().unwrap();
            if !output.status.success() {
                return output;
            }
            std::fs::remove_dir_all(self.at(out)).unwrap();
        }
        panic!("{arguments:?}: had ended five times before it got a signal");
    }

    /// The lines of a run's log.
    pub fn log(&self, run: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.at(run).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A short run: 12 images in batches of 5, most of the network frozen.
pub const SHORT: [&str; 12] = [
    "train",
    "data",
    "--weights",
    "w.safetensors",
    "--epochs",
    "3",
    "--batch",
    "5",
    "--freeze",
    "80",
    "--seed",
    "9",
];

/// [`SHORT`] with more behind.
pub fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SHORT[..], more].concat()
}

/// A run's files that must not differ, times in its log left out.
pub fn content(place: &Place, run: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(place.at(run))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "metrics.jsonl")
        .map(|name| (name.clone(), std::fs::read(place.at(run).join(name)).unwrap()))
        .collect();
    files.sort();
    let mut log = place.log(run);
    for line in log.iter_mut().filter_map(Value::as_object_mut) {
        for time in ["images_per_s", "wait_ms", "took_ms"] {
            line.remove(time);
        }
    }
    // The checkpoint counts the log's bytes, times included.
    for (name, bytes) in &mut files {
        if name == "checkpoint" {
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let mut json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
            json["__metadata__"].as_object_mut().unwrap().remove("checkpoint.log_bytes").unwrap();
            *bytes = [json.to_string().into_bytes(), bytes[8 + header..].to_vec()].concat();
        }
    }
    files.push(("metrics.jsonl".into(), format!("{log:?}").into_bytes()));
    files
}

/// Fails for the first file in which two runs differ.
#[track_caller]
pub fn assert_same(place: &Place, one: &str, other: &str) {
    let (a, b) = (content(place, one), content(place, other));
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b), "{one} and {other}");
    for ((name, a), (_, b)) in a.iter().zip(&b) {
        assert!(a == b, "{one} and {other} differ in {name}");
    }
}

//! A run's folder: all that is needed to repeat the run, what it gave, and where it stands.
//!
//! `config.json`, `split.csv` and a first `checkpoint` are there from the moment at which the folder appears: it is filled and locked
//! under another name and renamed, so that there is never a run that cannot go on, or that another process takes first. Every file appears whole or not at all; only
//! `metrics.jsonl` grows line by line, and the checkpoint says up to where it counts.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::log::Epoch;
use crate::error::{Error, Result};
use crate::files::{make_whole, write_whole};
use crate::weights::Weights;

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held by the one process that trains in it.
    _lock: Option<Arc<Lock>>,
}

impl RunFolder {
    /// Makes the folder `path` with its first files; `split` writes the file that it is given. The folder is this process's own.
    ///
    /// # Errors
    /// [`Error::Argument`] when something lies there; [`Error::Io`] when it cannot be written.
    pub fn create(
        path: &Path,
        config: &impl Serialize,
        split: impl FnOnce(&Path) -> Result<()>,
        checkpoint: &Weights,
    ) -> Result<Self> {
        RunFolder::check_free(path)?;
        clear_abandoned(path);
        // Locked before the folder has its name: from then on another process can find it.
        let lock = make_whole(path, |hidden| {
            let folder = RunFolder { path: hidden.to_path_buf(), _lock: None };
            folder.write_json("config.json", config)?;
            split(&folder.file("split.csv"))?;
            checkpoint.save_safetensors(&folder.checkpoint())?;
            File::create(folder.metrics()).map_err(|e| Error::io(path, "write", e))?;
            lock(hidden)
        })?;
        Ok(RunFolder { path: path.to_path_buf(), _lock: Some(lock) })
    }

    /// Whether a run can be made at `path`: asked before long work.
    ///
    /// # Errors
    /// [`Error::Argument`] when something lies there.
    pub fn check_free(path: &Path) -> Result<()> {
        let entries = fs::read_dir(path).map(|mut entries| entries.next().is_some());
        if !entries.unwrap_or(fs::symlink_metadata(path).is_ok()) {
            return Ok(());
        }
        let further = match RunFolder::open(path) {
            Ok(_) => format!(", or go on with --resume {}", path.display()),
            Err(_) => String::new(),
        };
        let path = path.display();
        Err(Error::Argument(format!("{path}: is there already: name another folder with --out{further}")))
    }

    /// The folder of a run that has begun, to look at.
    ///
    /// # Errors
    /// [`Error::Argument`] when it is none.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = RunFolder { path: path.to_path_buf(), _lock: None };
        let needed =
            [folder.file("config.json"), folder.file("split.csv"), folder.checkpoint(), folder.metrics()];
        match needed.iter().find(|file| !file.is_file()) {
            Some(missing) => Err(Error::Argument(format!(
                "{}: is no run: {} is missing",
                path.display(),
                missing.file_name().unwrap_or_default().display()
            ))),
            None => Ok(folder),
        }
    }

    /// The folder of a run that has begun, to train in; what a killed write left is cleared away.
    ///
    /// # Errors
    /// [`Error::Argument`] when it is none, or while another process trains in it.
    pub fn take(path: &Path) -> Result<Self> {
        let folder =
            RunFolder { _lock: Some(lock(RunFolder::open(path)?.path())?), path: path.to_path_buf() };
        for entry in fs::read_dir(path).map_err(|e| Error::io(path, "read", e))?.flatten() {
            if unfinished(entry.file_name().as_encoded_bytes()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(folder)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the run stands.
    pub fn checkpoint(&self) -> PathBuf {
        self.file("checkpoint")
    }

    /// A line for every step and epoch.
    pub fn metrics(&self) -> PathBuf {
        self.file("metrics.jsonl")
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.file(name);
        let text = serde_json::to_string_pretty(value).map_err(|e| Error::format(&path, e.to_string()))?;
        self.write(name, &format!("{text}\n"))
    }

    /// Writes a text.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        write_whole(&self.file(name), |writer| writer.write_all(text.as_bytes()))
    }

    /// The epochs that `metrics.jsonl` tells of, in their order; a last line that a crash cut off is not one.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] when that cannot be read.
    pub fn epochs(&self) -> Result<Vec<Epoch>> {
        let path = self.metrics();
        let bytes = fs::read(&path).map_err(|e| Error::io(&path, "read", e))?;
        let broken = |e| Error::format(&path, format!("a line is broken: {e}"));
        let mut epochs = Vec::new();
        for line in bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let line: serde_json::Value = serde_json::from_slice(line).map_err(broken)?;
            if line["kind"] == "epoch" {
                epochs.push(serde_json::from_value(line).map_err(broken)?);
            }
        }
        Ok(epochs)
    }

    /// What it was made with.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] when that cannot be read.
    pub fn config<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        let path = self.file("config.json");
        let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", e))?;
        serde_json::from_str(&text).map_err(|e| Error::format(&path, format!("is no run's config: {e}")))
    }
}

/// A locked file, unlocked when dropped: a child process that is being started holds copies of all open files for a moment.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the last copy unlocks it too.
        let _ = self.0.unlock();
    }
}

/// Keeps other processes from training in the run at `path`, until it is dropped.
fn lock(path: &Path) -> Result<Arc<Lock>> {
    let file = File::open(path.join("config.json")).map_err(|e| Error::io(path, "read", e))?;
    match file.try_lock() {
        Ok(()) => Ok(Arc::new(Lock(file))),
        Err(TryLockError::WouldBlock) => Err(Error::Argument(format!(
            "{}: another process trains in this run: wait for its end, or end it",
            path.display()
        ))),
        Err(TryLockError::Error(e)) => Err(Error::io(path, "lock", e)),
    }
}

/// Whether a name is that of a write that has not ended.
fn unfinished(name: &[u8]) -> bool {
    name.starts_with(b".") && name.ends_with(b".part")
}

/// Removes what processes that are gone left of making a run at `path`; where processes are not told, nothing.
fn clear_abandoned(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().display());
    let (Ok(entries), true) = (fs::read_dir(parent), Path::new("/proc/self").exists()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".part"));
        let process = process.and_then(|process| process.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;
    use crate::tensor::Tensor;
    use crate::train::Log;

    #[test]
    fn a_run_is_its_makers_from_the_moment_it_appears() {
        let place = tempfile::tempdir().unwrap();
        let one = Tensor::new(&[1], vec![1.0]).unwrap();
        let weights = Weights::from_tensors([("a", &one)].into_iter()).unwrap();
        for i in 0..50 {
            let path = place.path().join(i.to_string());
            let made = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    loop {
                        let last = made.load(SeqCst);
                        match RunFolder::take(&path) {
                            Err(error) if error.to_string().contains("is no run") && !last => {}
                            taken => break taken,
                        }
                    }
                });
                let split = |path: &Path| fs::write(path, "image\n").map_err(|e| Error::io(path, "write", e));
                let run = RunFolder::create(&path, &1, split, &weights);
                made.store(true, SeqCst);
                let (run, taken) = (run.unwrap(), other.join().unwrap());
                assert!(taken.is_err_and(|e| e.to_string().contains("another process trains")), "{i}");
                drop(run);
            });
        }
    }

    #[test]
    fn a_run_appears_whole_and_a_log_is_cut_to_what_counts() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        let one = Tensor::new(&[1], vec![1.0]).unwrap();
        let weights = Weights::from_tensors([("a", &one)].into_iter()).unwrap();
        let split = |path: &Path| fs::write(path, "image\n").map_err(|e| Error::io(path, "write", e));
        let fails = |path: &Path| Err(Error::Argument(format!("{}: planted", path.display())));
        assert!(RunFolder::create(&path, &1, fails, &weights).is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "nothing is left of a failure");
        let run = RunFolder::create(&path, &serde_json::json!({"epochs": 3}), split, &weights).unwrap();
        let error = RunFolder::create(&path, &1, split, &weights).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");

        let mut log = Log::open(&run.metrics(), 0).unwrap();
        log.line(&serde_json::json!({"step": 0})).unwrap();
        let counts = log.settle().unwrap();
        log.line(&serde_json::json!({"step": 1})).unwrap();
        fs::write(run.file(".checkpoint.1.part"), "half").unwrap();
        let busy = RunFolder::take(&path).unwrap_err().to_string();
        assert!(busy.contains("another process trains in this run"), "{busy}");
        drop(run);
        let run = RunFolder::take(&path).unwrap();
        assert!(!run.file(".checkpoint.1.part").exists());
        let mut log = Log::open(&run.metrics(), counts).unwrap();
        log.line(&serde_json::json!({"step": 7})).unwrap();
        assert_eq!(fs::read_to_string(run.metrics()).unwrap(), "{\"step\":0}\n{\"step\":7}\n");
        let config: serde_json::Value = run.config().unwrap();
        assert_eq!(config["epochs"], 3);

        let figures = r#"{"loss":1,"accuracy":0.5,"auc":null}"#;
        let epoch = format!(
            r#"{{"kind":"epoch","epoch":1,"training":{figures},"validation":{figures},"best":true}}"#
        );
        let epochs = |text: String| {
            fs::write(run.metrics(), text).unwrap();
            run.epochs().map(|epochs| epochs.len()).map_err(|e| e.to_string())
        };
        assert_eq!(epochs(format!("{epoch}\n{{\"step\":7}}\n{}", &epoch[..40])), Ok(1), "cut off by a crash");
        let torn = epochs(format!("{}\n{epoch}\n", &epoch[..40])).unwrap_err();
        assert!(torn.contains("a line is broken"), "{torn}");
        fs::remove_file(run.checkpoint()).unwrap();
        assert!(RunFolder::open(&path).unwrap_err().to_string().contains("checkpoint is missing"));
    }
}

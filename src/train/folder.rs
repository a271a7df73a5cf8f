//! A run's folder: all that is needed to repeat the run, what it gave, and where it stands.
//!
//! `config.json`, `split.csv` and a first `checkpoint` are there from the moment at which the folder appears: it is filled under
//! another name and renamed, so that there is never a run that cannot go on. Every file appears whole or not at all; only
//! `metrics.jsonl` grows line by line, and the checkpoint says up to where it counts.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::weights::Weights;

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder `path` with its first files; `split` writes the file that it is given.
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
        let name = path
            .file_name()
            .ok_or_else(|| Error::Argument(format!("{}: names no folder: give --out one", path.display())))?;
        let hidden = path.with_file_name(format!(".{}.{}.part", name.display(), std::process::id()));
        let made = fs::create_dir_all(&hidden).map_err(|e| Error::io(path, "create", e)).and_then(|()| {
            let folder = RunFolder { path: hidden.clone() };
            folder.write_json("config.json", config)?;
            split(&folder.file("split.csv"))?;
            checkpoint.save_safetensors(&folder.checkpoint())?;
            File::create(folder.metrics()).map_err(|e| Error::io(path, "write", e))?;
            fs::rename(&hidden, path).map_err(|e| Error::io(path, "create", e))
        });
        if let Err(error) = made {
            // The first error is the one worth telling.
            let _ = fs::remove_dir_all(&hidden);
            return Err(error);
        }
        Ok(RunFolder { path: path.to_path_buf() })
    }

    /// Whether a run can be made at `path`: asked before long work.
    ///
    /// # Errors
    /// [`Error::Argument`] when something lies there.
    pub fn check_free(path: &Path) -> Result<()> {
        let occupied =
            fs::read_dir(path).map(|mut entries| entries.next().is_some()).unwrap_or(path.exists());
        match occupied {
            true => Err(Error::Argument(format!(
                "{}: is there already: name another folder with --out, or go on with --resume {0}",
                path.display()
            ))),
            false => Ok(()),
        }
    }

    /// The folder of a run that has begun; what a killed write left is cleared away.
    ///
    /// # Errors
    /// [`Error::Argument`] when it is none.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = RunFolder { path: path.to_path_buf() };
        let needed = [folder.file("config.json"), folder.file("split.csv"), folder.checkpoint()];
        if let Some(missing) = needed.iter().find(|file| !file.is_file()) {
            return Err(Error::Argument(format!(
                "{}: is no run: {} is missing",
                path.display(),
                missing.file_name().unwrap_or_default().display()
            )));
        }
        for entry in fs::read_dir(path).map_err(|e| Error::io(path, "read", e))?.flatten() {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(b".") && name.ends_with(b".part") {
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

    /// Mean loss of each epoch in `metrics.jsonl`, in training and in validation.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] when that cannot be read.
    pub fn losses(&self) -> Result<(Vec<f64>, Vec<f64>)> {
        let path = self.metrics();
        let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", e))?;
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line)
                .map_err(|e| Error::format(&path, format!("a line is broken: {e}")))?;
            if line["kind"] == "epoch" {
                training.extend(line["training"]["loss"].as_f64());
                validation.extend(line["validation"]["loss"].as_f64());
            }
        }
        Ok((training, validation))
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

/// The lines of `metrics.jsonl`.
pub struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    /// Opens it at its first `bytes` bytes; what stands behind them belongs to steps that will be run again.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written, [`Error::Format`] when it is shorter.
    pub fn open(path: &Path, bytes: u64) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|e| Error::io(path, "write", e))?;
        let length = file.metadata().map_err(|e| Error::io(path, "read", e))?.len();
        if length < bytes {
            return Err(Error::format(
                path,
                format!("has {length} bytes where the checkpoint counts {bytes}"),
            ));
        }
        file.set_len(bytes).map_err(|e| Error::io(path, "write", e))?;
        Ok(Log { path: path.to_path_buf(), file, bytes })
    }

    /// Appends `value` as a line.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn line(&mut self, value: &serde_json::Value) -> Result<()> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes()).map_err(|e| Error::io(&self.path, "write", e))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Its length, all of it on disk.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn settle(&mut self) -> Result<u64> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, "write", e))?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

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
        let run = RunFolder::open(&path).unwrap();
        assert!(!run.file(".checkpoint.1.part").exists());
        let mut log = Log::open(&run.metrics(), counts).unwrap();
        log.line(&serde_json::json!({"step": 7})).unwrap();
        assert_eq!(fs::read_to_string(run.metrics()).unwrap(), "{\"step\":0}\n{\"step\":7}\n");
        let config: serde_json::Value = run.config().unwrap();
        assert_eq!(config["epochs"], 3);
        fs::remove_file(run.checkpoint()).unwrap();
        assert!(RunFolder::open(&path).unwrap_err().to_string().contains("checkpoint is missing"));
    }
}

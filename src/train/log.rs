//! `metrics.jsonl`: a line for every step and epoch.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Figures;
use crate::error::{Error, Result};

/// An epoch as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// On the training part, while it learned.
    pub training: Figures,
    /// On the validation part.
    pub validation: Figures,
    /// Whether it was the best until then.
    pub best: bool,
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
        let file = OpenOptions::new().append(true).open(path);
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

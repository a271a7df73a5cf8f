//! What a run leaves for those who judge it: its data, found unchanged, and the weights of its best epoch.

use std::path::PathBuf;

use super::checkpoint::BEST_EPOCH;
use super::{Config, RunFolder};
use crate::data::train::{Dataset, Split};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// The weights of the best epoch.
pub(super) const BEST: &str = "weights-best.safetensors";

impl RunFolder {
    /// The data the run began with, and which of them teach and which validate.
    ///
    /// # Errors
    /// [`Error::Argument`] when they lie there no more, or files or labels have changed since; those of reading them.
    pub fn data(&self) -> Result<(Dataset, Split)> {
        let config: Config = self.config()?;
        if !config.data.exists() {
            let (data, run) = (config.data.display(), self.path().display());
            return Err(Error::Argument(format!(
                "{data}: the data of the run {run} are not there any more: put them back or a link to them, or judge its weights on \
                 other data with `nodal evaluate DATA --weights {run}`"
            )));
        }
        let mut data = Dataset::open(&config.data)?;
        if let [_, positive] = &config.classes[..] {
            // Other classes are other data, which the digest tells.
            data = data.clone().with_positive(positive).unwrap_or(data);
        }
        if data.digest()? != config.data_digest {
            return Err(Error::Argument(format!(
                "{}: these are not the data that the run began with, some file or label has changed: put them back, or begin a new \
                 run",
                config.data.display()
            )));
        }
        let split = Split::read(&data, &self.file("split.csv"))?;
        Ok((data, split))
    }

    /// The weight file of the best epoch.
    ///
    /// # Errors
    /// [`Error::Argument`] while no epoch has ended, and when the file is gone.
    pub fn best(&self) -> Result<PathBuf> {
        let path = self.file(BEST);
        if path.is_file() {
            return Ok(path);
        }
        let run = self.path().display();
        // The log's epoch stands there before its weights do; the checkpoint comes last.
        let ended = Weights::open(&self.checkpoint())?.metadata().contains_key(BEST_EPOCH);
        Err(Error::Argument(match ended && !self.epochs()?.is_empty() {
            true => format!(
                "{run}: {BEST} is gone, which its best epoch had left: put it back, or train again into another folder"
            ),
            false => format!(
                "{run}: has no {BEST}, its first epoch has not ended: go on with `nodal train --resume {run}`"
            ),
        }))
    }
}

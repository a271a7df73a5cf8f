//! What a run leaves for those who judge it: its data, found unchanged, and the weights of its best epoch.

use std::path::PathBuf;

use super::{Config, RunFolder};
use crate::data::train::{Dataset, Split};
use crate::error::{Error, Result};

/// The weights of the best epoch.
pub(super) const BEST: &str = "weights-best.safetensors";

impl RunFolder {
    /// The data the run began with, and which of them teach and which validate.
    ///
    /// # Errors
    /// [`Error::Argument`] when files or labels have changed since; those of reading them.
    pub fn data(&self) -> Result<(Dataset, Split)> {
        let config: Config = self.config()?;
        let data = Dataset::open(&config.data)?;
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
    /// [`Error::Argument`] while no epoch has ended.
    pub fn best(&self) -> Result<PathBuf> {
        let path = self.file(BEST);
        match path.is_file() {
            true => Ok(path),
            false => Err(Error::Argument(format!(
                "{run}: has no {BEST}, its first epoch has not ended: go on with `nodal train --resume {run}`",
                run = self.path().display()
            ))),
        }
    }
}

//! Cuts of convolutions that were found by measuring, in a JSON file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Step, Tile};
use crate::error::{Error, Result};

/// How a program's launches are cut on one card; they go before the estimate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// The card it was measured on.
    pub card: String,
    /// Images of a run.
    pub batch: usize,
    /// Height and width of the input.
    pub size: (usize, usize),
    /// Cuts by the names of the layers in a launch, joined by `+`.
    pub launches: BTreeMap<String, TunedCut>,
}

/// The cut of one launch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedCut {
    /// The outputs of one thread block.
    pub tile: Tile,
    /// Steps of eight terms at most that a group of warps adds.
    pub steps: usize,
    /// Its time, in microseconds.
    pub us: f64,
}

impl Tuning {
    /// The table in the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Format`] when it is no tuning table.
    pub fn open(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
        let problem = |what: String| {
            Error::format(path, format!("is no tuning table: {what}; make one with `nodal tune`"))
        };
        let tuning: Tuning = serde_json::from_str(&text).map_err(|e| problem(e.to_string()))?;
        match tuning.launches.iter().find(|(_, cut)| cut.steps == 0) {
            Some((name, _)) => Err(problem(format!("{name} has 0 steps"))),
            None => Ok(tuning),
        }
    }

    /// Writes it to `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::format(path, e.to_string()))?;
        crate::files::write_whole(path, |file| std::io::Write::write_all(file, text.as_bytes()))
    }

    /// Whether each of its launches is one of `steps`.
    ///
    /// # Errors
    /// [`Error::Argument`] when one is not: the table would be of no use there.
    pub(super) fn check_names(&self, steps: &[Step]) -> Result<()> {
        match self.launches.keys().find(|name| !steps.iter().any(|step| step.name == **name)) {
            Some(name) => Err(Error::Argument(format!(
                "the tuning table cuts a launch {name}, and this program has none: make it anew with `nodal tune`, for the \
                 fused program"
            ))),
            None => Ok(()),
        }
    }

    /// Whether it was made for this program, on a card with these tiles.
    ///
    /// # Errors
    /// [`Error::Argument`] for another batch or size, or a tile that there is no kernel for.
    pub(super) fn check(&self, batch: usize, size: (usize, usize), tiles: &[Tile]) -> Result<()> {
        if (self.batch, self.size) != (batch, size) {
            let ((h, w), (own_h, own_w)) = (size, self.size);
            return Err(Error::Argument(format!(
                "the tuning table is for batch {} at {own_h}×{own_w}, not for batch {batch} at {h}×{w}: make one with \
                 `nodal tune`",
                self.batch
            )));
        }
        match self.launches.iter().find(|(_, cut)| !tiles.contains(&cut.tile)) {
            Some((name, cut)) => Err(Error::Argument(format!(
                "the tuning table has a tile of {}×{}×{} for {name}, and there is no such kernel: make it anew with \
                 `nodal tune`",
                cut.tile.pixels, cut.tile.channels, cut.tile.groups
            ))),
            None => Ok(()),
        }
    }
}

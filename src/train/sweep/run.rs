//! What a run's folder says of the run: how far it is, what varies, its best epoch.

use std::path::Path;

use serde_json::Value;

use super::State;
use crate::error::{Error, Result};
use crate::train::{Config, Epoch, RunFolder};
use crate::weights::Weights;

/// What a sweep compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Configuration {
    /// First convolutions that do not learn.
    pub freeze: usize,
    /// Learning rate.
    pub lr: f64,
    /// Images a step.
    pub batch: usize,
}

/// What a configuration is repeated over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replicate {
    /// Seed of the run, and with it of the split.
    pub seed: u64,
    /// The fold that validates, from 1; `None` without folds.
    pub fold: Option<usize>,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Its folder's name.
    pub name: String,
    /// What is compared.
    pub configuration: Configuration,
    /// Over what it is repeated.
    pub replicate: Replicate,
    /// The epoch that validates best, from 1.
    pub best_epoch: usize,
    /// Validation AUC of that epoch; `None` where a class is missing.
    pub auc: Option<f64>,
    /// Its validation accuracy.
    pub accuracy: f64,
    /// All else that the run was made with: runs are comparable where it is the same.
    pub(super) shared: Value,
}

/// A run that does not count yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its folder's name.
    pub name: String,
    /// Why: how far it has come, or what is wrong with it.
    pub reason: String,
}

/// How far the run in `path` has come.
pub fn state(path: &Path) -> Result<State> {
    let folder = RunFolder::open(path)?;
    let config: Config = folder.config()?;
    Ok(if finished(&folder, epochs_done(&folder)?, &config) { State::Finished } else { State::Begun })
}

/// The outcome of the run in `path`, or that it is not finished.
pub fn outcome(path: &Path, name: &str) -> Result<std::result::Result<Outcome, Left>> {
    let folder = RunFolder::open(path)?;
    let config: Config = folder.config()?;
    let done = epochs_done(&folder)?;
    if !finished(&folder, done, &config) {
        let reason = format!("unfinished, {done} of {} epochs", config.hyper.epochs);
        return Ok(Err(Left { name: name.into(), reason }));
    }
    let best = best(&folder)?;
    let (freeze, lr, batch) = (config.hyper.freeze, config.hyper.lr, config.hyper.batch);
    let (fold, split) = fold_of(&config.split);
    Ok(Ok(Outcome {
        name: name.into(),
        configuration: Configuration { freeze, lr, batch },
        replicate: Replicate { seed: config.hyper.seed, fold },
        best_epoch: best.epoch,
        auc: best.validation.auc,
        accuracy: best.validation.accuracy,
        shared: shared(&config, split)?,
    }))
}

fn finished(folder: &RunFolder, epochs_done: usize, config: &Config) -> bool {
    epochs_done >= config.hyper.epochs && folder.file("weights-last.safetensors").is_file()
}

/// Epochs that the checkpoint counts; its tensors are not touched.
fn epochs_done(folder: &RunFolder) -> Result<usize> {
    let path = folder.checkpoint();
    let file = Weights::open(&path)?;
    let text = file.metadata().get("checkpoint.epoch").and_then(|text| text.parse().ok());
    text.ok_or_else(|| Error::format(&path, "is no checkpoint: its metadata has no epoch"))
}

/// The last epoch that the log calls best.
fn best(folder: &RunFolder) -> Result<Epoch> {
    let best = folder.epochs()?.into_iter().rfind(|epoch| epoch.best);
    best.ok_or_else(|| Error::format(&folder.metrics(), "has no best epoch"))
}

/// The fold's number in a split's description, and the description without it.
fn fold_of(split: &str) -> (Option<usize>, String) {
    let parts = split.rsplit_once(", fold ").and_then(|(by, fold)| {
        let (number, folds) = fold.split_once(" of ")?;
        Some((number.parse().ok()?, format!("{by}, {folds} folds")))
    });
    parts.map_or((None, split.into()), |(number, rest)| (Some(number), rest))
}

/// What must be the same in runs that are compared. Where files lay, the device and the engine may differ; class weights follow
/// from the split.
fn shared(config: &Config, split: String) -> Result<Value> {
    let json = |e: serde_json::Error| Error::Argument(format!("a configuration is no JSON: {e}"));
    let mut all = serde_json::to_value(config).map_err(json)?;
    let mut hyper = all["hyper"].take();
    let without = |value: &mut Value, names: &[&str]| {
        let map = value.as_object_mut();
        map.into_iter().for_each(|map| map.retain(|name, _| !names.contains(&name.as_str())));
    };
    without(&mut hyper, &["freeze", "lr", "batch", "seed", "class_weights", "checkpoint_every", "recompute"]);
    without(&mut all, &["engine", "device", "data", "weights", "hyper"]);
    all["split"] = split.into();
    if let (Some(all), Value::Object(hyper)) = (all.as_object_mut(), hyper) {
        all.extend(hyper);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_is_told_from_the_rest_of_a_split() {
        assert_eq!(fold_of("by patient, fold 2 of 5"), (Some(2), "by patient, 5 folds".into()));
        assert_eq!(fold_of("by image, 0.2 for validation"), (None, "by image, 0.2 for validation".into()));
        assert_eq!(fold_of("given"), (None, "given".into()));
    }
}

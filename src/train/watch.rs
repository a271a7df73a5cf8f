//! What whoever looks on at a run is told, and how it ends.

use std::time::Duration;

use super::Figures;
use super::checkpoint::Best;

/// What a step gave.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Epoch and step within it, from 0.
    pub epoch: usize,
    /// Step within the epoch, from 0.
    pub batch: usize,
    /// Loss of the batch.
    pub loss: f64,
    /// Images a second, waiting included.
    pub images_per_s: f64,
}

/// What an epoch gave.
#[derive(Clone, Copy, Debug)]
pub struct EpochReport {
    /// From 0.
    pub epoch: usize,
    /// On the training part, while it learned.
    pub training: Figures,
    /// On the validation part.
    pub validation: Figures,
    /// Whether it is the best so far.
    pub best: bool,
    /// How long it took.
    pub took: Duration,
    /// How much of that the device waited for data.
    pub waited: Duration,
}

/// Whoever looks on.
pub trait Watch {
    /// A step is done.
    fn step(&mut self, report: &StepReport);
    /// An epoch is done.
    fn epoch(&mut self, report: &EpochReport);
    /// Whether to stop after this step.
    fn stop(&self) -> bool;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// After its last epoch.
    Finished(Option<Best>),
    /// Because it was asked to.
    Stopped {
        /// Epoch, from 0.
        epoch: usize,
        /// Steps of it that are done.
        batch: usize,
    },
}

//! Where a run stands: the weights with all that `predict` needs, momenta, and the place in the epoch.
//!
//! One safetensors file: the weights by torchvision's names, `momentum.NAME` of each parameter that learns, `tally.labels` and
//! `tally.probabilities` of an epoch that has begun; `checkpoint.*` in the metadata, numbers in decimal, float64 as their bits in hexadecimal.
//! There is no state of a random generator: every draw is counted from seed, epoch, sample or step.

use std::path::Path;

use super::head::{weights_of, with_tensors};
use super::tally::Tally;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::tensor::Tensor;
use crate::weights::Weights;

/// What momenta are called before the parameter's name.
pub const MOMENTUM: &str = "momentum.";

/// The metadata that a checkpoint has once an epoch has ended.
pub(super) const BEST_EPOCH: &str = "checkpoint.best.epoch";

/// The place at which a run goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Steps of it that are done.
    pub batch: usize,
    /// Steps of all epochs that are done.
    pub step: usize,
    /// What the epoch's steps have given so far.
    pub tally: Tally,
    /// Bytes of the log that count.
    pub log_bytes: u64,
    /// The best epoch so far.
    pub best: Option<Best>,
}

/// The best epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Its number, from 0.
    pub epoch: usize,
    /// Area under the ROC curve; 0 where a class is missing.
    pub auc: f64,
    /// Loss.
    pub loss: f64,
}

impl Best {
    /// Whether `self` is better: by area, then by loss.
    pub fn beats(&self, other: &Option<Best>) -> bool {
        other.is_none_or(|other| (self.auc, -self.loss) > (other.auc, -other.loss))
    }
}

/// A checkpoint to write.
///
/// # Errors
/// Those of [`Weights::from_tensors`].
pub fn checkpoint(weights: &Weights, momenta: Vec<(String, Tensor)>, place: &Place) -> Result<Weights> {
    let mut extra: Vec<(String, Tensor)> =
        momenta.into_iter().map(|(name, tensor)| (format!("{MOMENTUM}{name}"), tensor)).collect();
    let Tally { loss_sum, weight, labels, probabilities } = &place.tally;
    if !labels.is_empty() {
        let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
        extra.push(("tally.labels".into(), Tensor::new(&[labels.len()], labels)?));
        extra.push((
            "tally.probabilities".into(),
            Tensor::new(&[probabilities.len()], probabilities.clone())?,
        ));
    }
    let mut whole = with_tensors(weights, &extra)?;
    let hex = |x: f64| format!("{:016x}", x.to_bits());
    let mut set = |key: &str, value: String| whole.set_metadata(&format!("checkpoint.{key}"), &value);
    set("epoch", place.epoch.to_string());
    set("batch", place.batch.to_string());
    set("step", place.step.to_string());
    set("log_bytes", place.log_bytes.to_string());
    set("loss_sum", hex(*loss_sum));
    set("weight", hex(*weight));
    if let Some(Best { epoch, auc, loss }) = place.best {
        set("best.epoch", epoch.to_string());
        set("best.auc", hex(auc));
        set("best.loss", hex(loss));
    }
    Ok(whole)
}

/// Reads the checkpoint at `path`: the weights of `network`, and where the run stands. The file itself is given too, for
/// [`Engine::set_momenta`](crate::device::Engine::set_momenta).
///
/// # Errors
/// [`Error::Format`] or [`Error::Tensor`] when it is none.
pub fn read(path: &Path, network: &Network) -> Result<(Weights, Place, Weights)> {
    let file = Weights::open(path)?;
    let text = |key: &str| file.metadata().get(&format!("checkpoint.{key}")).map(String::as_str);
    let wrong = |key: &str| Error::format(path, format!("is no checkpoint: its metadata has no {key}"));
    let count = |key: &str| text(key).and_then(|text| text.parse().ok()).ok_or_else(|| wrong(key));
    let real = |key: &str| {
        let bits = text(key).and_then(|text| u64::from_str_radix(text, 16).ok());
        bits.map(f64::from_bits).ok_or_else(|| wrong(key))
    };
    let best = match text("best.epoch") {
        Some(_) => {
            Some(Best { epoch: count("best.epoch")?, auc: real("best.auc")?, loss: real("best.loss")? })
        }
        None => None,
    };
    let mut tally = Tally { loss_sum: real("loss_sum")?, weight: real("weight")?, ..Tally::default() };
    if file.shape("tally.labels").is_some() {
        tally.labels = file.f32("tally.labels")?.iter().map(|&label| label as usize).collect();
        tally.probabilities = file.f32("tally.probabilities")?.into_owned();
    }
    let place = Place {
        epoch: count("epoch")?,
        batch: count("batch")?,
        step: count("step")?,
        tally,
        log_bytes: count("log_bytes")? as u64,
        best,
    };
    Ok((weights_of(&file, network)?, place, file))
}

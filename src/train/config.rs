//! All that is needed to repeat a run, as its `config.json` holds it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::features::last_layer_alone;
use super::{Decay, Schedule, Targets};
use crate::data::train::Augmentation;
use crate::error::{Error, Result};
use crate::network::{AvgPoolPadding, Network};
use crate::program::{Controls, Training, Tuning};

/// A run in full: what it read, and how it learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Name and version of the engine.
    pub engine: String,
    /// The device, with its instruction set or card, which decide the last bits.
    pub device: String,
    /// Where the data lay.
    pub data: PathBuf,
    /// Digest of names, labels and files.
    pub data_digest: String,
    /// The weights it began with.
    pub weights: PathBuf,
    /// Digest of that file.
    pub weights_digest: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Outputs of the last layer: one for two classes told apart by a sigmoid.
    pub outputs: usize,
    /// Whether the last layer was made anew.
    pub new_head: bool,
    /// Height and width of the input.
    pub size: (usize, usize),
    /// How images are fitted into it.
    pub fit: String,
    /// What is done to pixel values; `mean` stands for the mean image of the training part, which travels with the weights.
    pub normalize: String,
    /// Where the mean image is from, if one is subtracted; older runs do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<MeanOrigin>,
    /// Whether each crop's own brightness and contrast are taken away.
    pub standardize: bool,
    /// How average pools treat their padding.
    pub avg_pool_padding: String,
    /// How launches are cut, where that was found by trying: other cuts give other last bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
    /// How images were parted: `given`, or by what, and the share or fold of validation.
    pub split: String,
    /// How it learned.
    pub hyper: Hyper,
}

/// Where a mean image is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeanOrigin {
    /// It is the mean of the training part.
    Training,
    /// It came with the weights that the run began with.
    Weights,
    /// It was read from a file.
    File {
        /// Where that lay.
        path: PathBuf,
        /// Its digest.
        digest: String,
    },
}

/// How a network learns from batch to batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hyper {
    /// Passes over the training part.
    pub epochs: usize,
    /// Images a step.
    pub batch: usize,
    /// Whether an epoch's last batch is left out when it is not full.
    pub drop_last: bool,
    /// First convolutions that do not learn.
    pub freeze: usize,
    /// Share of the features that is dropped before the last layer.
    pub dropout: f32,
    /// Learning rate.
    pub lr: f64,
    /// How it falls: [`Decay`].
    pub schedule: String,
    /// Steps over which it rises first.
    pub warmup: usize,
    /// Share of the former momentum that stays.
    pub momentum: f32,
    /// λ of λ/2·‖w‖².
    pub weight_decay: f32,
    /// Whether the update looks ahead.
    pub nesterov: bool,
    /// Norm to which larger gradients are scaled down.
    pub clip_norm: Option<f32>,
    /// ε of the labels' smoothing.
    pub label_smoothing: f64,
    /// How much each class counts.
    pub class_weights: Vec<f64>,
    /// [`Augmentation`].
    pub augment: String,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Steps between checkpoints; 0 for one after each epoch only.
    pub checkpoint_every: usize,
    /// Whether running statistics are taken anew after the last epoch.
    pub reestimate: bool,
    /// Whether what the backward pass reads is taken again instead of kept.
    pub recompute: bool,
    /// Weight of the auxiliary head's loss; `None` for no such head.
    pub aux_weight: Option<f32>,
}

impl Default for Hyper {
    fn default() -> Self {
        Hyper {
            epochs: 10,
            batch: 16,
            drop_last: false,
            freeze: 3,
            dropout: 0.0,
            lr: 1e-3,
            schedule: "constant".into(),
            warmup: 0,
            momentum: 0.9,
            weight_decay: 0.0,
            nesterov: false,
            clip_norm: None,
            label_smoothing: 0.0,
            class_weights: Vec::new(),
            augment: "none".into(),
            seed: 0,
            checkpoint_every: 0,
            reestimate: false,
            recompute: false,
            aux_weight: None,
        }
    }
}

impl Hyper {
    /// The study's: Li et al., 2021, doi 10.21037/qims-20-525.
    pub fn paper() -> Self {
        Hyper {
            epochs: 200,
            batch: 64,
            freeze: 3,
            lr: 1e-4,
            schedule: Decay::Time(1e-6).to_string(),
            momentum: 0.95,
            augment: "paper".into(),
            ..Hyper::default()
        }
    }

    /// Whether all of it makes sense.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first that does not.
    pub fn check(&self, classes: usize) -> Result<()> {
        let positive = |what: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(Error::Argument(format!("{what} {value}: give a positive number"))),
        };
        let share = |what: &str, value: f32| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(Error::Argument(format!("{what} {value}: give a number from 0 to below 1"))),
        };
        positive("epochs", self.epochs as f64)?;
        positive("batch", self.batch as f64)?;
        // As the device has it.
        positive("lr", f64::from(self.lr as f32))?;
        share("momentum", self.momentum)?;
        share("dropout", self.dropout)?;
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            let problem = format!("weight decay {}: give a number from 0 on", self.weight_decay);
            return Err(Error::Argument(problem));
        }
        if let Some(clip) = self.clip_norm {
            positive("clip norm", f64::from(clip))?;
        }
        if let Some(weight) = self.aux_weight {
            positive("aux weight", f64::from(weight))?;
        }
        if self.nesterov && self.momentum == 0.0 {
            return Err(Error::Argument("nesterov needs a momentum: give --momentum".into()));
        }
        if self.class_weights.len() != classes {
            let got = self.class_weights.len();
            return Err(Error::Argument(format!("{got} class weights for {classes} classes: give one each")));
        }
        self.targets()?;
        self.augmentation()?;
        self.schedule(1)?;
        Ok(())
    }

    /// What the program must know.
    pub fn training(&self) -> Training {
        Training {
            freeze: self.freeze,
            dropout: self.dropout,
            recompute: self.recompute,
            auxiliary: self.aux_weight,
            ..Training::default()
        }
    }

    /// Labels to targets.
    ///
    /// # Errors
    /// As [`Targets::new`].
    pub fn targets(&self) -> Result<Targets> {
        Targets::new(&self.class_weights, self.label_smoothing)
    }

    /// What may be done to training images.
    ///
    /// # Errors
    /// [`Error::Argument`] for a text that is none.
    pub fn augmentation(&self) -> Result<Augmentation> {
        self.augment.parse()
    }

    /// The learning rate of every step.
    ///
    /// # Errors
    /// [`Error::Argument`] for a schedule that is none.
    pub fn schedule(&self, steps_per_epoch: usize) -> Result<Schedule> {
        let (lr, decay) = (self.lr, self.schedule.parse()?);
        Ok(Schedule { lr, decay, warmup: self.warmup, steps_per_epoch, epochs: self.epochs })
    }

    /// The numbers of step number `step`.
    pub fn controls(&self, lr: f32, step: usize) -> Controls {
        Controls {
            lr,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            nesterov: self.nesterov,
            clip_norm: self.clip_norm,
            // Folded to the width of the device's generator.
            seed: (self.seed ^ (self.seed >> 32)) as u32,
            step: step as u32,
        }
    }
}

impl Config {
    /// Whether only the last layer learns, over features that are the same in every epoch.
    ///
    /// # Errors
    /// As [`Config::network`] and [`Hyper::augmentation`].
    pub fn features(&self) -> Result<bool> {
        let plain = self.hyper.augmentation()? == Augmentation::default();
        let alone = last_layer_alone(&self.network()?, self.hyper.freeze);
        Ok(plain && alone && self.hyper.aux_weight.is_none())
    }

    /// The network that learns, with its auxiliary head where that does.
    ///
    /// # Errors
    /// As [`Config::network`] and [`Network::with_auxiliary_head`].
    pub fn learning_network(&self) -> Result<Network> {
        self.network()?.with_auxiliary_head(self.hyper.aux_weight.is_some())
    }

    /// The network that validates and predicts.
    ///
    /// # Errors
    /// As [`Network::inception_v3`].
    pub fn network(&self) -> Result<Network> {
        let padding: AvgPoolPadding = self.avg_pool_padding.parse()?;
        Network::inception_v3(self.size, self.outputs, padding)
    }
}

/// XXH3 with 128 bits over a file, as `xxh3-128:` and 32 hexadecimal digits.
///
/// # Errors
/// [`Error::Io`] when it cannot be read.
pub fn digest(path: &Path) -> Result<String> {
    let failed = |e| Error::io(path, "read", e);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hash = Xxh3::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut piece).map_err(failed)? {
            0 => return Ok(format!("xxh3-128:{:032x}", hash.digest128())),
            read => hash.update(&piece[..read]),
        }
    }
}

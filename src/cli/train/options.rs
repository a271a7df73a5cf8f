//! How a network learns, as a command line says it: a preset, and what was given beside it.

use std::path::Path;

use clap::{Args, ValueEnum};
use nodal::Weights;
use nodal::data::train::SplitBy;
use nodal::data::{Fit, Normalize, Preprocess};
use nodal::train::{Begin, Hyper};

use super::super::network::weight_file;

#[derive(Args)]
pub struct Learning {
    /// paper: freeze 3, batch 64, lr 1e-4, momentum 0.95, decay 1e-6, 200 epochs, mean image, padding to 299, four
    /// augmentations (Li et al. 2021)
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    /// Passes over the training images [default: 10]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Images a step [default: 16]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Leave an epoch's last batch out when it is not full
    #[arg(long)]
    drop_last: bool,
    /// First convolutions that do not learn, 0 to 94 [default: 3]
    #[arg(long, value_name = "N")]
    freeze: Option<usize>,
    /// Learning rate [default: 1e-3]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// lr / (1 + X·step), the same as --schedule time:X
    #[arg(long, value_name = "X", conflicts_with = "schedule")]
    lr_decay: Option<f64>,
    /// constant, time:X, step:EPOCHS,FACTOR or cosine [default: constant]
    #[arg(long, value_name = "HOW")]
    schedule: Option<String>,
    /// Steps over which the learning rate rises first [default: 0]
    #[arg(long, value_name = "N")]
    warmup: Option<usize>,
    /// Momentum [default: 0.9]
    #[arg(long, value_name = "X")]
    momentum: Option<f32>,
    /// Nesterov's momentum
    #[arg(long)]
    nesterov: bool,
    /// λ of λ/2·‖w‖², for every parameter [default: 0]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f32>,
    /// Norm to which larger gradients are scaled down [default: none]
    #[arg(long, value_name = "X")]
    clip_norm: Option<f32>,
    /// Share of the features that is dropped before the last layer [default: 0]
    #[arg(long, value_name = "X")]
    dropout: Option<f32>,
    /// Train the auxiliary head (AuxLogits) too, its loss counting this much, usually 0.4; the weights must have it, and inputs 299
    /// pixels at least. Losses that are shown stay the last layer's [default: no auxiliary head]
    #[arg(long, value_name = "X")]
    aux_weight: Option<f32>,
    /// Share of each label that all classes get [default: 0]
    #[arg(long, value_name = "X")]
    label_smoothing: Option<f64>,
    /// balanced, or a weight for each class with commas between [default: all 1]
    #[arg(long, value_name = "W")]
    class_weights: Option<String>,
    /// Which of two classes is the positive one [default: metastatic, LN+, positive, malignant and such; else the second by name]
    #[arg(long, value_name = "CLASS")]
    positive: Option<String>,
    /// Two outputs and softmax for two classes, instead of one and a sigmoid
    #[arg(long)]
    softmax: bool,
    /// none, paper, or parts such as hflip=0.5,vflip=0.5,rotate=180,noise=5 [default: none]
    #[arg(long, value_name = "HOW")]
    augment: Option<String>,
    /// Seed of split, order, augmentation, dropout and a new last layer [default: 0]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Input size, 299 or HxW [default: what the weights say, or 299]
    #[arg(long, value_parser = super::super::parse_size, value_name = "SIZE")]
    size: Option<(usize, usize)>,
    /// pad, resize or resize-pad [default: what the weights say, or pad]
    #[arg(long, value_name = "FIT")]
    fit: Option<Fit>,
    /// tf, imagenet, mean (that of the training images), mean:FILE or none [default: what the weights say, or tf]
    #[arg(long, value_name = "HOW")]
    normalize: Option<String>,
    /// Take each crop's own brightness and contrast away; --standardize=false keeps them [default: what the weights say, or
    /// false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    standardize: Option<bool>,
    /// Share of each class for validation, where the data are not split yet [default: 0.2]
    #[arg(long, value_name = "X", conflicts_with = "fold")]
    val_fraction: Option<f64>,
    /// image, node or patient: what stays on one side [default: patient where known, else node, else image]
    #[arg(long, value_name = "WHAT")]
    split_by: Option<SplitBy>,
    /// Validate on fold I of K instead of a share, as 1/5
    #[arg(long, value_name = "I/K", value_parser = parse_fold)]
    fold: Option<(usize, usize)>,
    /// Steps between checkpoints [default: one after each epoch]
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<usize>,
    /// Take what the backward pass reads again instead of keeping it: less memory, more work, the same bits
    #[arg(long)]
    recompute: bool,
    /// After the last epoch, take the running statistics of batch norm anew from the training images as they are
    #[arg(long)]
    reestimate_batch_norm: bool,
}

/// Options that belong together.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Preset {
    /// The study's
    Paper,
}

fn parse_fold(text: &str) -> Result<(usize, usize), String> {
    let number = |text: &str| text.parse::<usize>().ok();
    let parts = text.split_once('/').and_then(|(fold, folds)| Some((number(fold)?, number(folds)?)));
    match parts {
        Some((fold, folds)) if fold >= 1 && fold <= folds && folds >= 2 => Ok((fold - 1, folds)),
        _ => Err("a fold is I/K with I from 1 to K, such as 1/5".into()),
    }
}

impl Learning {
    /// The first of these options that was given.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--preset", self.preset.is_some()),
            ("--epochs", self.epochs.is_some()),
            ("--batch", self.batch.is_some()),
            ("--drop-last", self.drop_last),
            ("--freeze", self.freeze.is_some()),
            ("--lr", self.lr.is_some()),
            ("--lr-decay", self.lr_decay.is_some()),
            ("--schedule", self.schedule.is_some()),
            ("--warmup", self.warmup.is_some()),
            ("--momentum", self.momentum.is_some()),
            ("--nesterov", self.nesterov),
            ("--weight-decay", self.weight_decay.is_some()),
            ("--clip-norm", self.clip_norm.is_some()),
            ("--dropout", self.dropout.is_some()),
            ("--aux-weight", self.aux_weight.is_some()),
            ("--label-smoothing", self.label_smoothing.is_some()),
            ("--class-weights", self.class_weights.is_some()),
            ("--positive", self.positive.is_some()),
            ("--softmax", self.softmax),
            ("--augment", self.augment.is_some()),
            ("--seed", self.seed.is_some()),
            ("--size", self.size.is_some()),
            ("--fit", self.fit.is_some()),
            ("--normalize", self.normalize.is_some()),
            ("--standardize", self.standardize.is_some()),
            ("--val-fraction", self.val_fraction.is_some()),
            ("--split-by", self.split_by.is_some()),
            ("--fold", self.fold.is_some()),
            ("--checkpoint-every", self.checkpoint_every.is_some()),
            ("--recompute", self.recompute),
            ("--reestimate-batch-norm", self.reestimate_batch_norm),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// All that a run begins with; `weights` may be that of another run.
    pub fn begin(&self, data: &Path, weights: &Path) -> anyhow::Result<Begin> {
        let (paper, weights) = (self.preset == Some(Preset::Paper), weight_file(weights)?);
        let mut preprocess = match paper {
            true => Preprocess::default(),
            false => Preprocess::of_weights(&Weights::open(&weights)?)?,
        };
        preprocess.size = self.size.unwrap_or(preprocess.size);
        preprocess.fit = self.fit.unwrap_or(preprocess.fit);
        preprocess.standardize = self.standardize.unwrap_or(preprocess.standardize);
        let mean_image = self.normalize.as_deref().map_or(paper, |text| text == "mean");
        if let Some(text) = self.normalize.as_deref().filter(|text| *text != "mean") {
            preprocess.normalize = Normalize::parse(text)?;
        }
        let (balanced, class_weights) = self.class_weights()?;
        Ok(Begin {
            data: data.to_path_buf(),
            weights,
            preprocess,
            mean_image,
            softmax: self.softmax,
            split_by: self.split_by,
            val_fraction: self.val_fraction,
            fold: self.fold,
            positive: self.positive.clone(),
            balanced,
            hyper: Hyper { class_weights, ..self.hyper(paper) },
        })
    }

    fn hyper(&self, paper: bool) -> Hyper {
        let base = if paper { Hyper::paper() } else { Hyper::default() };
        let decay = self.lr_decay.map(|decay| format!("time:{decay}"));
        Hyper {
            epochs: self.epochs.unwrap_or(base.epochs),
            batch: self.batch.unwrap_or(base.batch),
            drop_last: self.drop_last,
            freeze: self.freeze.unwrap_or(base.freeze),
            dropout: self.dropout.unwrap_or(base.dropout),
            lr: self.lr.unwrap_or(base.lr),
            schedule: self.schedule.clone().or(decay).unwrap_or(base.schedule),
            warmup: self.warmup.unwrap_or(base.warmup),
            momentum: self.momentum.unwrap_or(base.momentum),
            weight_decay: self.weight_decay.unwrap_or(base.weight_decay),
            nesterov: self.nesterov,
            clip_norm: self.clip_norm,
            label_smoothing: self.label_smoothing.unwrap_or(base.label_smoothing),
            augment: self.augment.clone().unwrap_or(base.augment),
            seed: self.seed.unwrap_or(base.seed),
            checkpoint_every: self.checkpoint_every.unwrap_or(base.checkpoint_every),
            reestimate: self.reestimate_batch_norm,
            recompute: self.recompute,
            aux_weight: self.aux_weight,
            class_weights: base.class_weights,
        }
    }

    fn class_weights(&self) -> anyhow::Result<(bool, Vec<f64>)> {
        let Some(text) = &self.class_weights else { return Ok((false, Vec::new())) };
        if text == "balanced" {
            return Ok((true, Vec::new()));
        }
        let weights: Result<Vec<f64>, _> = text.split(',').map(str::parse).collect();
        match weights {
            Ok(weights) => Ok((false, weights)),
            Err(_) => anyhow::bail!("--class-weights is balanced or numbers such as 1,2.5, not `{text}`"),
        }
    }
}

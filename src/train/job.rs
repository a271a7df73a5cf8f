//! A run: data, split and options bound to a folder, begun or taken up again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{self, Place};
use super::config::{Config, Hyper};
use super::features::{Features, head_of};
use super::memory::training_program;
use super::prepare::Prepared;
use super::run::Run;
use super::watch::{End, Watch};
use super::{RunFolder, Targets};
use crate::data::train::{Augmentation, Dataset, Images, Loader, LoaderOptions, Split, SplitBy};
use crate::data::{Preprocess, note_left_out};
use crate::device::{Device, Engine};
use crate::error::Result;
use crate::network::Network;
use crate::weights::Weights;

/// Decoded pixels that are kept at most.
pub(super) const IMAGES_BYTES: usize = 2 << 30;

/// What a run begins with.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Class folders, parts of them, or a CSV.
    pub data: PathBuf,
    /// The weights to begin with.
    pub weights: PathBuf,
    /// Input size, fit and normalisation.
    pub preprocess: Preprocess,
    /// Whether the mean image of the training part is subtracted instead of that normalisation.
    pub mean_image: bool,
    /// Softmax over two outputs instead of a sigmoid over one.
    pub softmax: bool,
    /// What is kept together; by what the data say when `None`.
    pub split_by: Option<SplitBy>,
    /// Share of validation; 0.2 when `None`.
    pub val_fraction: Option<f64>,
    /// Which fold of how many validates, from 0, instead of a share.
    pub fold: Option<(usize, usize)>,
    /// Which of two classes is the positive one; by [`Dataset::open`] when `None`.
    pub positive: Option<String>,
    /// Whether classes count alike, whatever their numbers.
    pub balanced: bool,
    /// How it learns.
    pub hyper: Hyper,
}

/// A run.
pub struct Job {
    pub(super) config: Config,
    pub(super) folder: RunFolder,
    pub(super) split: Split,
    pub(super) targets: Targets,
    data: Dataset,
    images: Arc<Images>,
    preprocess: Preprocess,
    threads: usize,
}

impl Job {
    /// Reads data and weights, makes the folder `out` and with it a run that can be taken up from then on.
    ///
    /// # Errors
    /// What is wrong with data, weights or options, before anything is written; [`Error::Io`](crate::Error::Io) for the folder.
    pub fn begin(begin: Begin, out: &Path, device: &Device, threads: usize) -> Result<Self> {
        RunFolder::check_free(out)?;
        let Prepared { config, split, weights, data, images, preprocess } =
            Prepared::new(begin, device, threads)?;
        let first = checkpoint::checkpoint(&weights, Vec::new(), &Place::default())?;
        let folder = RunFolder::create(out, &config, |path| split.write(&data, path), &first)?;
        let targets = config.hyper.targets()?;
        Ok(Job { config, folder, split, targets, data, images, preprocess, threads })
    }

    /// Whether a run can begin so: all that [`Job::begin`] looks at, and nothing is written.
    ///
    /// # Errors
    /// Those of [`Job::begin`].
    pub fn check(begin: Begin, device: &Device, threads: usize) -> Result<()> {
        Prepared::new(begin, device, threads).map(drop)
    }

    /// Takes up the run in `folder`.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) when it is no run, or when its data have changed.
    pub fn resume(folder: &Path, threads: usize) -> Result<Self> {
        let folder = RunFolder::take(folder)?;
        let config: Config = folder.config()?;
        config.hyper.check(config.classes.len())?;
        let (data, split) = folder.data()?;
        let images = Arc::new(Images::open(&data, IMAGES_BYTES, threads)?);
        let (weights, ..) = checkpoint::read(&folder.checkpoint(), &config.learning_network()?)?;
        let preprocess = Preprocess::of_weights(&weights)?;
        let targets = config.hyper.targets()?;
        Ok(Job { config, folder, split, targets, data, images, preprocess, threads })
    }

    /// Trains until the last epoch, or until `watch` asks to stop.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a loss that is no number; those of the device and of files.
    pub fn run(&self, device: &Device, watch: &mut dyn Watch) -> Result<End> {
        Run::new(self, device)?.go(watch)
    }

    /// What it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Images that teach, and that validate.
    pub fn images(&self) -> (usize, usize) {
        (self.split.train.len(), self.split.val.len())
    }

    /// Steps of an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        let Hyper { batch, drop_last, .. } = self.config.hyper;
        let images = self.split.train.len();
        if drop_last { images / batch } else { images.div_ceil(batch) }
    }

    /// A sentence about files of the data that are no images.
    pub fn left_out(&self) -> Option<String> {
        note_left_out(self.data.left_out())
    }

    /// A sentence about patients or nodes with images on both sides.
    pub fn leak(&self) -> Option<String> {
        self.split.leak(&self.data)
    }

    /// The batches of the training part, or where it only looks on of the validation part.
    pub(super) fn loader(&self, part: &[usize], used: Use) -> Result<Loader> {
        let Job { data, images, preprocess, config, threads, .. } = self;
        loader(data, images, part, preprocess, &config.hyper, used, *threads)
    }

    pub(super) fn engine(&self, network: &Network, weights: &Weights, device: &Device) -> Result<Engine> {
        let program = training_program(network, &self.config, device)?;
        match self.config.features()? {
            true => Engine::new(program, &head_of(weights)?, device),
            false => Engine::new(program, weights, device),
        }
    }

    /// The features of all images; `None` when it was asked to stop meanwhile.
    pub(super) fn features(
        &self,
        network: &Network,
        weights: &Weights,
        device: &Device,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Features>> {
        let parts = [&self.split.train, &self.split.val];
        let loaders: Vec<Loader> =
            parts.into_iter().map(|part| self.loader(part, Use::AsIs)).collect::<Result<_>>()?;
        Features::of(network, weights, device, &loaders, self.data.samples().len(), stop)
    }
}

/// What batches are for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Use {
    /// To learn from: shuffled, augmented.
    Learn,
    /// To take statistics of: shuffled, as the images are.
    Statistics,
    /// To look at, in order, as the images are.
    AsIs,
}

/// The batches of `part`.
pub(super) fn loader(
    data: &Dataset,
    images: &Arc<Images>,
    part: &[usize],
    preprocess: &Preprocess,
    hyper: &Hyper,
    used: Use,
    threads: usize,
) -> Result<Loader> {
    let options = LoaderOptions {
        batch: hyper.batch,
        drop_last: hyper.drop_last && used != Use::AsIs,
        shuffle: used != Use::AsIs,
        seed: hyper.seed,
        augmentation: if used == Use::Learn { hyper.augmentation()? } else { Augmentation::default() },
        threads,
        ahead: 2,
    };
    Loader::new(data, images, part, preprocess, options)
}

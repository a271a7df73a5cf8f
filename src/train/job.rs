//! A run: data, split and options bound to a folder, begun or taken up again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{self, Place};
use super::config::{Config, Hyper, MeanOrigin, digest};
use super::features::{Features, features_options, head_of};
use super::head::{new_auxiliary_head, new_head, weights_of, with_tensors};
use super::run::{End, Run, Watch};
use super::{RunFolder, Targets};
use crate::data::train::{Augmentation, Dataset, Images, Loader, LoaderOptions, Split, SplitBy};
use crate::data::{CLASSES_KEY, MEAN_TENSOR, MeanImage, Normalize, Preprocess};
use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::model::{AVG_POOL_PADDING_KEY, avg_pool_padding_of, outputs_of};
use crate::network::{AUXILIARY_HEAD, Network};
use crate::program::{Options, Program, Training};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// Decoded pixels that are kept at most.
const IMAGES_BYTES: usize = 2 << 30;

/// Share of validation where nothing is said.
const VAL_FRACTION: f64 = 0.2;

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
    /// What is wrong with data, weights or options, before anything is written; [`Error::Io`] for the folder.
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
    /// [`Error::Argument`] when it is no run, or when its data have changed.
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
    /// [`Error::Argument`] for a loss that is no number; those of the device and of files.
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

/// A run that is ready to begin: read and found good, not yet in a folder.
struct Prepared {
    config: Config,
    split: Split,
    weights: Weights,
    data: Dataset,
    images: Arc<Images>,
    preprocess: Preprocess,
}

impl Prepared {
    fn new(begin: Begin, device: &Device, threads: usize) -> Result<Self> {
        let data = Dataset::open(&begin.data)?;
        let (split, how) = begin.split(&data)?;
        let images = Arc::new(Images::open(&data, IMAGES_BYTES, threads)?);
        let mut preprocess = begin.preprocess.clone();
        if begin.mean_image {
            let training = split.train.iter().map(|&sample| images.get(sample));
            preprocess.normalize = Normalize::Mean(MeanImage::of(&preprocess, training)?);
        }
        let classes = data.classes().to_vec();
        let outputs = if classes.len() == 2 && !begin.softmax { 1 } else { classes.len() };
        let given = Weights::open(&begin.weights)?;
        let padding = avg_pool_padding_of(&given)?;
        let new = outputs_of(&given)? != outputs;
        let mut hyper = begin.hyper.clone();
        let count = |class: usize| split.train.iter().filter(|&&i| data.samples()[i].label == class).count();
        hyper.class_weights = match (begin.balanced, hyper.class_weights.is_empty()) {
            (true, _) => Targets::balanced(&(0..classes.len()).map(count).collect::<Vec<_>>()),
            (false, true) => vec![1.0; classes.len()],
            (false, false) => hyper.class_weights,
        };
        hyper.check(classes.len())?;
        let mut changed = if new { new_head(outputs, hyper.seed)?.to_vec() } else { Vec::new() };
        if hyper.aux_weight.is_some() {
            changed.extend(new_auxiliary_classes(&given, outputs, hyper.seed)?);
        }
        changed.extend(preprocess.mean()?.map(|mean| (MEAN_TENSOR.to_string(), mean)));
        let network = Network::inception_v3(preprocess.size, outputs, padding)?;
        let network = network.with_auxiliary_head(hyper.aux_weight.is_some())?;
        let mut weights = weights_of(&with_tensors(&given, &changed)?, &network)?;
        preprocess.note(&mut weights);
        weights.set_metadata(AVG_POOL_PADDING_KEY, &padding.to_string());
        weights.set_metadata(CLASSES_KEY, &serde_json::json!(classes).to_string());
        let config = Config {
            engine: format!("nodal {}", env!("CARGO_PKG_VERSION")),
            device: device.identity(),
            data_digest: data.digest()?,
            data: absolute(&begin.data)?,
            weights_digest: digest(&begin.weights)?,
            weights: absolute(&begin.weights)?,
            classes,
            outputs,
            new_head: new,
            size: preprocess.size,
            fit: preprocess.fit.to_string(),
            normalize: preprocess.normalize.name().into(),
            mean: begin.mean_origin(&given)?,
            standardize: preprocess.standardize,
            avg_pool_padding: padding.to_string(),
            tuning: device.target().gpu.and_then(|gpu| gpu.tuning),
            split: how,
            hyper,
        };
        check_last_batch(&config, split.train.len())?;
        // Refused now rather than after the folder is there.
        weights.check(&network.parameters())?;
        training_program(&network, &config, device)?;
        loader(&data, &images, &split.train, &preprocess, &config.hyper, Use::Learn, threads)?;
        Ok(Prepared { config, split, weights, data, images, preprocess })
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

fn loader(
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

impl Begin {
    /// Where the mean image is from, if one is subtracted; `given` are the weights to begin with.
    fn mean_origin(&self, given: &Weights) -> Result<Option<MeanOrigin>> {
        let Normalize::Mean(mean) = &self.preprocess.normalize else {
            return Ok(self.mean_image.then_some(MeanOrigin::Training));
        };
        let own =
            || Preprocess::of_weights(given).is_ok_and(|own| own.normalize == self.preprocess.normalize);
        match mean.file() {
            _ if self.mean_image => Ok(Some(MeanOrigin::Training)),
            _ if own() => Ok(Some(MeanOrigin::Weights)),
            Some(file) => Ok(Some(MeanOrigin::File { path: absolute(file)?, digest: digest(file)? })),
            None => Ok(None),
        }
    }

    /// The split, and how it came about.
    fn split(&self, data: &Dataset) -> Result<(Split, String)> {
        if let Some(split) = data.split() {
            if self.split_by.is_some() || self.val_fraction.is_some() || self.fold.is_some() {
                let root = data.root().display();
                let problem = format!(
                    "{root}: is split already into train and val: leave --split-by, --val-fraction and --fold out, or name the folder \
                     below"
                );
                return Err(Error::Argument(problem));
            }
            return Ok((split.clone(), "given".into()));
        }
        let by = self.split_by.unwrap_or_else(|| SplitBy::default_of(data));
        let seed = self.hyper.seed;
        match self.fold {
            Some((fold, folds)) => Ok((
                Split::fold(data, by, fold, folds, seed)?,
                format!("by {by}, fold {} of {folds}", fold + 1),
            )),
            None => Ok((
                Split::random(data, by, self.val_fraction.unwrap_or(VAL_FRACTION), seed)?,
                format!("by {by}, {} for validation", self.val_fraction.unwrap_or(VAL_FRACTION)),
            )),
        }
    }
}

/// `path` from the root on, so that a run can be taken up from anywhere.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|e| Error::io(path, "read", e))
}

/// The program of a step: of the whole network, or of its last layer where only that learns.
fn training_program(network: &Network, config: &Config, device: &Device) -> Result<Program> {
    let lower = |batch: usize| {
        let training = Some(config.hyper.training());
        match config.features()? {
            true => {
                let training = training.map(|training| Training { freeze: 0, ..training });
                let options = Options { training, ..Options::new(batch, device.target()) };
                Program::lower(&network.last_layer(), &options)
            }
            false => Program::lower(network, &Options { training, ..Options::new(batch, device.target()) }),
        }
    };
    // Beside it stand the network that validates, or before it the one that gives the features.
    let beside = |batch: usize| -> Result<usize> {
        let options = Options::new(batch, device.target());
        let own = match config.features()? {
            true => Program::lower(network, &features_options(device))?,
            false => Program::lower(network, &options)?,
        };
        Ok(own.arena_bytes)
    };
    let needed = |batch: usize| Ok::<_, Error>(lower(batch)?.arena_bytes + beside(batch)?);
    let (program, available) = (lower(config.hyper.batch)?, device.memory_bytes().unwrap_or(usize::MAX));
    let own = program.arena_bytes + beside(config.hyper.batch)?;
    if own <= available {
        return Ok(program);
    }
    // The largest that fits lies in between; 0 where not even one image does.
    let (mut fits, mut too_many) = (0, config.hyper.batch);
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        match needed(middle).is_ok_and(|needed| needed <= available) {
            true => fits = middle,
            false => too_many = middle,
        }
    }
    let (needed, there) = (own as f64 / 1e9, available as f64 / 1e9);
    Err(Error::Argument(format!(
        "training with a batch of {} takes {needed:.1} GB, validation beside it included, and {device} has {there:.1} GB: {}",
        config.hyper.batch,
        match fits {
            0 => "choose a smaller --size, or freeze more".to_string(),
            fits => format!("--batch {fits} is the largest that fits"),
        }
    )))
}

/// A new last layer of the auxiliary head of `given` where that has not `outputs` outputs.
fn new_auxiliary_classes(given: &Weights, outputs: usize, seed: u64) -> Result<Vec<(String, Tensor)>> {
    match given.shape(&format!("{AUXILIARY_HEAD}.fc.weight")) {
        None => Err(Error::Argument(format!(
            "{}: has no auxiliary head ({AUXILIARY_HEAD}): leave out --aux-weight, or begin with weights that have one",
            given.path().display()
        ))),
        Some(&[own, _]) if own == outputs => Ok(Vec::new()),
        Some(_) => Ok(new_auxiliary_head(outputs, seed)?.to_vec()),
    }
}

/// A last batch of one image whose maps have one pixel gives batch norm nothing to take a variance of.
fn check_last_batch(config: &Config, images: usize) -> Result<()> {
    let Hyper { batch, drop_last, freeze, .. } = config.hyper;
    let last = images % batch;
    if drop_last || last != 1 {
        return Ok(());
    }
    let network = config.learning_network()?;
    let single = network.learning_convolutions(freeze).any(|layer| layer.output.h * layer.output.w == 1);
    match single {
        true => Err(Error::Argument(format!(
            "{images} images in batches of {batch} leave one for the last, of which batch norm takes no variance at this size: leave it \
             out with --drop-last, or choose another --batch"
        ))),
        false => Ok(()),
    }
}

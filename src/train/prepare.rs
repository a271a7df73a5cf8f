//! All that is read and found good before a run has a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Targets;
use super::config::{Config, Hyper, MeanOrigin, digest};
use super::head::{new_auxiliary_head, new_head, weights_of, with_tensors};
use super::job::{Begin, IMAGES_BYTES, Use, loader};
use super::memory::training_program;
use crate::data::train::{Dataset, Images, Split, SplitBy};
use crate::data::{CLASSES_KEY, MEAN_TENSOR, MeanImage, Normalize, Preprocess, class_names};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{AVG_POOL_PADDING_KEY, avg_pool_padding_of, outputs_of};
use crate::network::{AUXILIARY_HEAD, Network};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// Share of validation where nothing is said.
const VAL_FRACTION: f64 = 0.2;

/// A run that is ready to begin: read and found good, not yet in a folder.
pub(super) struct Prepared {
    pub config: Config,
    pub split: Split,
    pub weights: Weights,
    pub data: Dataset,
    pub images: Arc<Images>,
    pub preprocess: Preprocess,
}

impl Prepared {
    /// Reads data and weights and looks at all that can be wrong with them and with the options.
    pub fn new(begin: Begin, device: &Device, threads: usize) -> Result<Self> {
        let mut data = Dataset::open(&begin.data)?;
        if let Some(positive) = &begin.positive {
            data = data.with_positive(positive)?;
        }
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
        // An output of other classes means something else.
        let knows_others = given.metadata().contains_key(CLASSES_KEY)
            && class_names(&given, outputs_of(&given)?).is_ok_and(|own| own != classes);
        let new = outputs_of(&given)? != outputs || knows_others;
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
            changed.extend(new_auxiliary_classes(&given, outputs, knows_others, hyper.seed)?);
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

/// A new last layer of the auxiliary head of `given` where that has not `outputs` outputs, or those of other classes.
fn new_auxiliary_classes(
    given: &Weights,
    outputs: usize,
    knows_others: bool,
    seed: u64,
) -> Result<Vec<(String, Tensor)>> {
    match given.shape(&format!("{AUXILIARY_HEAD}.fc.weight")) {
        None => Err(Error::Argument(format!(
            "{}: has no auxiliary head ({AUXILIARY_HEAD}): leave out --aux-weight, or begin with weights that have one",
            given.path().display()
        ))),
        Some(&[own, _]) if own == outputs && !knows_others => Ok(Vec::new()),
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

//! Reference files: what libtorch computed in float64, layer by layer or step by step, and the comparison of an engine with
//! it.
//!
//! The format is described in `tests/reference/README.md`. Errors are relative L2 norms, ‖ours − theirs‖ / ‖theirs‖, taken
//! in float64; of a tensor kept as a sample the norm of the sample is scaled by √(size / sample).

mod compare;
mod eval;
mod tolerance;
mod train;

pub use compare::{Comparison, GroupVerdict};
pub use tolerance::Tolerances;

use std::path::Path;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{avg_pool_padding_of, outputs_of};
use crate::network::{AvgPoolPadding, Network};
use crate::program::{Fusion, Options};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// What is added to random weights, by the ending of their names, stands in the metadata under this and the ending.
const SHIFT_KEY: &str = "weights.shift.";

/// A reference file.
pub struct Reference {
    file: Weights,
    padding: AvgPoolPadding,
    mode: Mode,
}

/// What the file is a reference of.
enum Mode {
    /// Inference on this input.
    Eval(Tensor),
    Train(train::Recipe),
}

/// What a verification found.
pub struct Report {
    /// One row a tensor of the file; in training also one for each parameter's way, and one for all that is frozen.
    pub tensors: Vec<Comparison>,
    /// One row a group of tensors.
    pub groups: Vec<GroupVerdict>,
    /// Our own tensors, under the file's names.
    pub ours: Vec<(String, Tensor)>,
}

impl Report {
    /// Whether every tensor and every group holds.
    pub fn passed(&self) -> bool {
        self.tensors.iter().all(|t| t.passed()) && self.groups.iter().all(|g| g.passed())
    }
}

impl Reference {
    /// Opens a reference.
    ///
    /// # Errors
    /// Those of [`Weights::open`]; [`Error::Format`] for broken metadata; [`Error::Tensor`] for an input, logits, labels or
    /// losses that are missing or mis-shaped.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Weights::open(path)?;
        let padding = avg_pool_padding_of(&file)?;
        let mode = match file.metadata().get("mode").map_or("eval", String::as_str) {
            "eval" => Mode::Eval(eval::read(&file)?),
            "train" => Mode::Train(train::Recipe::read(&file)?),
            other => {
                let problem = format!("metadata: mode is `eval` or `train`, not `{other}`");
                return Err(Error::format(path, problem));
            }
        };
        Ok(Reference { file, padding, mode })
    }

    /// Whether it is one of training.
    pub fn trains(&self) -> bool {
        matches!(self.mode, Mode::Train(_))
    }

    /// The random weights the file was made with, where its metadata names their seed.
    ///
    /// # Errors
    /// [`Error::Format`] when it names none.
    pub fn weights(&self) -> Result<Weights> {
        let number = |key: &str| self.file.metadata().get(key).and_then(|text| text.parse::<usize>().ok());
        let (Some(seed), Some(classes)) = (number("weights.seed"), number("weights.classes")) else {
            let problem = "names no seed of its weights: give the weights it was made with (--weights)";
            return Err(Error::format(self.file.path(), problem));
        };
        if let Some(&[_, outputs]) = self.file.shape("logits").filter(|shape| shape.last() != Some(&classes))
        {
            let problem = format!("metadata: weights.classes is {classes}, and there are {outputs} logits");
            return Err(Error::format(self.file.path(), problem));
        }
        let network = Network::inception_v3(self.size(), classes, self.padding)?;
        let network = match &self.mode {
            Mode::Eval(_) => network,
            Mode::Train(recipe) => recipe.network(&network)?,
        };
        let weights = Weights::random(seed as u64, &network.parameters())?;
        self.shifted(weights)
    }

    /// `weights` with what the metadata has added to them.
    fn shifted(&self, weights: Weights) -> Result<Weights> {
        let all = self.file.metadata().iter();
        let mut shifts = Vec::new();
        for (ending, text) in all.filter_map(|(key, text)| Some((key.strip_prefix(SHIFT_KEY)?, text))) {
            let by = text.parse::<f64>().ok().filter(|by| by.is_finite());
            let by = by.filter(|_| weights.names().any(|name| name.ends_with(ending)));
            let problem = || {
                format!("metadata: {SHIFT_KEY}{ending} is `{text}`, no number, or no weight's name ends so")
            };
            shifts.push((ending, by.ok_or_else(|| Error::format(self.file.path(), problem()))? as f32));
        }
        if shifts.is_empty() {
            return Ok(weights);
        }
        let mut tensors = Vec::new();
        for name in weights.names() {
            let mut values = weights.f32(name)?.into_owned();
            for (_, by) in shifts.iter().filter(|(ending, _)| name.ends_with(ending)) {
                values.iter_mut().for_each(|value| *value += by);
            }
            tensors.push((name, Tensor::new(weights.shape(name).unwrap_or_default(), values)?));
        }
        Weights::from_tensors(tensors.iter().map(|(name, tensor)| (*name, tensor)))
    }

    fn size(&self) -> (usize, usize) {
        match &self.mode {
            Mode::Eval(input) => (input.shape()[2], input.shape()[3]),
            Mode::Train(recipe) => recipe.size(),
        }
    }

    /// Runs or trains the network on `device` and compares every tensor of the file with what comes out.
    ///
    /// # Errors
    /// [`Error::Tensor`] for weights that do not fit, [`Error::Argument`] for training that is not planned, [`Error::Device`] or
    /// [`Error::Memory`] from the device. A tensor that differs or is missing is no error but a row of the report.
    pub fn verify(
        &self,
        weights: &Weights,
        device: &Device,
        fusion: Fusion,
        tolerances: &Tolerances,
    ) -> Result<Report> {
        let tolerances = &tolerances.on(device);
        let network = Network::inception_v3(self.size(), outputs_of(weights)?, self.padding)?;
        let options = Options { fusion, ..Options::new(1, device.target()) };
        match &self.mode {
            Mode::Eval(input) => {
                eval::verify(input, &self.file, weights, &network, &options, device, tolerances)
            }
            Mode::Train(recipe) => recipe.verify(&self.file, weights, &network, &options, device, tolerances),
        }
    }

    /// Our own tensors as a file that is itself a reference: with this one's input, labels and metadata, but for PyTorch's
    /// errors.
    ///
    /// # Errors
    /// [`Error::Tensor`] for a tensor that comes twice.
    pub fn dump(&self, report: &Report) -> Result<Weights> {
        let (input, labels) = match &self.mode {
            Mode::Eval(input) => (input.clone(), None),
            Mode::Train(recipe) => {
                let (input, labels) = recipe.given()?;
                (input, Some(labels))
            }
        };
        let ours = report.ours.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let mut dump = Weights::from_tensors([("input", &input)].into_iter().chain(ours))?;
        if let Some(labels) = labels {
            dump.add_i64("labels", &input.shape()[..2], &labels)?;
        }
        let about =
            |key: &str| !key.starts_with("f32_error.") && !key.starts_with("sample.") && key != "made_by";
        for (key, value) in self.file.metadata().iter().filter(|(key, _)| about(key)) {
            dump.set_metadata(key, value);
        }
        Ok(dump)
    }
}

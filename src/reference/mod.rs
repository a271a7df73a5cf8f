//! Reference files: what libtorch computed, layer by layer, in float64, and the comparison of an engine with it.
//!
//! The format is described in `tests/reference/README.md`. Errors are relative L2 norms, ‖ours − theirs‖ / ‖theirs‖, taken
//! in float64; of a layer kept as a sample the norm of the sample is scaled by √(size / sample).

mod compare;
mod tolerance;

pub use compare::{Comparison, GroupVerdict};
pub use tolerance::Tolerances;

use std::path::Path;

use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::model::{AVG_POOL_PADDING_KEY, avg_pool_padding_of, outputs_of};
use crate::network::{AvgPoolPadding, Network};
use crate::program::{Fusion, Keep, Options, Program};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// A reference file.
pub struct Reference {
    file: Weights,
    padding: AvgPoolPadding,
    input: Tensor,
}

/// What a verification found.
pub struct Report {
    /// One row a tensor of the file.
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
    /// Opens a reference of inference.
    ///
    /// # Errors
    /// Those of [`Weights::open`]; [`Error::Format`] for a reference of training or broken metadata; [`Error::Tensor`]
    /// for an input or logits that are missing or mis-shaped.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Weights::open(path)?;
        match file.metadata().get("mode").map_or("eval", String::as_str) {
            "eval" => {}
            "train" => {
                let problem =
                    "is a reference of training, which this version does not replay: give one of mode `eval`";
                return Err(Error::format(path, problem));
            }
            other => {
                return Err(Error::format(
                    path,
                    format!("metadata: mode is `eval` or `train`, not `{other}`"),
                ));
            }
        }
        let padding = avg_pool_padding_of(&file)?;
        let shape = file.shape("input").unwrap_or_default().to_vec();
        let values = file.f32("input")?;
        if shape.len() != 4 || shape[1] != 3 || shape[0] == 0 {
            return Err(Error::tensor(path, "input", format!("expected shape [N, 3, H, W], got {shape:?}")));
        }
        let input = Tensor::new(&shape, values.into_owned())?;
        match file.shape("logits") {
            Some(&[n, k]) if n == shape[0] && k > 0 => {}
            Some(other) => {
                let n = shape[0];
                return Err(Error::tensor(path, "logits", format!("expected shape [{n}, K], got {other:?}")));
            }
            None => return Err(Error::tensor(path, "logits", "missing: is this a reference file?")),
        }
        Ok(Reference { file, padding, input })
    }

    /// The random weights the file was made with, where its metadata names their seed.
    ///
    /// # Errors
    /// [`Error::Format`] when it names none.
    pub fn weights(&self) -> Result<Weights> {
        let number = |key: &str| self.file.metadata().get(key).and_then(|text| text.parse::<u64>().ok());
        let (Some(seed), Some(classes)) = (number("weights.seed"), number("weights.classes")) else {
            let problem = "names no seed of its weights: give the weights it was made with (--weights)";
            return Err(Error::format(self.file.path(), problem));
        };
        let outputs = self.file.shape("logits").and_then(|shape| shape.last()).copied().unwrap_or_default();
        if classes != outputs as u64 {
            let problem = format!("metadata: weights.classes is {classes}, and there are {outputs} logits");
            return Err(Error::format(self.file.path(), problem));
        }
        let network = Network::inception_v3(self.size(), outputs, self.padding)?;
        Weights::random(seed, &network.parameters())
    }

    fn size(&self) -> (usize, usize) {
        (self.input.shape()[2], self.input.shape()[3])
    }

    /// Runs the network on `device` and compares every tensor of the file with what comes out.
    ///
    /// # Errors
    /// [`Error::Tensor`] for weights that do not fit, [`Error::Device`] or [`Error::Memory`] from the device. A tensor
    /// that differs or is missing is no error but a row of the report.
    pub fn verify(
        &self,
        weights: &Weights,
        device: &Device,
        fusion: Fusion,
        tolerances: &Tolerances,
    ) -> Result<Report> {
        let tolerances = &tolerances.on(device);
        let batch = self.input.shape()[0];
        let outputs = outputs_of(weights)?;
        if let Some(&[_, classes]) = self.file.shape("logits").filter(|shape| shape[1] != outputs) {
            return Err(Error::Shape {
                what: format!("{}: outputs of the last layer", weights.path().display()),
                expected: format!("{classes}, as in the reference"),
                got: outputs.to_string(),
            });
        }
        let network = Network::inception_v3(self.size(), outputs, self.padding)?;
        let options = Options { fusion, keep: Keep::Layers, ..Options::new(batch, device.target()) };
        let mut engine = Engine::new(Program::lower(&network, &options)?, weights, device)?;
        engine.input().copy_from_slice(self.input.data());
        engine.run(batch)?;

        let mut report = Report { tensors: Vec::new(), groups: Vec::new(), ours: Vec::new() };
        let mut names: Vec<&str> = self.file.names().collect();
        names.sort_unstable();
        for name in names {
            let Some(layer) = compare::layer_of(name) else { continue };
            let ours = engine.output(layer, batch).ok();
            report.tensors.push(compare::compare(&self.file, name, ours.as_ref(), tolerances)?);
            if let Some(ours) = ours {
                let name = if name == "logits" { name.to_string() } else { format!("layer.{layer}") };
                report.ours.push((name, ours));
            }
        }
        report.groups = compare::groups(&self.file, &report.tensors, tolerances)?;
        Ok(report)
    }

    /// The metadata a dump of our tensors should carry.
    pub fn dump_metadata(&self) -> [(&'static str, String); 2] {
        [("mode", "eval".into()), (AVG_POOL_PADDING_KEY, self.padding.to_string())]
    }
}

//! What a reference of training says is done: inputs, labels and rates, read and checked.

use crate::error::{Error, Result};
use crate::network::Network;
use crate::reference::compare::f32_error;
use crate::tensor::Tensor;
use crate::weights::Weights;

/// PyTorch's own error of a gradient, from which on a reference tells nothing.
const GRAD_LIMIT: f64 = 5e-4;

/// What the metadata, `input` and `labels` of a reference of training say.
#[derive(Debug)]
pub(in crate::reference) struct Recipe {
    /// Steps, images, channels, height, width.
    pub(super) shape: [usize; 5],
    pub(super) inputs: Vec<f32>,
    /// A class an image, steps × images.
    pub(super) labels: Vec<usize>,
    pub(super) freeze: usize,
    pub(super) lr: f64,
    pub(super) momentum: f64,
    pub(super) weight_decay: f64,
    pub(super) lr_decay: f64,
    /// Weight of the auxiliary head's loss, where there is that head.
    pub(super) auxiliary: Option<f64>,
    /// `logit` or `classes`, where the file says.
    head: Option<String>,
}

impl Recipe {
    /// Reads and checks `file`.
    pub(in crate::reference) fn read(file: &Weights) -> Result<Self> {
        let shape = match file.shape("input") {
            Some(&[steps, n, 3, h, w]) if steps > 0 && n > 0 => [steps, n, 3, h, w],
            Some(other) => {
                let problem = format!("expected shape [steps, N, 3, H, W], got {other:?}");
                return Err(Error::tensor(file.path(), "input", problem));
            }
            None => return Err(Error::tensor(file.path(), "input", "missing: is this a reference file?")),
        };
        let steps = number(file, "steps", 1.0)?;
        if steps != shape[0] as f64 {
            let problem = format!("metadata: steps is {steps}, and `input` has {}", shape[0]);
            return Err(Error::format(file.path(), problem));
        }
        let freeze = number(file, "freeze", 0.0)?;
        if freeze.fract() != 0.0 || freeze > 1e6 {
            let problem = format!("metadata: freeze is {freeze}, no number of convolutions");
            return Err(Error::format(file.path(), problem));
        }
        expect_shape(file, "labels", &shape[..2])?;
        expect_shape(file, "loss", &shape[..1])?;
        if let Some(error) = f32_error(file, "grad")?.filter(|&error| error >= GRAD_LIMIT) {
            let problem = format!(
                "metadata: PyTorch's own float32 gradients differ by {error:.1e}, more than {GRAD_LIMIT:.0e}: a value \
                 lies at a kink of ReLU or of a maximum, so make the reference with another seed"
            );
            return Err(Error::format(file.path(), problem));
        }
        let label = |label: i64| {
            let problem = || Error::tensor(file.path(), "labels", format!("{label} is no class"));
            usize::try_from(label).map_err(|_| problem())
        };
        Ok(Recipe {
            shape,
            inputs: file.f32("input")?.into_owned(),
            labels: file.i64("labels")?.into_iter().map(label).collect::<Result<_>>()?,
            freeze: freeze as usize,
            lr: number(file, "lr", 1e-3)?,
            momentum: number(file, "momentum", 0.0)?,
            weight_decay: number(file, "weight_decay", 0.0)?,
            lr_decay: number(file, "lr_decay", 0.0)?,
            auxiliary: Some(number(file, "aux_weight", 0.0)?).filter(|&weight| weight > 0.0),
            head: file.metadata().get("head").cloned(),
        })
    }

    /// Height and width of the images.
    pub(in crate::reference) fn size(&self) -> (usize, usize) {
        (self.shape[3], self.shape[4])
    }

    /// `network` with an auxiliary head where the file has one.
    pub(in crate::reference) fn network(&self, network: &Network) -> Result<Network> {
        network.with_auxiliary_head(self.auxiliary.is_some())
    }

    /// `input` and `labels` for a dump.
    pub(in crate::reference) fn given(&self) -> Result<(Tensor, Vec<i64>)> {
        let labels = self.labels.iter().map(|&label| label as i64).collect();
        Ok((Tensor::new(&self.shape, self.inputs.clone())?, labels))
    }

    /// Whether labels and head fit `outputs` outputs.
    pub(super) fn check(&self, file: &Weights, outputs: usize) -> Result<()> {
        match (self.head.as_deref(), outputs) {
            (None, _) | (Some("logit"), 1) | (Some("classes"), 2..) => {}
            (Some(head @ ("logit" | "classes")), _) => {
                let problem = format!("metadata: head is `{head}`, and the weights have {outputs} outputs");
                return Err(Error::format(file.path(), problem));
            }
            (Some(other), _) => {
                let problem = format!("metadata: head is `logit` or `classes`, not `{other}`");
                return Err(Error::format(file.path(), problem));
            }
        }
        let classes = outputs.max(2);
        match self.labels.iter().find(|&&label| label >= classes) {
            Some(label) => {
                let problem =
                    format!("class {label}, and the weights have {classes} classes, counted from 0");
                Err(Error::tensor(file.path(), "labels", problem))
            }
            None => Ok(()),
        }
    }
}

/// A number from 0 on in the metadata.
fn number(file: &Weights, key: &str, default: f64) -> Result<f64> {
    let Some(text) = file.metadata().get(key) else { return Ok(default) };
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err(Error::format(file.path(), format!("metadata: {key} is `{text}`, no number from 0 on"))),
    }
}

fn expect_shape(file: &Weights, name: &str, expected: &[usize]) -> Result<()> {
    match file.shape(name) {
        Some(shape) if shape == expected => Ok(()),
        Some(shape) => {
            let problem = format!("expected shape {expected:?}, as `input` has it, got {shape:?}");
            Err(Error::tensor(file.path(), name, problem))
        }
        None => Err(Error::tensor(file.path(), name, "missing, and this is a reference of training")),
    }
}

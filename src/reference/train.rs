//! References of training: some steps of stochastic gradient descent, replayed.
//!
//! Compared are the loss of each step, the gradients of the first, parameters and running statistics after the last, and how
//! far each parameter has moved: a step moves a filter so little that its own norm would hide a wrong one. Whatever is
//! frozen must not be among what learned.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{self, Comparison, f32_error};
use super::tolerance::group_of;
use super::{Report, Tolerances};
use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::network::{Network, Op};
use crate::program::{Controls, Options, Program, Training};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// A gradient's error counts relative to its norm, or to this share of all gradients' together where that is more.
const GRAD_FLOOR: f64 = 1e-4;

/// PyTorch's own error of a gradient, from which on a reference tells nothing.
const GRAD_LIMIT: f64 = 5e-4;

/// What the metadata, `input` and `labels` of a reference of training say.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Steps, images, channels, height, width.
    shape: [usize; 5],
    inputs: Vec<f32>,
    /// A class an image, steps × images.
    labels: Vec<usize>,
    freeze: usize,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    lr_decay: f64,
    /// `logit` or `classes`, where the file says.
    head: Option<String>,
}

impl Recipe {
    /// Reads and checks `file`.
    pub(super) fn read(file: &Weights) -> Result<Self> {
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
            head: file.metadata().get("head").cloned(),
        })
    }

    /// Height and width of the images.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.shape[3], self.shape[4])
    }

    /// `input` and `labels` for a dump.
    pub(super) fn given(&self) -> Result<(Tensor, Vec<i64>)> {
        let labels = self.labels.iter().map(|&label| label as i64).collect();
        Ok((Tensor::new(&self.shape, self.inputs.clone())?, labels))
    }

    /// Whether labels and head fit `outputs` outputs.
    fn check(&self, file: &Weights, outputs: usize) -> Result<()> {
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

    /// Trains `engine` and returns what the file names `loss`, `grad.NAME`, `param.NAME` and `buffer.NAME`.
    fn run(&self, engine: &mut Engine, outputs: usize) -> Result<BTreeMap<String, Tensor>> {
        let [steps, n, c, h, w] = self.shape;
        let (mut ours, mut losses) = (BTreeMap::new(), Vec::with_capacity(steps));
        for (step, images) in self.inputs.chunks_exact(n * c * h * w).enumerate() {
            engine.input().copy_from_slice(images);
            let mut targets = vec![0.0; n * outputs.max(2)];
            for (image, label) in self.labels[step * n..][..n].iter().enumerate() {
                targets[image * outputs.max(2) + label] = 1.0 / n as f32;
            }
            let controls = Controls {
                lr: (self.lr / (1.0 + self.lr_decay * step as f64)) as f32,
                momentum: self.momentum as f32,
                weight_decay: self.weight_decay as f32,
                step: step as u32,
                ..Controls::default()
            };
            losses.push(engine.train_step(n, &targets, &controls)?.loss);
            if step == 0 {
                let parameters = engine.program().learned.as_ref().map(|l| l.parameters.clone());
                for parameter in parameters.unwrap_or_default() {
                    let gradient = engine.gradient(&parameter.name)?;
                    ours.insert(format!("grad.{}", parameter.name), gradient);
                }
            }
        }
        ours.insert("loss".into(), Tensor::new(&[steps], losses)?);
        for (name, tensor) in engine.trained()? {
            let group = if name.contains(".running_") { "buffer" } else { "param" };
            ours.insert(format!("{group}.{name}"), tensor);
        }
        Ok(ours)
    }

    /// Trains on `device` and compares all that the file has.
    pub(super) fn verify(
        &self,
        file: &Weights,
        weights: &Weights,
        network: &Network,
        options: &Options,
        device: &Device,
        tolerances: &Tolerances,
    ) -> Result<Report> {
        self.check(file, network.classes)?;
        let training = Training { freeze: self.freeze, ..Training::default() };
        let options = Options { training: Some(training), batch: self.shape[1], ..options.clone() };
        let mut engine = Engine::new(Program::lower(network, &options)?, weights, device)?;
        let ours = self.run(&mut engine, network.classes)?;
        self.report(file, weights, network, tolerances, ours)
    }

    /// Compares `ours` with all that the file has.
    fn report(
        &self,
        file: &Weights,
        weights: &Weights,
        network: &Network,
        tolerances: &Tolerances,
        ours: BTreeMap<String, Tensor>,
    ) -> Result<Report> {
        let learned = learned(network, self.freeze);
        let names = compared(file, &learned)?;
        let mut squares = 0.0;
        for name in names.iter().filter(|name| group_of(name) == Some("grad")) {
            squares += compare::norm_of_whole(file, name)?.powi(2);
        }
        let floor = GRAD_FLOOR * squares.sqrt();
        let mut tensors = vec![frozen(&ours, &learned)];
        for name in names {
            let Some(group) = group_of(name) else { continue };
            let own = ours.get(name.strip_prefix("sample.").unwrap_or(name));
            let tolerance = tolerances.of(group, f32_error(file, group)?);
            let floor = if group == "grad" { floor } else { 0.0 };
            let row = compare::compare(file, name, own, tolerance, floor)?;
            if let (Some((_, parameter)), "param", Some(own)) = (name.split_once("param."), group, own) {
                let tolerance = tolerances.of("update", f32_error(file, "update")?);
                tensors.push(compare::moved(file, name, own, &weights.f32(parameter)?, tolerance)?);
            }
            tensors.push(row);
        }
        let groups = compare::groups(file, &tensors, tolerances)?;
        Ok(Report { tensors, groups, ours: ours.into_iter().collect() })
    }
}

/// Names of what learns, as the file calls its values: `param.NAME`, `buffer.NAME`.
fn learned(network: &Network, freeze: usize) -> BTreeSet<String> {
    let convolutions = network.layers.iter().filter(|layer| matches!(layer.op, Op::BasicConv2d(_)));
    let frozen: BTreeSet<&str> = convolutions.take(freeze).map(|layer| layer.name.as_str()).collect();
    let layers = network.layers.iter().filter(|layer| !frozen.contains(layer.name.as_str()));
    let parameters = layers.flat_map(|layer| layer.parameters(network));
    let called = |name: String| match name.contains(".running_") {
        true => format!("buffer.{name}"),
        false => format!("param.{name}"),
    };
    parameters.map(|parameter| called(parameter.name)).collect()
}

/// Tensors of the file that are compared, in order of name: of each group that it has at all, all that learns.
fn compared<'a>(file: &'a Weights, learned: &BTreeSet<String>) -> Result<Vec<&'a str>> {
    let mut names: Vec<&str> = file.names().filter(|name| group_of(name).is_some()).collect();
    names.sort_unstable();
    let whole: BTreeSet<&str> =
        names.iter().map(|name| name.strip_prefix("sample.").unwrap_or(name)).collect();
    let gradient = |name: &String| name.replacen("param.", "grad.", 1);
    let gradients = learned.iter().filter(|name| name.starts_with("param.")).map(gradient);
    for name in learned.iter().cloned().chain(gradients) {
        let group = group_of(&name);
        if !whole.contains(name.as_str()) && whole.iter().any(|other| group_of(other) == group) {
            return Err(Error::tensor(file.path(), &name, "missing, and it learns"));
        }
    }
    Ok(names)
}

/// Whether what is frozen stayed out of what learned.
fn frozen(ours: &BTreeMap<String, Tensor>, learned: &BTreeSet<String>) -> Comparison {
    let trained: BTreeSet<&String> =
        ours.keys().filter(|n| matches!(group_of(n), Some("param" | "buffer"))).collect();
    let odd = trained.iter().find(|name| !learned.contains(**name));
    let (error, note) = match odd {
        Some(name) => (f64::NAN, format!("{name} is frozen, and it was trained")),
        None => (0.0, String::new()),
    };
    Comparison { name: "frozen".into(), max_abs: error, relative_l2: error, tolerance: 0.0, note }
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

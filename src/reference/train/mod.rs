//! References of training: some steps of stochastic gradient descent, replayed.
//!
//! Compared are the loss of each step, the gradients of the first, parameters and running statistics after the last, and how
//! far each parameter has moved: a step moves a filter so little that its own norm would hide a wrong one. Whatever is
//! frozen must not be among what learned.

mod recipe;
#[cfg(test)]
mod tests;

pub(super) use recipe::Recipe;

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{self, Comparison, f32_error};
use super::tolerance::group_of;
use super::{Report, Tolerances};
use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::program::{Controls, Options, Program, Training};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// A gradient's error counts relative to its norm, or to this share of all gradients' together where that is more.
const GRAD_FLOOR: f64 = 1e-4;

impl Recipe {
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
            losses.push(engine.train_step(n, &targets, &controls)?.total_loss());
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
        let network = &self.network(network)?;
        let auxiliary = self.auxiliary.map(|weight| weight as f32);
        let training = Training { freeze: self.freeze, auxiliary, ..Training::default() };
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
    let frozen: BTreeSet<&str> =
        network.convolutions().take(freeze).map(|(_, layer)| layer.name.as_str()).collect();
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

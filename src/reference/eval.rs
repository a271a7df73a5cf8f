//! References of inference: logits and every layer.

use super::compare;
use super::tolerance::group_of;
use super::{Report, Tolerances};
use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::program::{Keep, Options, Program};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// Reads and checks the input of `file`, N·3·H·W.
pub(super) fn read(file: &Weights) -> Result<Tensor> {
    let shape = file.shape("input").unwrap_or_default().to_vec();
    let values = file.f32("input")?;
    if shape.len() != 4 || shape[1] != 3 || shape[0] == 0 {
        let problem = format!("expected shape [N, 3, H, W], got {shape:?}");
        return Err(Error::tensor(file.path(), "input", problem));
    }
    let input = Tensor::new(&shape, values.into_owned())?;
    match file.shape("logits") {
        Some(&[n, k]) if n == shape[0] && k > 0 => Ok(input),
        Some(other) => {
            let problem = format!("expected shape [{}, K], got {other:?}", shape[0]);
            Err(Error::tensor(file.path(), "logits", problem))
        }
        None => Err(Error::tensor(file.path(), "logits", "missing: is this a reference file?")),
    }
}

/// Runs `network` on `device` and compares all that the file has.
pub(super) fn verify(
    input: &Tensor,
    file: &Weights,
    weights: &Weights,
    network: &Network,
    options: &Options,
    device: &Device,
    tolerances: &Tolerances,
) -> Result<Report> {
    if let Some(&[_, classes]) = file.shape("logits").filter(|shape| shape[1] != network.classes) {
        return Err(Error::Shape {
            what: format!("{}: outputs of the last layer", weights.path().display()),
            expected: format!("{classes}, as in the reference"),
            got: network.classes.to_string(),
        });
    }
    let batch = input.shape()[0];
    let options = Options { keep: Keep::Layers, batch, ..options.clone() };
    let mut engine = Engine::new(Program::lower(network, &options)?, weights, device)?;
    engine.input().copy_from_slice(input.data());
    engine.run(batch)?;

    let mut report = Report { tensors: Vec::new(), groups: Vec::new(), ours: Vec::new() };
    let mut names: Vec<&str> = file.names().collect();
    names.sort_unstable();
    for name in names {
        let Some(layer) = layer_of(name) else { continue };
        let ours = engine.output(layer, batch).ok();
        let group = group_of(name).unwrap_or_default();
        let tolerance = tolerances.of(group, compare::f32_error(file, group)?);
        report.tensors.push(compare::compare(file, name, ours.as_ref(), tolerance, 0.0)?);
        if let Some(ours) = ours {
            let name = if name == "logits" { name.to_string() } else { format!("layer.{layer}") };
            report.ours.push((name, ours));
        }
    }
    report.groups = compare::groups(file, &report.tensors, tolerances)?;
    Ok(report)
}

/// The layer a tensor of the file belongs to; `None` for what is not compared.
fn layer_of(name: &str) -> Option<&str> {
    if name == "logits" {
        return Some("fc");
    }
    name.strip_prefix("layer.").or_else(|| name.strip_prefix("sample.layer."))
}

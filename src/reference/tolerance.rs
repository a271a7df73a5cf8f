//! How far from float64 a result may lie.

use crate::device::Device;
use crate::error::{Error, Result};

/// What PyTorch's own float32 error, where the reference states it, does to a group's bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Peer {
    /// The group's worst is at most this many times it.
    AtMost(f64),
    /// The bound is this many times it where that is more.
    AtLeast(f64),
    /// It is shown.
    Shown,
}

/// A group of tensors.
struct Group {
    name: &'static str,
    /// The bound on the CPU, and where GPU kernels run, whose sums are cut otherwise for each card.
    cpu: f64,
    gpu: f64,
    peer: Peer,
}

/// Inference: float32 sums in another order than float64's, through at most 48 layers, stay below 2e-6; an error in the
/// arithmetic does not. Training: the backward pass is as deep again and divides by the deviations of small batches, where
/// PyTorch's own float32 error is 1e-5 to 5e-4. A step moves a filter by 1e-4 of itself or less, of which float32 keeps
/// two or three digits: `update` is the error of that way.
const GROUPS: [Group; 7] = [
    Group { name: "logits", cpu: 2e-6, gpu: 3e-6, peer: Peer::AtMost(2.0) },
    Group { name: "layer", cpu: 2e-6, gpu: 3e-6, peer: Peer::AtMost(2.0) },
    Group { name: "loss", cpu: 1e-5, gpu: 1e-5, peer: Peer::Shown },
    Group { name: "grad", cpu: 1e-3, gpu: 1e-3, peer: Peer::AtLeast(5.0) },
    Group { name: "param", cpu: 1e-4, gpu: 1e-4, peer: Peer::Shown },
    Group { name: "update", cpu: 1e-2, gpu: 1e-2, peer: Peer::AtLeast(5.0) },
    Group { name: "buffer", cpu: 1e-4, gpu: 1e-4, peer: Peer::Shown },
];

/// The group that a tensor called `name` is compared in; `None` for what is not compared.
pub(super) fn group_of(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("sample.").unwrap_or(name);
    let first = name.split_once('.').map_or(name, |(first, _)| first);
    GROUPS.iter().map(|group| group.name).find(|group| *group == first)
}

/// All groups, in the order in which they are shown.
pub(super) fn groups() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|group| group.name)
}

/// Bounds by group of tensors: `logits` and `layer` of inference, `loss`, `grad`, `param`, `update` and `buffer` of training.
#[derive(Clone, Debug, Default)]
pub struct Tolerances {
    all: Option<f64>,
    groups: Vec<(String, f64)>,
    /// Whether GPU kernels are compared.
    gpu: bool,
}

impl Tolerances {
    /// Reads `T` for all groups or `GROUP=T,…`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown group, or a bound that is no number from 0 to 1.
    pub fn parse(text: &str) -> Result<Self> {
        let bound = |text: &str| match text.parse::<f64>() {
            Ok(t) if (0.0..=1.0).contains(&t) => Ok(t),
            _ => Err(Error::Argument(format!(
                "a tolerance is a number from 0 to 1 such as 2e-6, not `{text}`"
            ))),
        };
        if !text.contains('=') {
            return Ok(Tolerances { all: Some(bound(text)?), groups: Vec::new(), gpu: false });
        }
        let mut chosen = Vec::new();
        for part in text.split(',') {
            let (group, value) = part.split_once('=').unwrap_or((part, ""));
            if !groups().any(|known| known == group) {
                let known = groups().collect::<Vec<_>>().join(", ");
                return Err(Error::Argument(format!(
                    "no tolerance group is called `{group}`; there are {known}"
                )));
            }
            chosen.push((group.to_string(), bound(value)?));
        }
        Ok(Tolerances { all: None, groups: chosen, gpu: false })
    }

    /// The bound of a tensor of `group`, where PyTorch's own error is `f32_error`.
    pub(super) fn of(&self, group: &str, f32_error: Option<f64>) -> f64 {
        if let Some(chosen) = self.chosen(group) {
            return chosen;
        }
        let Some(known) = GROUPS.iter().find(|known| known.name == group) else { return 0.0 };
        let default = if self.gpu { known.gpu } else { known.cpu };
        match (known.peer, f32_error) {
            (Peer::AtLeast(factor), Some(error)) => default.max(factor * error),
            _ => default,
        }
    }

    /// What the worst of `group` may be beside that, where PyTorch's own error is `f32_error`.
    pub(super) fn limit(&self, group: &str, f32_error: Option<f64>) -> f64 {
        let peer = GROUPS.iter().find(|known| known.name == group).map(|known| known.peer);
        match (peer, f32_error) {
            (Some(Peer::AtMost(factor)), Some(error)) if self.chosen(group).is_none() => factor * error,
            _ => f64::INFINITY,
        }
    }

    /// These, with the defaults of `device`.
    pub(super) fn on(&self, device: &Device) -> Self {
        Tolerances { gpu: !matches!(device, Device::Cpu { .. }), ..self.clone() }
    }

    /// The bound that was asked for by name, if any; PyTorch's own error then does not count.
    fn chosen(&self, group: &str) -> Option<f64> {
        self.groups.iter().find(|(name, _)| name == group).map(|&(_, t)| t).or(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pytorchs_error_narrows_inference_and_widens_gradients() {
        let default = Tolerances::default();
        assert_eq!((default.of("layer", Some(1e-7)), default.limit("layer", Some(1e-7))), (2e-6, 2e-7));
        assert_eq!(
            (default.of("grad", Some(4e-4)), default.limit("grad", Some(4e-4))),
            (2e-3, f64::INFINITY)
        );
        assert_eq!((default.of("grad", Some(1e-5)), default.of("param", Some(1.0))), (1e-3, 1e-4));
        let chosen = Tolerances::parse("grad=1e-5,layer=0.5").unwrap();
        assert_eq!((chosen.of("grad", Some(4e-4)), chosen.limit("layer", Some(1e-7))), (1e-5, f64::INFINITY));
        assert_eq!(Tolerances::parse("1e-3").unwrap().of("loss", None), 1e-3);
    }

    #[test]
    fn names_have_groups() {
        let group = |name| group_of(name).unwrap_or("none");
        assert_eq!(
            [group("logits"), group("sample.grad.fc.weight"), group("loss")],
            ["logits", "grad", "loss"]
        );
        assert_eq!([group("norm.grad.fc.weight"), group("labels"), group("input")], ["none"; 3]);
    }
}

//! How far from float64 a result may lie.

use crate::device::Device;
use crate::error::{Error, Result};

/// Default bounds of the relative L2 error by group: float32 sums in another order than float64's, through at most 48
/// layers, stay below them; an error in the arithmetic does not. First on the CPU, then where GPU kernels run, whose
/// sums are cut otherwise for each card.
const DEFAULTS: [(&str, f64, f64); 2] = [("logits", 2e-6, 3e-6), ("layer", 2e-6, 3e-6)];

/// No worse than this many times PyTorch's own float32 error, where the reference states it.
pub(super) const F32_FACTOR: f64 = 2.0;

/// Bounds by group of tensors: `logits`, `layer`.
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
        let mut groups = Vec::new();
        for part in text.split(',') {
            let (group, value) = part.split_once('=').unwrap_or((part, ""));
            if !DEFAULTS.iter().any(|(known, ..)| *known == group) {
                let known = DEFAULTS.map(|(known, ..)| known).join(", ");
                return Err(Error::Argument(format!(
                    "no tolerance group is called `{group}`; there are {known}"
                )));
            }
            groups.push((group.to_string(), bound(value)?));
        }
        Ok(Tolerances { all: None, groups, gpu: false })
    }

    /// The bound of a group.
    pub fn of(&self, group: &str) -> f64 {
        let default = DEFAULTS.iter().find(|(known, ..)| *known == group);
        let default = default.map_or(0.0, |&(_, cpu, gpu)| if self.gpu { gpu } else { cpu });
        self.chosen(group).unwrap_or(default)
    }

    /// These, with the defaults of `device`.
    pub(super) fn on(&self, device: &Device) -> Self {
        Tolerances { gpu: !matches!(device, Device::Cpu { .. }), ..self.clone() }
    }

    /// The bound that was asked for by name, if any; PyTorch's own error then does not count.
    pub(super) fn chosen(&self, group: &str) -> Option<f64> {
        self.groups.iter().find(|(name, _)| name == group).map(|&(_, t)| t).or(self.all)
    }
}

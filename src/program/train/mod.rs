//! A network lowered for training: the forward steps in training mode, the loss, the backward steps of all that learns, the update.
//!
//! The first `freeze` convolutions are frozen: they run as in inference, batch norm folded, with no gradient, no saved map and no
//! backward step of their own. Where a block is frozen in part, the gradient of its output is taken for all its channels. Of every other convolution z, its bare output, is kept for the backward pass, and
//! y = ReLU(batch norm(z)) where the gradient of a filter that reads it needs it; where ReLU was flat is told from z. Sibling
//! 1×1 convolutions stay one backward too: one product gives the gradient of what they read. The average pool stands behind its
//! convolution as in inference, with which it commutes.
//!
//! A gradient to which several steps contribute is overwritten by the first and added to by the others, one level after the
//! other, so that the order of the sum is fixed. Filters, gradients and momenta of all that learns lie in three buffers of the same
//! layout, so that one step updates all.

mod backward;
mod forward;
mod op;
#[cfg(test)]
mod tests;

pub(super) use forward::lower;
pub use op::TrainOp;

use super::{BufferId, Fusion, Input, Keep, Options, Program, View};
use crate::error::{Error, Result};
use crate::network::{Network, Op};

/// How a network learns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Training {
    /// The first convolutions, in network order, that do not learn.
    pub freeze: usize,
}

impl Training {
    /// # Errors
    /// [`Error::Argument`] for more frozen convolutions than there are, and for what is not planned: other targets than the cpu,
    /// unfused steps, crops.
    pub(super) fn check(&self, network: &Network, options: &Options) -> Result<()> {
        let count = network.layers.iter().filter(|layer| matches!(layer.op, Op::BasicConv2d(_))).count();
        if self.freeze > count {
            return Err(Error::Argument(format!("{} frozen convolutions: there are {count}", self.freeze)));
        }
        let learns =
            network.layers.iter().filter(|layer| matches!(layer.op, Op::BasicConv2d(_))).skip(self.freeze);
        let single = |layer: &&crate::network::Layer| options.batch * layer.output.h * layer.output.w < 2;
        if let Some(layer) = learns.into_iter().find(single) {
            return Err(Error::Argument(format!(
                "{} gives one value a channel, of which batch norm takes no variance: choose a larger batch or size",
                layer.name
            )));
        }
        let planned = options.target.gpu.is_none()
            && options.fusion == Fusion::Full
            && options.input == Input::Values
            && options.keep == Keep::Output;
        match planned {
            true => Ok(()),
            false => Err(Error::Argument(
                "training is planned for the cpu only, fused and on values: leave --device and --fuse out"
                    .into(),
            )),
        }
    }
}

/// A parameter that learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// torchvision's name.
    pub name: String,
    /// Its values within the buffers of all parameters, gradients and momenta.
    pub first: usize,
    /// How many.
    pub values: usize,
}

/// What learns, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedSet {
    /// Each parameter, one behind the other.
    pub parameters: Vec<Learned>,
    /// The buffer of the parameters themselves.
    pub values: BufferId,
    /// That of their gradients.
    pub gradients: BufferId,
    /// That of their momenta.
    pub momentum: BufferId,
    /// That of the loss, one value.
    pub loss: BufferId,
}

impl LearnedSet {
    /// Values of all parameters together.
    pub fn len(&self) -> usize {
        self.parameters.last().map_or(0, |last| last.first + last.values)
    }

    /// Whether nothing learns.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// The gradients of the parameters called `names`, which stand one behind the other.
    fn gradient_of(&self, names: &[String]) -> View {
        let own = || self.parameters.iter().filter(|p| names.contains(&p.name));
        let channel = own().map(|p| p.first).min().unwrap_or(0);
        View { buffer: self.gradients, channel, channels: own().map(|p| p.values).sum() }
    }
}

/// Bytes of a program's buffers by what they hold, at the level at which all together are the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Maps.
    pub maps: usize,
    /// Gradients of maps.
    pub map_gradients: usize,
    /// Parameters that learn.
    pub parameters: usize,
    /// Their gradients.
    pub gradients: usize,
    /// Their momenta.
    pub momentum: usize,
    /// Statistics, counters, partial sums.
    pub workspace: usize,
}

impl MemoryUse {
    /// All together.
    pub fn total(&self) -> usize {
        self.maps + self.map_gradients + self.parameters + self.gradients + self.momentum + self.workspace
    }
}

impl Program {
    /// What its buffers take at the level at which they take the most.
    pub fn memory_use(&self) -> MemoryUse {
        use super::Role;
        let at = |level: usize| {
            let mut all = MemoryUse::default();
            for buffer in self.buffers.iter().filter(|b| b.live.0 <= level && level <= b.live.1) {
                let place = match buffer.role {
                    Role::Map => &mut all.maps,
                    Role::MapGradient => &mut all.map_gradients,
                    Role::Parameters => &mut all.parameters,
                    Role::Gradients => &mut all.gradients,
                    Role::Momentum => &mut all.momentum,
                    Role::Workspace => &mut all.workspace,
                };
                *place += buffer.bytes;
            }
            all
        };
        (0..self.levels()).map(at).max_by_key(MemoryUse::total).unwrap_or_default()
    }
}

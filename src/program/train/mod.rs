//! A network lowered for training: the forward steps in training mode, the loss, the backward steps of all that learns, the update.
//!
//! The first `freeze` convolutions are frozen: they run as in inference, batch norm folded, with no gradient, no saved map and no
//! backward step of their own. Where a block is frozen in part, the gradient of its output is taken for all its channels. Of every other convolution z, its bare output, is kept for the backward pass, and
//! y = ReLU(batch norm(z)) where the gradient of a filter that reads it needs it; where ReLU was flat is told from z. Sibling
//! 1×1 convolutions stay one backward too: one product gives the gradient of what they read. The average pool stands behind its
//! convolution as in inference, with which it commutes.
//!
//! With [`Fusion::None`] every layer stands by itself, forward and backward: convolution, batch norm, ReLU and concat are steps of
//! their own, the average pool stands before its convolution, and all of z, batch norm's output and y is kept.
//!
//! The gradient of what is called NAME in [`Program::outputs`] is called `grad.NAME` there, for all through which a gradient goes;
//! what a fused program keeps of a branch is a channel range of its block's, and so is its gradient.
//!
//! A gradient to which several steps contribute is overwritten by the first and added to by the others, one level after the
//! other, so that the order of the sum is fixed. Filters, gradients and momenta of all that learns lie in three buffers of the same
//! layout, so that one step updates all.
//!
//! With [`Training::auxiliary`] the auxiliary head stands behind `Mixed_6e`, with a loss of its own whose targets carry its weight, so
//! that its gradient is simply one more contribution to that of `Mixed_6e`. It learns whole and cannot be frozen.
//!
//! What a convolution reads of filters that learn is packed from the parameters in each run: forward filters at the begin, those of
//! the data gradients beside the loss.

mod backward;
mod controls;
mod cut;
mod filters;
mod forward;
mod gradients;
mod op;
mod pack;
mod sums;
#[cfg(test)]
mod tests;

pub use controls::Controls;
pub(super) use cut::cut;
#[cfg(all(test, any(feature = "cuda", feature = "sim")))]
pub(super) use cut::weight_groups;
#[cfg(any(feature = "cuda", feature = "sim"))]
pub(crate) use cut::{STEP_PIXELS, weight_columns, weight_steps, weight_tiles};
#[cfg(test)]
pub(super) use filters::phases;
pub use filters::{FoldedTransposed, LayerFilters, LearnedFilters, Transposed};
pub(super) use forward::lower;
pub(super) use gradients::{Gradients, carriers};
pub use op::{GradientCopy, Packing, PoolBackward, TrainOp, WeightCut};
pub use sums::SumCut;
#[cfg(any(feature = "cuda", feature = "sim"))]
pub(crate) use sums::map_slices;

use super::{BufferId, Fusion, Input, Options, Program, View};
use crate::error::{Error, Result};
use crate::network::Network;

/// How a network learns.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// The first convolutions, in network order, that do not learn.
    pub freeze: usize,
    /// Share of the pooled features that is dropped before the last layer; 0 for none.
    pub dropout: f32,
    /// Share of the batch's statistics in the running ones.
    pub batch_norm_momentum: f32,
    /// Weight of the auxiliary head's loss; `None` for no such head.
    pub auxiliary: Option<f32>,
    /// Whether y = ReLU(batch norm(z)) is taken again from z where the backward pass reads it, instead of kept: less memory, more
    /// work, the same bits.
    pub recompute: bool,
}

impl Default for Training {
    /// Everything learns, nothing is dropped, no auxiliary head, torch's batch-norm momentum.
    fn default() -> Self {
        Training { freeze: 0, dropout: 0.0, batch_norm_momentum: 0.1, auxiliary: None, recompute: false }
    }
}

impl Training {
    /// # Errors
    /// [`Error::Argument`] for more frozen convolutions than there are, shares outside 0 to 1, an auxiliary head without a positive
    /// weight or with nothing below that learns, batch norm over a single value, and for what is not planned: crops, maps taken again in
    /// unfused steps.
    pub(super) fn check(&self, network: &Network, options: &Options) -> Result<()> {
        let count = network.convolutions().count();
        if self.freeze > count {
            return Err(Error::Argument(format!("{} frozen convolutions: there are {count}", self.freeze)));
        }
        let shares = [("dropout", self.dropout), ("batch norm's momentum", self.batch_norm_momentum)];
        if let Some((what, share)) = shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            return Err(Error::Argument(format!("{what} {share}: give a number from 0 to below 1")));
        }
        self.check_auxiliary(network)?;
        let single = |layer: &&crate::network::Layer| options.batch * layer.output.h * layer.output.w < 2;
        if let Some(layer) = network.learning_convolutions(self.freeze).find(single) {
            return Err(Error::Argument(format!(
                "{} gives one value a channel, of which batch norm takes no variance: choose a larger batch or size",
                layer.name
            )));
        }
        if options.fusion == Fusion::None && self.recompute {
            let problem = "without fusion every map is kept: leave out --recompute, or --fuse none";
            return Err(Error::Argument(problem.into()));
        }
        match options.input == Input::Values {
            true => Ok(()),
            false => Err(Error::Argument("training is planned on values, not on crops".into())),
        }
    }
}

impl Training {
    /// Whether an auxiliary head, if one is wanted, has a weight and something to teach.
    fn check_auxiliary(&self, network: &Network) -> Result<()> {
        let Some(weight) = self.auxiliary else { return Ok(()) };
        if !(weight > 0.0 && weight.is_finite()) {
            let problem =
                format!("weight {weight} of the auxiliary head: give a positive number, such as 0.4");
            return Err(Error::Argument(problem));
        }
        let head = network.layers.iter().position(|layer| layer.is_auxiliary()).unwrap_or(0);
        let below = network.convolutions().filter(|(id, _)| *id < head).count();
        match self.freeze < below {
            true => Ok(()),
            false => Err(Error::Argument(format!(
                "with {} frozen convolutions nothing learns below the auxiliary head, which reads the {below}th and those before it: \
                 freeze fewer, or leave out --aux-weight",
                self.freeze
            ))),
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
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedSet {
    /// Each parameter, one behind the other; a batch norm's bias follows its weight. Fully connected layers stand at the end, biases
    /// behind all weights, so that every other parameter begins at a multiple of four values.
    pub parameters: Vec<Learned>,
    /// Running statistics of the batch norms that learn, one behind the other; a variance follows its mean.
    pub statistics: Vec<Learned>,
    /// The buffer of the parameters themselves.
    pub values: BufferId,
    /// That of their gradients.
    pub gradients: BufferId,
    /// That of their momenta.
    pub momentum: BufferId,
    /// That of the running statistics.
    pub running: BufferId,
    /// N·max(K, 2) weights of the loss, written before each run.
    pub targets: BufferId,
    /// [`Controls::words`], written before each run.
    pub controls: BufferId,
    /// That of the loss, one value.
    pub loss: BufferId,
    /// That of the gradients' norm, one value.
    pub norm: BufferId,
    /// The auxiliary head's loss, where there is that head.
    pub auxiliary: Option<AuxiliaryLoss>,
}

/// What the loss of the auxiliary head reads and leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuxiliaryLoss {
    /// What the targets of the network's own loss are multiplied by for this one.
    pub weight: f32,
    /// Those N·max(K, 2) products, written before each run.
    pub targets: BufferId,
    /// The loss by them, one value.
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

    /// Buffers that keep their values from one run to the next.
    pub fn lasting(&self) -> [BufferId; 3] {
        [self.values, self.momentum, self.running]
    }

    /// Buffers that are written before each run.
    pub fn given(&self) -> Vec<BufferId> {
        let auxiliary = self.auxiliary.map(|auxiliary| auxiliary.targets);
        [self.targets, self.controls].into_iter().chain(auxiliary).collect()
    }

    /// Buffers that are read after each run, beside those that last.
    pub fn results(&self) -> Vec<BufferId> {
        let auxiliary = self.auxiliary.map(|auxiliary| auxiliary.loss);
        [self.loss, self.norm, self.gradients].into_iter().chain(auxiliary).collect()
    }

    /// Where the parameters called `names`, which stand one behind the other, lie in their buffer and in that of their gradients.
    fn range(&self, names: &[String]) -> Range {
        range_of(&self.parameters, names)
    }

    fn values_of(&self, names: &[String]) -> View {
        self.range(names).of(self.values)
    }

    fn gradient_of(&self, names: &[String]) -> View {
        self.range(names).of(self.gradients)
    }
}

/// A run of values.
struct Range {
    first: usize,
    values: usize,
}

impl Range {
    fn of(&self, buffer: BufferId) -> View {
        View { buffer, channel: self.first, channels: self.values }
    }
}

fn range_of(all: &[Learned], names: &[String]) -> Range {
    let own = || all.iter().filter(|p| names.contains(&p.name));
    Range { first: own().map(|p| p.first).min().unwrap_or(0), values: own().map(|p| p.values).sum() }
}

/// Names of a fully connected layer's weight and bias.
fn linear(layer: &str) -> [String; 2] {
    ["weight", "bias"].map(|name| format!("{layer}.{name}"))
}

/// Names of a batch norm's weight and bias, which stand one behind the other.
fn batch_norm(layer: &str) -> [String; 2] {
    ["bn.weight", "bn.bias"].map(|name| format!("{layer}.{name}"))
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

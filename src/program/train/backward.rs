//! The backward pass: every forward step through which a gradient must go, in reverse.

use super::LearnedSet;
use super::filters::LearnedFilters;
use super::gradients::{Gradients, carriers};
use super::op::TrainOp;
use crate::network::{LayerId, MapShape, Network, Op};
use crate::program::lower::{Lowering, Value};
use crate::program::step::{Conv2d, ConvPart, Filters, StepOp};
use crate::program::{BufferId, Role, View};

/// Appends loss, backward steps and update, and gives the gradients of maps their names. With `recompute` what can be taken from z
/// again is not kept.
pub(super) fn append(lowering: &mut Lowering<'_>, network: &Network, learned: &LearnedSet, recompute: bool) {
    let logits = lowering.value(network.layers.len() - 1);
    let forward = lowering.steps().to_vec();
    let gradients = Gradients::new(carriers(&forward, &[], &learns), logits.ready);
    let gradients = if recompute { gradients.taken_again(&forward) } else { gradients };
    let mut backward = Backward { learned, gradients };
    backward.loss(lowering, "loss", logits, (learned.targets, learned.loss));
    if let (Some(own), Some(layer)) = (learned.auxiliary, auxiliary_logits(network)) {
        // Beside the other: filters of data gradients are packed at that level.
        let logits = Value { ready: logits.ready, ..lowering.value(layer) };
        backward.loss(lowering, "auxiliary loss", logits, (own.targets, own.loss));
    }
    for step in forward.iter().rev() {
        backward.step(lowering, &step.name, &step.op);
    }
    backward.gradients.name(lowering);
    let last = backward.gradients.last();
    let whole = |buffer| View { buffer, channel: 0, channels: learned.len() };
    let gradients = whole(learned.gradients);
    let norm = lowering.whole(learned.norm);
    let op = TrainOp::GradientNorm { gradients, norm, cut: None };
    lowering.push("gradient norm", last + 1, StepOp::Train(op));
    let op = TrainOp::Update {
        parameters: whole(learned.values),
        gradients,
        momentum: whole(learned.momentum),
        norm,
        controls: lowering.whole(learned.controls),
    };
    lowering.push("update", last + 2, StepOp::Train(op));
}

/// The layer whose outputs the auxiliary head's loss is of.
fn auxiliary_logits(network: &Network) -> Option<LayerId> {
    network.layers.iter().position(|layer| layer.is_auxiliary() && layer.op == Op::Linear)
}

/// Whether a step owns something that learns.
fn learns(op: &StepOp) -> bool {
    match op {
        StepOp::Conv2d(conv) => matches!(conv.filters, Filters::Learned(_)),
        op => matches!(op, StepOp::Linear { .. }),
    }
}

struct Backward<'a> {
    learned: &'a LearnedSet,
    gradients: Gradients,
}

impl Backward<'_> {
    /// The loss of `logits` by the targets in one buffer, written to the other: where a gradient begins.
    fn loss(
        &mut self,
        lowering: &mut Lowering<'_>,
        name: &str,
        logits: Value,
        (targets, loss): (BufferId, BufferId),
    ) {
        let gradient = self.gradients.gradient(lowering, logits.view);
        let (targets, loss) = (lowering.whole(targets), lowering.whole(loss));
        let op = TrainOp::Loss { logits: logits.view, targets, loss, gradient };
        self.gradients.push(lowering, name, logits.ready, op, Some(gradient));
    }

    fn step(&mut self, lowering: &mut Lowering<'_>, name: &str, op: &StepOp) {
        match op {
            StepOp::Linear { layer, input, output, .. } => {
                let (dy, level) = self.gradients.incoming(lowering, *output);
                let (dx, level, _) = self.gradients.outgoing(lowering, *input, level);
                let own = super::linear(layer).map(|name| self.learning(&[name]));
                let (parameters, gradients) = (own.map(|(of, _)| of), own.map(|(_, of)| of));
                let (layer, input) = (layer.clone(), *input);
                let op = TrainOp::LinearBackward { layer, input, dy, dx, parameters, gradients };
                self.gradients.push(lowering, name, level, op, dx);
            }
            StepOp::Train(TrainOp::Dropout { input, output, controls, keep }) => {
                let (dy, level) = self.gradients.incoming(lowering, *output);
                if let (Some(dx), level, _) = self.gradients.outgoing(lowering, *input, level) {
                    let (controls, keep) = (*controls, *keep);
                    let op = TrainOp::Dropout { input: dy, output: dx, controls, keep };
                    self.gradients.push(lowering, name, level, op, Some(dx));
                }
            }
            StepOp::Train(TrainOp::Normalize { layer, input, stats, relu, output, .. }) => {
                let (dy, level) = self.gradients.incoming(lowering, *output);
                let dz = self.gradients.gradient(lowering, *input);
                let (parameters, gradients) = self.learning(&super::batch_norm(layer));
                let (layer, input, stats, relu) = (layer.clone(), *input, *stats, *relu);
                let op = TrainOp::NormalizeSums {
                    layer: layer.clone(),
                    input,
                    stats,
                    parameters,
                    relu,
                    dy,
                    gradients,
                    cut: None,
                };
                self.gradients.push(lowering, name, level, op, None);
                let op =
                    TrainOp::NormalizeBackward { layer, input, stats, parameters, relu, gradients, dy, dz };
                self.gradients.push(lowering, name, level + 1, op, Some(dz));
            }
            StepOp::Conv2d(conv) => self.convolution(lowering, name, conv),
            op => self.gradients.step(lowering, name, op),
        }
    }

    fn convolution(&mut self, lowering: &mut Lowering<'_>, name: &str, conv: &Conv2d) {
        let MapShape { c, .. } = lowering.shape(conv.parts[0].output.buffer);
        let z = View { buffer: conv.parts[0].output.buffer, channel: 0, channels: c };
        let Filters::Learned(filters) = &conv.filters else { return };
        let (dz, level) = self.gradients.incoming(lowering, z);
        let weight = |part: &ConvPart| self.learned.gradient_of(&[format!("{}.conv.weight", part.layer)]);
        let gradients = conv.parts.iter().map(weight).collect();
        let input = self.gradients.again(lowering, name, conv.input, level);
        let op = TrainOp::Conv2dBackwardWeight {
            conv: Conv2d { input, ..conv.clone() },
            dz,
            gradients,
            cut: None,
        };
        self.gradients.push(lowering, &format!("{name}.dw"), level, op, None);
        self.gradients.data_gradient(
            lowering,
            name,
            conv,
            (dz, level),
            &|lowering, step, values, transposed| {
                let packed = lowering.flat(&format!("{step}.filters"), values, Role::Workspace);
                Filters::Learned(LearnedFilters { packed, transposed: Some(transposed), ..filters.clone() })
            },
        );
    }

    /// The parameters called `names`, and their gradients.
    fn learning(&self, names: &[String]) -> (View, View) {
        (self.learned.values_of(names), self.learned.gradient_of(names))
    }
}

//! The backward pass: every forward step through which a gradient must go, in reverse.

use super::LearnedSet;
use super::filters::LearnedFilters;
use super::gradients::{Gradients, carriers};
use super::op::TrainOp;
use crate::network::{MapShape, Network};
use crate::program::lower::Lowering;
use crate::program::step::{Conv2d, ConvPart, Filters, StepOp};
use crate::program::{Role, View};

/// Appends loss, backward steps and update, and gives the gradients of maps their names. With `recompute` what can be taken from z
/// again is not kept.
pub(super) fn append(lowering: &mut Lowering<'_>, network: &Network, learned: &LearnedSet, recompute: bool) {
    let logits = lowering.value(network.layers.len() - 1);
    let forward = lowering.steps().to_vec();
    let gradients = Gradients::new(carriers(&forward, &[], &learns), logits.ready);
    let gradients = if recompute { gradients.taken_again(&forward) } else { gradients };
    let mut backward = Backward { learned, gradients };
    let gradient = backward.gradients.gradient(lowering, logits.view);
    let loss = View { buffer: learned.loss, channel: 0, channels: 1 };
    let targets = lowering.whole(learned.targets);
    let op = TrainOp::Loss { logits: logits.view, targets, loss, gradient };
    backward.gradients.push(lowering, "loss", logits.ready, op, Some(gradient));
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
    fn step(&mut self, lowering: &mut Lowering<'_>, name: &str, op: &StepOp) {
        match op {
            StepOp::Linear { layer, input, output, .. } => {
                let (dy, level) = self.gradients.incoming(lowering, *output);
                let (dx, level, _) = self.gradients.outgoing(lowering, *input, level);
                let (parameters, gradients) = self.learning(&super::linear(layer));
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

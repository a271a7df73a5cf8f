//! The backward pass: every forward step through which a gradient must go, in reverse.

use std::collections::HashMap;

use super::LearnedSet;
use super::filters::{LearnedFilters, Transposed, phases};
use super::op::{GradientCopy, PoolBackward, TrainOp};
use crate::network::{LayerId, MapShape, Network, Op};
use crate::program::lower::{Lowering, Value};
use crate::program::step::{Conv2d, ConvPart, Epilogue, Filters, Pool2d, PoolKind, StepOp};
use crate::program::{BufferId, Role, View};

/// Appends loss, backward steps and update, and gives the gradients of maps their names. With `recompute` what can be taken from z
/// again is not kept.
pub(super) fn append(lowering: &mut Lowering<'_>, network: &Network, learned: &LearnedSet, recompute: bool) {
    let logits = lowering.value(network.layers.len() - 1);
    let forward = lowering.steps().to_vec();
    let mut backward = Backward {
        learned,
        carries: carriers(&forward),
        normalized: if recompute { normalized(&forward) } else { Vec::new() },
        gradients: HashMap::new(),
        contributions: Vec::new(),
        last: logits.ready,
    };
    backward.loss(lowering, "loss", logits, (learned.targets, learned.loss));
    if let (Some(own), Some(layer)) = (learned.auxiliary, auxiliary_logits(network)) {
        // Beside the other: filters of data gradients are packed at that level.
        let logits = Value { ready: logits.ready, ..lowering.value(layer) };
        backward.loss(lowering, "auxiliary loss", logits, (own.targets, own.loss));
    }
    for step in forward.iter().rev() {
        backward.step(lowering, &step.name, &step.op);
    }
    backward.name_gradients(lowering);
    let whole = |buffer| View { buffer, channel: 0, channels: learned.len() };
    let gradients = whole(learned.gradients);
    let norm = lowering.whole(learned.norm);
    let op = TrainOp::GradientNorm { gradients, norm, cut: None };
    lowering.push("gradient norm", backward.last + 1, StepOp::Train(op));
    let op = TrainOp::Update {
        parameters: whole(learned.values),
        gradients,
        momentum: whole(learned.momentum),
        norm,
        controls: lowering.whole(learned.controls),
    };
    lowering.push("update", backward.last + 2, StepOp::Train(op));
}

/// The layer whose outputs the auxiliary head's loss is of.
fn auxiliary_logits(network: &Network) -> Option<LayerId> {
    network.layers.iter().position(|layer| layer.is_auxiliary() && layer.op == Op::Linear)
}

/// Views of the forward pass that depend on something that learns.
fn carriers(steps: &[crate::program::Step]) -> Vec<View> {
    let mut carries: Vec<View> = Vec::new();
    for step in steps {
        let through = step.inputs().iter().any(|view| carries.iter().any(|other| overlap(*view, *other)));
        let learns = match &step.op {
            StepOp::Conv2d(conv) => matches!(conv.filters, Filters::Learned(_)),
            StepOp::Linear { .. } => true,
            _ => false,
        };
        if through || learns {
            carries.extend(step.outputs());
        }
    }
    carries
}

fn overlap(a: View, b: View) -> bool {
    a.buffer == b.buffer && a.channel < b.channel + b.channels && b.channel < a.channel + a.channels
}

struct Backward<'a> {
    learned: &'a LearnedSet,
    carries: Vec<View>,
    /// Steps that can be run again for what they wrote.
    normalized: Vec<(String, View, TrainOp)>,
    /// The buffer of each map's gradient.
    gradients: HashMap<BufferId, BufferId>,
    /// Views of gradients that have been written, and at which level.
    contributions: Vec<(View, usize)>,
    /// The last level of all.
    last: usize,
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
        let gradient = self.gradient(lowering, logits.view);
        let (targets, loss) = (lowering.whole(targets), lowering.whole(loss));
        let op = TrainOp::Loss { logits: logits.view, targets, loss, gradient };
        self.push(lowering, name, logits.ready, op, Some(gradient));
    }

    fn step(&mut self, lowering: &mut Lowering<'_>, name: &str, op: &StepOp) {
        match op {
            StepOp::Linear { layer, input, output, .. } => {
                let (dy, level) = self.incoming(lowering, *output);
                let (dx, level, _) = self.outgoing(lowering, *input, level);
                let own = super::linear(layer).map(|name| self.learning(&[name]));
                let (parameters, gradients) = (own.map(|(of, _)| of), own.map(|(_, of)| of));
                let (layer, input) = (layer.clone(), *input);
                let op = TrainOp::LinearBackward { layer, input, dy, dx, parameters, gradients };
                self.push(lowering, name, level, op, dx);
            }
            StepOp::Train(TrainOp::Dropout { input, output, controls, keep }) => {
                let (dy, level) = self.incoming(lowering, *output);
                if let (Some(dx), level, _) = self.outgoing(lowering, *input, level) {
                    let (controls, keep) = (*controls, *keep);
                    let op = TrainOp::Dropout { input: dy, output: dx, controls, keep };
                    self.push(lowering, name, level, op, Some(dx));
                }
            }
            StepOp::GlobalAvgPool { input, output } if self.carries(*output) => {
                let (dy, level) = self.incoming(lowering, *output);
                if let (Some(dx), level, _) = self.outgoing(lowering, *input, level) {
                    self.push(lowering, name, level, TrainOp::GlobalAvgPoolBackward { dy, dx }, Some(dx));
                }
            }
            StepOp::Pool2d(Pool2d { kind, window, input, output }) if self.carries(*output) => {
                let (dy, level) = self.incoming(lowering, *output);
                if let (Some(dx), level, accumulate) = self.outgoing(lowering, *input, level) {
                    let kind = match kind {
                        PoolKind::Max => {
                            PoolBackward::Max { input: self.again(lowering, name, *input, level) }
                        }
                        PoolKind::Average(average) => PoolBackward::Average(average.padding),
                    };
                    let op = TrainOp::Pool2dBackward { kind, window: *window, dy, dx, accumulate };
                    self.push(lowering, name, level, op, Some(dx));
                }
            }
            StepOp::Relu { input, output } if self.carries(*output) => {
                let (dy, level) = self.incoming(lowering, *output);
                if let (Some(dx), level, accumulate) = self.outgoing(lowering, *input, level) {
                    let op = TrainOp::ReluBackward { output: *output, dy, dx, accumulate };
                    self.push(lowering, name, level, op, Some(dx));
                }
            }
            StepOp::Concat { inputs, output } if self.carries(*output) => {
                self.concat(lowering, name, inputs, *output);
            }
            StepOp::Train(TrainOp::Normalize { layer, input, stats, relu, output, .. }) => {
                let (dy, level) = self.incoming(lowering, *output);
                let dz = self.gradient(lowering, *input);
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
                self.push(lowering, name, level, op, None);
                let op =
                    TrainOp::NormalizeBackward { layer, input, stats, parameters, relu, gradients, dy, dz };
                self.push(lowering, name, level + 1, op, Some(dz));
            }
            StepOp::Conv2d(conv) => self.convolution(lowering, name, conv),
            _ => {}
        }
    }

    /// The channels of the gradient of a concat, each to the input that they came from.
    fn concat(&mut self, lowering: &mut Lowering<'_>, name: &str, inputs: &[View], output: View) {
        let (whole, mut level) = self.incoming(lowering, output);
        let (mut parts, mut channel) = (Vec::new(), whole.channel);
        for input in inputs {
            let dy = View { channel, channels: input.channels, ..whole };
            channel += input.channels;
            let (dx, at, accumulate) = self.outgoing(lowering, *input, level);
            level = at;
            parts.extend(dx.map(|dx| GradientCopy { dy, dx, accumulate }));
        }
        let written: Vec<View> = parts.iter().map(|part| part.dx).collect();
        self.push(lowering, name, level, TrainOp::ConcatBackward { parts }, None);
        written.into_iter().for_each(|dx| self.wrote(dx, level));
    }

    fn convolution(&mut self, lowering: &mut Lowering<'_>, name: &str, conv: &Conv2d) {
        let MapShape { c, .. } = lowering.shape(conv.parts[0].output.buffer);
        let z = View { buffer: conv.parts[0].output.buffer, channel: 0, channels: c };
        let Filters::Learned(filters) = &conv.filters else { return };
        let (dz, level) = self.incoming(lowering, z);
        let weight = |part: &ConvPart| self.learned.gradient_of(&[format!("{}.conv.weight", part.layer)]);
        let gradients = conv.parts.iter().map(weight).collect();
        let input = self.again(lowering, name, conv.input, level);
        let op = TrainOp::Conv2dBackwardWeight {
            conv: Conv2d { input, ..conv.clone() },
            dz,
            gradients,
            cut: None,
        };
        self.push(lowering, &format!("{name}.dw"), level, op, None);
        if let (Some(dx), level, accumulate) = self.outgoing(lowering, conv.input, level) {
            let epilogue = if accumulate { Epilogue::Accumulate } else { Epilogue::None };
            for (name, conv) in data_gradient(lowering, name, conv, filters, (dz, dx)) {
                let mut conv = conv;
                conv.parts[0].epilogue = epilogue;
                lowering.push(&name, level, StepOp::Conv2d(conv));
            }
            self.wrote(dx, level);
        }
    }

    /// What a step of `level` reads in the place of `view`: the same values taken again one level before, if they can be.
    fn again(&self, lowering: &mut Lowering<'_>, name: &str, view: View, level: usize) -> View {
        let own: Vec<_> = self.normalized.iter().filter(|(_, output, _)| overlap(*output, view)).collect();
        if level == 0 || own.iter().map(|(_, output, _)| output.channels).sum::<usize>() != view.channels {
            return view;
        }
        let shape = MapShape { c: view.channels, ..lowering.shape(view.buffer) };
        let copy = lowering.buffer(&format!("{name}.again"), shape);
        for (layer, output, op) in own {
            let output =
                View { channel: output.channel - view.channel, ..View { buffer: copy.buffer, ..*output } };
            if let TrainOp::Normalize { layer: owner, input, stats, parameters, relu, .. } = op {
                let (input, stats, parameters, relu) = (*input, *stats, *parameters, *relu);
                let op = TrainOp::Normalize { layer: owner.clone(), input, stats, parameters, relu, output };
                lowering.push(layer, level - 1, StepOp::Train(op));
            }
        }
        copy
    }

    /// Calls the gradient of each output NAME `grad.NAME`, where one was taken.
    fn name_gradients(&self, lowering: &mut Lowering<'_>) {
        for (name, view) in lowering.outputs().to_vec() {
            if let Some(&buffer) = self.gradients.get(&view.buffer).filter(|_| self.carries(view)) {
                lowering.call(&format!("grad.{name}"), View { buffer, ..view });
            }
        }
    }

    /// The parameters called `names`, and their gradients.
    fn learning(&self, names: &[String]) -> (View, View) {
        (self.learned.values_of(names), self.learned.gradient_of(names))
    }

    fn carries(&self, view: View) -> bool {
        self.carries.iter().any(|other| overlap(view, *other))
    }

    /// The gradient of `view`.
    fn gradient(&mut self, lowering: &mut Lowering<'_>, view: View) -> View {
        let buffer =
            *self.gradients.entry(view.buffer).or_insert_with(|| lowering.gradient_buffer(view.buffer));
        View { buffer, ..view }
    }

    /// The gradient of what a step wrote, and the first level at which all have contributed to it.
    fn incoming(&mut self, lowering: &mut Lowering<'_>, view: View) -> (View, usize) {
        let dy = self.gradient(lowering, view);
        (dy, self.written(dy).map_or(0, |level| level + 1))
    }

    /// The gradient of what a step read, if something below learns; the level, from `level` on, at which this step can
    /// contribute to it; and whether others have.
    fn outgoing(
        &mut self,
        lowering: &mut Lowering<'_>,
        view: View,
        level: usize,
    ) -> (Option<View>, usize, bool) {
        if !self.carries(view) {
            return (None, level, false);
        }
        let dx = self.gradient(lowering, view);
        let before = self.written(dx);
        (Some(dx), before.map_or(level, |before| level.max(before + 1)), before.is_some())
    }

    /// The last level that wrote part of a gradient.
    fn written(&self, gradient: View) -> Option<usize> {
        let own = self.contributions.iter().filter(|(view, _)| overlap(*view, gradient));
        own.map(|(_, level)| *level).max()
    }

    fn push(
        &mut self,
        lowering: &mut Lowering<'_>,
        name: &str,
        level: usize,
        op: TrainOp,
        wrote: Option<View>,
    ) {
        lowering.push(name, level, StepOp::Train(op));
        self.last = self.last.max(level);
        if let Some(view) = wrote {
            self.wrote(view, level);
        }
    }

    fn wrote(&mut self, view: View, level: usize) {
        self.contributions.push((view, level));
        self.last = self.last.max(level);
    }
}

/// Steps that give y from z, with their names and what they write.
fn normalized(steps: &[crate::program::Step]) -> Vec<(String, View, TrainOp)> {
    let own = steps.iter().filter_map(|step| match &step.op {
        StepOp::Train(op @ TrainOp::Normalize { output, .. }) => {
            Some((step.name.clone(), *output, op.clone()))
        }
        _ => None,
    });
    own.collect()
}

/// The data gradient of `conv`, from dz to dx, as one convolution a phase, with their names.
fn data_gradient(
    lowering: &mut Lowering<'_>,
    name: &str,
    conv: &Conv2d,
    filters: &LearnedFilters,
    (dz, dx): (View, View),
) -> Vec<(String, Conv2d)> {
    let MapShape { h, w, .. } = lowering.shape(dx.buffer);
    let phases = phases(conv.window, (h, w));
    let several = phases.len() > 1;
    let mut convs = Vec::with_capacity(phases.len());
    for (phase, window, first_tap) in phases {
        let (row, column) = phase.first;
        let suffix = if several { format!(".{row}{column}") } else { String::new() };
        let name = format!("{name}.dx{suffix}");
        let values = dz.channels * dx.channels * window.kernel.0 * window.kernel.1;
        let packed = lowering.flat(&format!("{name}.filters"), values, Role::Workspace);
        let transposed = Some(Transposed { window: conv.window, first_tap });
        let filters = Filters::Learned(LearnedFilters { packed, transposed, ..filters.clone() });
        let parts = vec![ConvPart { layer: name.clone(), output: dx, epilogue: Epilogue::None }];
        convs.push((name, Conv2d { window, input: dz, filters, parts, phase }));
    }
    convs
}

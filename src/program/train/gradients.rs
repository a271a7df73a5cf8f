//! Gradients of maps, as a backward pass writes them: which buffer holds the gradient of which map, when it is complete, and the steps
//! that own no parameters.

use std::collections::HashMap;

use super::filters::{Transposed, phases};
use super::op::{GradientCopy, PoolBackward, TrainOp};
use crate::network::MapShape;
use crate::program::lower::Lowering;
use crate::program::step::{Conv2d, ConvPart, Epilogue, Filters, Pool2d, PoolKind, Step, StepOp};
use crate::program::{BufferId, View};

/// The gradients of a backward pass.
pub(in crate::program) struct Gradients {
    /// Views of the forward pass through which a gradient must go.
    carries: Vec<View>,
    /// Steps that can be run again for what they wrote.
    normalized: Vec<(String, View, TrainOp)>,
    /// Where each map's gradient lies: a buffer, and its first channel there.
    buffers: HashMap<BufferId, (BufferId, usize)>,
    /// Views of gradients that have been written, and at which level.
    contributions: Vec<(View, usize)>,
    /// The last level of all.
    last: usize,
}

impl Gradients {
    /// None so far: a gradient must go through `carries`, from level `last` on.
    pub fn new(carries: Vec<View>, last: usize) -> Self {
        Gradients {
            carries,
            normalized: Vec::new(),
            buffers: HashMap::new(),
            contributions: Vec::new(),
            last,
        }
    }

    /// The same, where what batch norm of `forward` wrote is not kept, but taken again from z.
    pub fn taken_again(self, forward: &[Step]) -> Self {
        Gradients { normalized: normalized(forward), ..self }
    }

    /// The last level of all steps so far.
    pub fn last(&self) -> usize {
        self.last
    }

    /// The backward steps of `op`, one without parameters; of any other none.
    pub fn step(&mut self, lowering: &mut Lowering<'_>, name: &str, op: &StepOp) {
        match op {
            StepOp::GlobalAvgPool { input, output } if self.carries(*output) => {
                let (dy, level) = self.incoming(lowering, *output);
                if let (Some(dx), level, _) = self.outgoing(lowering, *input, level) {
                    self.push(lowering, name, level, TrainOp::GlobalAvgPoolBackward { dy, dx }, Some(dx));
                }
            }
            StepOp::Pool2d(pool) if self.carries(pool.output) => {
                let incoming = self.incoming(lowering, pool.output);
                self.pool(lowering, name, pool, incoming);
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
            _ => {}
        }
    }

    /// The backward step of `pool` from the gradient dy of what it wrote, at `level` or later.
    pub fn pool(
        &mut self,
        lowering: &mut Lowering<'_>,
        name: &str,
        pool: &Pool2d,
        (dy, level): (View, usize),
    ) {
        let Pool2d { kind, window, input, .. } = pool;
        if let (Some(dx), level, accumulate) = self.outgoing(lowering, *input, level) {
            let kind = match kind {
                PoolKind::Max => PoolBackward::Max { input: self.again(lowering, name, *input, level) },
                PoolKind::Average(average) => PoolBackward::Average(average.padding),
            };
            let op = TrainOp::Pool2dBackward { kind, window: *window, dy, dx, accumulate };
            self.push(lowering, name, level, op, Some(dx));
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

    /// The data gradient of `conv` from dz, which is complete before `level`, as one convolution for each phase of the pixels, where a
    /// gradient must go through what it read. `filters` gives those of a phase, by the step's name and their number of values.
    pub fn data_gradient(
        &mut self,
        lowering: &mut Lowering<'_>,
        name: &str,
        conv: &Conv2d,
        (dz, level): (View, usize),
        filters: &dyn Fn(&mut Lowering<'_>, &str, usize, Transposed) -> Filters,
    ) {
        let (Some(dx), level, accumulate) = self.outgoing(lowering, conv.input, level) else { return };
        let epilogue = if accumulate { Epilogue::Accumulate } else { Epilogue::None };
        let MapShape { h, w, .. } = lowering.shape(dx.buffer);
        let phases = phases(conv.window, (h, w));
        let several = phases.len() > 1;
        for (phase, window, first_tap) in phases {
            let (row, column) = phase.first;
            let suffix = if several { format!(".{row}{column}") } else { String::new() };
            let name = format!("{name}.dx{suffix}");
            let values = dz.channels * dx.channels * window.kernel.0 * window.kernel.1;
            let filters = filters(lowering, &name, values, Transposed { window: conv.window, first_tap });
            let parts = vec![ConvPart { layer: name.clone(), output: dx, epilogue }];
            let op = StepOp::Conv2d(Conv2d { window, input: dz, filters, parts, phase });
            lowering.push(&name, level, op);
        }
        self.wrote(dx, level);
    }

    /// What a step of `level` reads in the place of `view`: the same values taken again one level before, if they can be.
    pub fn again(&self, lowering: &mut Lowering<'_>, name: &str, view: View, level: usize) -> View {
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
    pub fn name(&self, lowering: &mut Lowering<'_>) {
        for (name, view) in lowering.outputs().to_vec() {
            if self.buffers.contains_key(&view.buffer) && self.carries(view) {
                let gradient = self.place(view, self.buffers[&view.buffer]);
                lowering.call(&format!("grad.{name}"), gradient);
            }
        }
    }

    /// Whether a gradient must go through `view`.
    pub fn carries(&self, view: View) -> bool {
        self.carries.iter().any(|other| overlap(view, *other))
    }

    /// The gradient of `view`.
    pub fn gradient(&mut self, lowering: &mut Lowering<'_>, view: View) -> View {
        let own = self.buffers.entry(view.buffer);
        let place = *own.or_insert_with(|| (lowering.gradient_buffer(view.buffer), 0));
        self.place(view, place)
    }

    /// Has the gradient of the map in `buffer` lie in the channels of `gradient`.
    pub fn lies(&mut self, buffer: BufferId, gradient: View) {
        self.buffers.insert(buffer, (gradient.buffer, gradient.channel));
    }

    fn place(&self, view: View, (buffer, first): (BufferId, usize)) -> View {
        View { buffer, channel: first + view.channel, ..view }
    }

    /// The gradient of what a step wrote, and the first level at which all have contributed to it.
    pub fn incoming(&mut self, lowering: &mut Lowering<'_>, view: View) -> (View, usize) {
        let dy = self.gradient(lowering, view);
        (dy, self.written(dy).map_or(0, |level| level + 1))
    }

    /// The gradient of what a step read, if something below learns; the level, from `level` on, at which this step can
    /// contribute to it; and whether others have.
    pub fn outgoing(
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
    pub fn written(&self, gradient: View) -> Option<usize> {
        let own = self.contributions.iter().filter(|(view, _)| overlap(*view, gradient));
        own.map(|(_, level)| *level).max()
    }

    pub fn push(
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

    /// Notes that `view` of a gradient is written at `level`.
    pub fn wrote(&mut self, view: View, level: usize) {
        self.contributions.push((view, level));
        self.last = self.last.max(level);
    }
}

/// Views of the forward pass that depend on one of `begin`, or on something that `learns`.
pub(in crate::program) fn carriers(
    steps: &[Step],
    begin: &[View],
    learns: &dyn Fn(&StepOp) -> bool,
) -> Vec<View> {
    let mut carries = begin.to_vec();
    for step in steps {
        let through = step.inputs().iter().any(|view| carries.iter().any(|other| overlap(*view, *other)));
        if through || learns(&step.op) {
            carries.extend(step.outputs());
        }
    }
    carries
}

fn overlap(a: View, b: View) -> bool {
    a.buffer == b.buffer && a.channel < b.channel + b.channels && b.channel < a.channel + a.channels
}

/// Steps that give y from z, with their names and what they write.
fn normalized(steps: &[Step]) -> Vec<(String, View, TrainOp)> {
    let own = steps.iter().filter_map(|step| match &step.op {
        StepOp::Train(op @ TrainOp::Normalize { output, .. }) => {
            Some((step.name.clone(), *output, op.clone()))
        }
        _ => None,
    });
    own.collect()
}

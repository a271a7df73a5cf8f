//! From layers to steps.

use std::collections::{BTreeMap, HashMap};

use super::step::{Average, Conv2d, ConvPart, Epilogue, Filters, Phase, Pool2d, PoolKind, Step, StepOp};
use super::{Buffer, BufferId, Fusion, Input, Layout, LearnedSet, Options, Program, Role, View};
use crate::network::{LayerId, MapShape, Network, Op, Window};

/// Steps and buffers of `network`; offsets in the arena are still 0.
pub(super) fn lower(network: &Network, options: &Options) -> Program {
    let (lowering, probabilities) = forward(network, options);
    Program { probabilities, ..lowering.finish(None) }
}

/// The forward pass in inference, and where the probabilities of the classes go.
pub(super) fn forward<'a>(network: &'a Network, options: &'a Options) -> (Lowering<'a>, View) {
    let mut lowering = Lowering::new(network, options);
    for layer in 0..network.layers.len() {
        match options.fusion {
            Fusion::Full => lowering.lower_fused(layer),
            Fusion::None => lowering.lower_alone(layer),
        }
    }
    let Value { view: logits, ready } = lowering.value(network.layers.len() - 1);
    let probabilities = lowering.plain("probabilities", network.classes.max(2));
    lowering.push("probabilities", ready, StepOp::Softmax { input: logits, output: probabilities });
    (lowering, probabilities)
}

/// A layer's output: where it lies, and the first level at which it can be read.
#[derive(Clone, Copy)]
pub(super) struct Value {
    pub view: View,
    pub ready: usize,
}

/// A program in the making.
pub(super) struct Lowering<'a> {
    network: &'a Network,
    options: &'a Options,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    /// What has been lowered so far; layers stand behind their inputs.
    values: BTreeMap<LayerId, Value>,
    /// Output buffers of the concats whose branches write into them.
    concat_buffers: HashMap<LayerId, usize>,
    outputs: Vec<(String, View)>,
    /// The buffer of the images.
    input: BufferId,
}

impl<'a> Lowering<'a> {
    pub fn new(network: &'a Network, options: &'a Options) -> Self {
        Lowering {
            network,
            options,
            buffers: Vec::new(),
            steps: Vec::new(),
            values: BTreeMap::new(),
            concat_buffers: HashMap::new(),
            outputs: Vec::new(),
            input: 0,
        }
    }

    /// The program, its buffers still without places; what the last layer gives stands for the probabilities.
    pub fn finish(mut self, learned: Option<LearnedSet>) -> Program {
        let logits = self.value(self.network.layers.len() - 1).view;
        let input = self.whole(self.input);
        self.steps.sort_by_key(|step| step.level);
        Program {
            network: self.network.clone(),
            options: self.options.clone(),
            buffers: self.buffers,
            steps: self.steps,
            arena_bytes: 0,
            input,
            logits,
            probabilities: logits,
            outputs: self.outputs,
            tickets: None,
            learned,
            gradient: None,
        }
    }
}

impl Lowering<'_> {
    pub fn lower_fused(&mut self, layer: LayerId) {
        let network = self.network;
        let this = &network.layers[layer];
        match this.op {
            _ if self.values.contains_key(&layer) => {} // emitted with a sibling
            Op::BasicConv2d(window) if window.is_pointwise() => {
                self.merge_siblings(this.inputs[0], &|_| true);
            }
            Op::BasicConv2d(window) => {
                let x = self.value(this.inputs[0]);
                let output = self.destination(layer);
                let part = ConvPart { layer: this.name.clone(), output, epilogue: Epilogue::BiasRelu };
                self.conv(x, window, Filters::Folded, vec![part]);
                self.define(layer, output, x.ready + 1);
            }
            Op::AvgPool(_) if self.moved_behind(layer).is_some() => {
                // The convolution that reads this pool reads its input instead.
                let value = self.value(this.inputs[0]);
                self.values.insert(layer, value);
            }
            Op::Concat => {
                let ready = this.inputs.iter().map(|&x| self.value(x).ready).max().unwrap_or(0);
                let view = self.whole(self.concat_buffers[&layer]);
                self.define(layer, view, ready);
            }
            _ => self.lower_alone(layer),
        }
    }

    /// The 1×1 convolutions over the value of `x` that `wanted` names, those behind a pool included, each with that pool.
    pub fn siblings(&self, x: LayerId, wanted: &dyn Fn(LayerId) -> bool) -> Vec<(LayerId, Option<LayerId>)> {
        let layers = &self.network.layers;
        let source = self.source(x);
        let mut siblings = Vec::new();
        for (id, layer) in layers.iter().enumerate().filter(|(id, _)| wanted(*id)) {
            let Op::BasicConv2d(window) = layer.op else { continue };
            let read = layer.inputs[0];
            let behind_pool = self.moved_behind(read) == Some(id) && layers[read].inputs[0] == source;
            if window.is_pointwise() && (read == source || behind_pool) {
                siblings.push((id, behind_pool.then_some(read)));
            }
        }
        siblings
    }

    /// What a convolution over `x` reads when pools that can be are moved behind it.
    pub fn source(&self, x: LayerId) -> LayerId {
        match self.network.layers[x].op {
            Op::AvgPool(_) if self.moved_behind(x).is_some() => self.network.layers[x].inputs[0],
            _ => x,
        }
    }

    /// All 1×1 convolutions over the value of `x` that `wanted` names as one step, those behind a pool included: a mean over
    /// pixels and a 1×1 convolution commute, so the pool follows, over fewer channels, with the bias and ReLU.
    pub fn merge_siblings(&mut self, x: LayerId, wanted: &dyn Fn(LayerId) -> bool) {
        let network = self.network;
        let value = self.value(self.source(x));
        let (mut parts, mut pools) = (Vec::new(), Vec::new());
        for (id, pool) in self.siblings(x, wanted) {
            let layer = &network.layers[id];
            let output = self.destination(id);
            match pool.map(|pool| network.layers[pool].op) {
                Some(Op::AvgPool(window)) => {
                    let raw = self.buffer(&format!("{}.raw", layer.name), layer.output);
                    parts.push(ConvPart { layer: layer.name.clone(), output: raw, epilogue: Epilogue::None });
                    pools.push((id, window, raw, output));
                }
                _ => {
                    parts.push(ConvPart { layer: layer.name.clone(), output, epilogue: Epilogue::BiasRelu });
                    self.define(id, output, value.ready + 1);
                }
            }
        }
        let pointwise = Window { kernel: (1, 1), stride: (1, 1), padding: (0, 0) };
        self.conv(value, pointwise, Filters::Folded, parts);
        for (id, window, input, output) in pools {
            let bias_relu = Some(network.layers[id].name.clone());
            let kind = PoolKind::Average(Average { padding: network.avg_pool_padding, bias_relu });
            let name = network.layers[network.layers[id].inputs[0]].name.clone();
            self.push(&name, value.ready + 1, StepOp::Pool2d(Pool2d { kind, window, input, output }));
            self.define(id, output, value.ready + 2);
        }
    }

    /// The 1×1 convolution behind which the average pool `layer` is moved.
    fn moved_behind(&self, layer: LayerId) -> Option<LayerId> {
        let layers = &self.network.layers;
        // Where the pool makes the map smaller, the convolution had better stand behind it.
        if !matches!(layers[layer].op, Op::AvgPool(window) if window.stride == (1, 1)) {
            return None;
        }
        let mut readers = (0..layers.len()).filter(|&id| layers[id].inputs.contains(&layer));
        match (readers.next(), readers.next()) {
            (Some(id), None) => matches!(layers[id].op, Op::BasicConv2d(w) if w.is_pointwise()).then_some(id),
            _ => None,
        }
    }

    /// One layer by itself; a `BasicConv2d` becomes three steps.
    pub fn lower_alone(&mut self, layer: LayerId) {
        let network = self.network;
        let this = &network.layers[layer];
        let name = this.name.as_str();
        if this.op == Op::Input {
            self.lower_input(layer);
            return;
        }
        let x = self.value(this.inputs[0]);
        let (input, level) = (x.view, x.ready);
        if let Op::BasicConv2d(window) = this.op {
            let conv = self.buffer(&format!("{name}.conv"), this.output);
            self.conv(
                x,
                window,
                Filters::Plain,
                vec![ConvPart { layer: name.into(), output: conv, epilogue: Epilogue::None }],
            );
            let bn = self.buffer(&format!("{name}.bn"), this.output);
            self.call(&format!("{name}.conv"), conv);
            self.call(&format!("{name}.bn"), bn);
            let batch_norm = StepOp::BatchNorm { layer: name.into(), input: conv, output: bn };
            self.push(&format!("{name}.bn"), level + 1, batch_norm);
            let output = self.buffer(name, this.output);
            self.push(&format!("{name}.relu"), level + 2, StepOp::Relu { input: bn, output });
            return self.define(layer, output, level + 3);
        }
        let output = self.destination(layer);
        let average = || PoolKind::Average(Average { padding: network.avg_pool_padding, bias_relu: None });
        let (level, op) = match this.op {
            Op::MaxPool(window) => {
                (level, StepOp::Pool2d(Pool2d { kind: PoolKind::Max, window, input, output }))
            }
            Op::AvgPool(window) => (level, StepOp::Pool2d(Pool2d { kind: average(), window, input, output })),
            Op::Concat => {
                let values: Vec<Value> = this.inputs.iter().map(|&x| self.value(x)).collect();
                let level = values.iter().map(|v| v.ready).max().unwrap_or(0);
                (level, StepOp::Concat { inputs: values.iter().map(|v| v.view).collect(), output })
            }
            Op::GlobalAvgPool => (level, StepOp::GlobalAvgPool { input, output }),
            _ => (level, StepOp::Linear { layer: name.into(), learned: None, input, output }),
        };
        self.push(name, level, op);
        self.define(layer, output, level + 1);
    }

    /// The program's input, and the step that brings it into the form in which the first convolution reads it.
    fn lower_input(&mut self, layer: LayerId) {
        let (network, options) = (self.network, self.options);
        let (name, shape) = (network.layers[layer].name.as_str(), network.layers[layer].output);
        // Features lie as they are: a map of one pixel.
        let packed = options.target.layout == Layout::Blocked8 && shape.c <= 4;
        let (read, first) = match &options.input {
            Input::Values => (Layout::Nchw, if packed { Some(Layout::ColumnPairs) } else { None }),
            Input::Crops(_) => (Layout::Crops, Some(if packed { Layout::ColumnPairs } else { Layout::Nchw })),
        };
        let input = self.buffer_in(name, shape, read);
        self.input = input.buffer;
        let Some(layout) = first else {
            self.values.insert(layer, Value { view: input, ready: 0 });
            return;
        };
        let output = self.buffer_in(&format!("{name}.ready"), shape, layout);
        let op = match &options.input {
            Input::Values => StepOp::Pack { input, output },
            Input::Crops(normalization) => {
                StepOp::Crop { normalization: normalization.clone(), input, output }
            }
        };
        self.push(name, 0, op);
        self.values.insert(layer, Value { view: output, ready: 1 });
    }

    pub fn value(&self, layer: LayerId) -> Value {
        self.values[&layer]
    }

    pub fn define(&mut self, layer: LayerId, view: View, ready: usize) {
        self.values.insert(layer, Value { view, ready });
        self.call(&self.network.layers[layer].name, view);
    }

    /// Has `view` among the outputs, called `name`.
    pub fn call(&mut self, name: &str, view: View) {
        self.outputs.push((name.to_string(), view));
    }

    /// What has a name so far.
    pub fn outputs(&self) -> &[(String, View)] {
        &self.outputs
    }

    pub fn push(&mut self, name: &str, level: usize, op: StepOp) {
        self.steps.push(Step { name: name.to_string(), level, op });
    }

    pub fn conv(&mut self, x: Value, window: Window, filters: Filters, parts: Vec<ConvPart>) {
        let suffix = if filters == Filters::Folded { "" } else { ".conv" };
        let name = parts.iter().map(|p| format!("{}{suffix}", p.layer)).collect::<Vec<_>>().join("+");
        self.push(
            &name,
            x.ready,
            StepOp::Conv2d(Conv2d { window, input: x.view, filters, parts, phase: Phase::ALL }),
        );
    }

    /// Where `layer` writes: its channel range of the concat that reads it, or a buffer of its own.
    pub fn destination(&mut self, layer: LayerId) -> View {
        let network = self.network;
        let shape = network.layers[layer].output;
        let concat = (layer + 1..network.layers.len())
            .find(|&id| network.layers[id].op == Op::Concat && network.layers[id].inputs.contains(&layer));
        let Some(concat) = concat.filter(|_| self.options.fusion == Fusion::Full) else {
            return self.buffer(&network.layers[layer].name, shape);
        };
        let buffer = match self.concat_buffers.get(&concat) {
            Some(&buffer) => buffer,
            None => {
                let whole = self.buffer(&network.layers[concat].name, network.layers[concat].output);
                self.concat_buffers.insert(concat, whole.buffer);
                whole.buffer
            }
        };
        let before = network.layers[concat].inputs.iter().take_while(|&&id| id != layer);
        let channel = before.map(|&id| network.layers[id].output.c).sum();
        View { buffer, channel, channels: shape.c }
    }

    pub fn whole(&self, buffer: usize) -> View {
        View { buffer, channel: 0, channels: self.buffers[buffer].shape.c }
    }

    pub fn buffer(&mut self, name: &str, shape: MapShape) -> View {
        // Logits are K numbers an image, in any layout the same.
        let plain = shape.h * shape.w == 1 && !shape.c.is_multiple_of(16);
        self.buffer_in(name, shape, if plain { Layout::Nchw } else { self.options.target.layout })
    }

    /// Room for `values` values that belong to no image.
    pub fn flat(&mut self, name: &str, values: usize, role: Role) -> View {
        let shape = MapShape { c: values, h: 1, w: 1 };
        let bytes = values * size_of::<f32>();
        self.buffers.push(Buffer::new(name, role, shape, Layout::Nchw, bytes));
        self.whole(self.buffers.len() - 1)
    }

    /// A map of `channels` values an image, which lie as they are.
    pub fn plain(&mut self, name: &str, channels: usize) -> View {
        self.buffer_in(name, MapShape { c: channels, h: 1, w: 1 }, Layout::Nchw)
    }

    /// Room for the gradient of the map in `buffer`.
    pub fn gradient_buffer(&mut self, buffer: usize) -> usize {
        let map = self.buffers[buffer].clone();
        self.buffers.push(Buffer { name: format!("{}.gradient", map.name), role: Role::MapGradient, ..map });
        self.buffers.len() - 1
    }

    /// The steps so far, in the order in which they were made.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Moves all steps one level back.
    pub fn delay(&mut self) {
        self.steps.iter_mut().for_each(|step| step.level += 1);
    }

    /// Shape of a buffer's map.
    pub fn shape(&self, buffer: usize) -> MapShape {
        self.buffers[buffer].shape
    }

    /// Whether `layer` has been lowered.
    pub fn is_defined(&self, layer: LayerId) -> bool {
        self.values.contains_key(&layer)
    }

    fn buffer_in(&mut self, name: &str, shape: MapShape, layout: Layout) -> View {
        let bytes = layout.values(shape) * self.options.batch * size_of::<f32>();
        self.buffers.push(Buffer::new(name, Role::Map, shape, layout, bytes));
        self.whole(self.buffers.len() - 1)
    }
}

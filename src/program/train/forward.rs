//! The forward pass in training mode.

use super::op::TrainOp;
use super::{AuxiliaryLoss, Controls, Learned, LearnedSet, Training, linear};
use crate::network::{LayerId, MapShape, Network, Op, Parameter, Window};
use crate::program::lower::{Lowering, Value};
use crate::program::step::{Average, ConvPart, Epilogue, Filters, Pool2d, PoolKind, StepOp};
use crate::program::{Fusion, Options, Program, Role, View};

/// Steps and buffers of `network` in training mode; offsets in the arena are still 0.
pub(crate) fn lower(network: &Network, options: &Options, training: &Training) -> Program {
    let mut lowering = Lowering::new(network, options);
    let frozen: Vec<LayerId> = network.convolutions().take(training.freeze).map(|(id, _)| id).collect();
    let learned = learned(&mut lowering, network, &frozen, training.auxiliary);
    let mut forward = Forward { network, training, fusion: options.fusion, frozen, learned };
    for layer in 0..network.layers.len() {
        forward.layer(&mut lowering, layer);
    }
    let Forward { learned, .. } = forward;
    super::backward::append(&mut lowering, network, &learned, training.recompute);
    super::pack::insert(&mut lowering, &learned);
    lowering.finish(Some(learned))
}

/// Room for all that learns: convolutions that are not frozen, and fully connected layers; and for what goes with it, the auxiliary
/// head's weight in the loss being `auxiliary`.
fn learned(
    lowering: &mut Lowering<'_>,
    network: &Network,
    frozen: &[LayerId],
    auxiliary: Option<f32>,
) -> LearnedSet {
    let (mut parameters, mut statistics) = (Vec::new(), Vec::new());
    let mut add = |parameter: Parameter| {
        let list = if parameter.name.contains(".running_") { &mut statistics } else { &mut parameters };
        let first = end(list);
        let values = parameter.shape.iter().product();
        list.push(Learned { name: parameter.name, first, values });
    };
    let all = network.layers.iter().enumerate().filter(|(id, _)| !frozen.contains(id));
    let (linear, other): (Vec<_>, Vec<_>) =
        all.map(|(_, layer)| layer).partition(|layer| layer.op == Op::Linear);
    other.into_iter().flat_map(|layer| layer.parameters(network)).for_each(&mut add);
    let linear = linear.into_iter().flat_map(|layer| layer.parameters(network));
    let (weights, biases): (Vec<_>, Vec<_>) = linear.partition(|parameter| parameter.shape.len() == 2);
    weights.into_iter().chain(biases).for_each(&mut add);
    let count = end(&parameters);
    let mut room = |name: &str, values: usize, role: Role| lowering.flat(name, values, role).buffer;
    let values = room("parameters", count, Role::Parameters);
    let gradients = room("gradients", count, Role::Gradients);
    let momentum = room("momentum", count, Role::Momentum);
    let running = room("running statistics", end(&statistics), Role::Workspace);
    let controls = room("controls", Controls::WORDS, Role::Workspace);
    let (loss, norm) = (room("loss", 1, Role::Workspace), room("gradient norm", 1, Role::Workspace));
    let classes = network.classes.max(2);
    let targets = lowering.plain("targets", classes).buffer;
    let auxiliary = auxiliary.map(|weight| AuxiliaryLoss {
        weight,
        targets: lowering.plain("auxiliary targets", classes).buffer,
        loss: lowering.flat("auxiliary loss", 1, Role::Workspace).buffer,
    });
    LearnedSet {
        parameters,
        statistics,
        values,
        gradients,
        momentum,
        running,
        targets,
        controls,
        loss,
        norm,
        auxiliary,
    }
}

/// Values of all of `list` together.
fn end(list: &[Learned]) -> usize {
    list.last().map_or(0, |last| last.first + last.values)
}

struct Forward<'a> {
    network: &'a Network,
    training: &'a Training,
    fusion: Fusion,
    frozen: Vec<LayerId>,
    learned: LearnedSet,
}

impl Forward<'_> {
    fn layer(&mut self, lowering: &mut Lowering<'_>, layer: LayerId) {
        let network = self.network;
        let this = &network.layers[layer];
        match this.op {
            _ if lowering.is_defined(layer) => {} // emitted with a sibling
            Op::Linear => self.linear(lowering, layer),
            Op::BasicConv2d(window) if !self.frozen.contains(&layer) => match self.fusion {
                Fusion::Full => self.convolution(lowering, layer, window),
                Fusion::None => self.alone(lowering, layer, window),
            },
            _ if self.fusion == Fusion::None => lowering.lower_alone(layer),
            Op::BasicConv2d(window) if window.is_pointwise() => {
                lowering.merge_siblings(this.inputs[0], &|id| self.frozen.contains(&id));
            }
            _ => lowering.lower_fused(layer),
        }
    }

    /// A fully connected layer; the last one behind dropout where there is any.
    fn linear(&self, lowering: &mut Lowering<'_>, layer: LayerId) {
        let this = &self.network.layers[layer];
        let Value { view: mut input, mut ready } = lowering.value(this.inputs[0]);
        if self.training.dropout > 0.0 && !this.is_auxiliary() {
            let output = lowering.buffer("dropout", lowering.shape(input.buffer));
            let controls = View { buffer: self.learned.controls, channel: 0, channels: Controls::WORDS };
            let op = TrainOp::Dropout { input, output, controls, keep: 1.0 - self.training.dropout };
            lowering.push("dropout", ready, StepOp::Train(op));
            (input, ready) = (output, ready + 1);
        }
        let output = lowering.buffer(&this.name, this.output);
        let learned = Some(linear(&this.name).map(|name| self.learned.values_of(&[name])));
        let op = StepOp::Linear { layer: this.name.clone(), learned, input, output };
        lowering.push(&this.name, ready, op);
        lowering.define(layer, output, ready + 1);
    }

    /// A convolution that learns, with its siblings over the same input where it is 1×1: z, its statistics, y.
    fn convolution(&self, lowering: &mut Lowering<'_>, layer: LayerId, window: Window) {
        let members = match window.is_pointwise() {
            true => lowering.siblings(self.network.layers[layer].inputs[0], &|id| !self.frozen.contains(&id)),
            false => vec![(layer, None)],
        };
        let network = self.network;
        let x = lowering.value(lowering.source(network.layers[layer].inputs[0]));
        let channels = members.iter().map(|(id, _)| network.layers[*id].output.c).sum();
        let names: Vec<&str> = members.iter().map(|(id, _)| network.layers[*id].name.as_str()).collect();
        let shape = MapShape { c: channels, ..network.layers[layer].output };
        let z = lowering.buffer(&format!("{}.z", names.join("+")), shape);
        let mut first = 0;
        let mut parts = Vec::new();
        for (id, _) in &members {
            let output = View { channel: first, channels: network.layers[*id].output.c, ..z };
            first += output.channels;
            parts.push(ConvPart {
                layer: network.layers[*id].name.clone(),
                output,
                epilogue: Epilogue::None,
            });
        }
        let filters = super::pack::filters(lowering, &self.learned, &names, network);
        lowering.conv(x, window, Filters::Learned(filters), parts.clone());
        for ((id, pool), part) in members.into_iter().zip(parts) {
            let bare = Value { view: part.output, ready: x.ready + 1 };
            let z = match pool {
                Some(pool) => self.pooled(lowering, id, pool, bare),
                None => bare,
            };
            let output = lowering.destination(id);
            let ready = self.normalize(lowering, id, "", z, output);
            lowering.define(id, output, ready);
        }
    }

    /// A convolution that learns by itself: z, its statistics, batch norm, ReLU.
    fn alone(&self, lowering: &mut Lowering<'_>, layer: LayerId, window: Window) {
        let (name, shape) = (self.network.layers[layer].name.as_str(), self.network.layers[layer].output);
        let x = lowering.value(self.network.layers[layer].inputs[0]);
        let [z, bn] = ["conv", "bn"].map(|what| {
            let view = lowering.buffer(&format!("{name}.{what}"), shape);
            lowering.call(&format!("{name}.{what}"), view);
            view
        });
        let filters = super::pack::filters(lowering, &self.learned, &[name], self.network);
        let part = ConvPart { layer: name.into(), output: z, epilogue: Epilogue::None };
        lowering.conv(x, window, Filters::Learned(filters), vec![part]);
        let ready = self.normalize(lowering, layer, ".bn", Value { view: z, ready: x.ready + 1 }, bn);
        let output = lowering.destination(layer);
        lowering.push(&format!("{name}.relu"), ready, StepOp::Relu { input: bn, output });
        lowering.define(layer, output, ready + 1);
    }

    /// The average pool `pool`, moved behind the convolution `layer`.
    fn pooled(&self, lowering: &mut Lowering<'_>, layer: LayerId, pool: LayerId, bare: Value) -> Value {
        let (this, Op::AvgPool(window)) = (&self.network.layers[layer], self.network.layers[pool].op) else {
            return bare;
        };
        let output = lowering.buffer(&format!("{}.z.pooled", this.name), this.output);
        let kind = PoolKind::Average(Average { padding: self.network.avg_pool_padding, bias_relu: None });
        let op = StepOp::Pool2d(Pool2d { kind, window, input: bare.view, output });
        lowering.push(&self.network.layers[pool].name, bare.ready, op);
        Value { view: output, ready: bare.ready + 1 }
    }

    /// Statistics of z and batch norm, in a fused program with ReLU, as steps called by the layer's name and `suffix`; the first
    /// level at which `output` can be read.
    fn normalize(
        &self,
        lowering: &mut Lowering<'_>,
        id: LayerId,
        suffix: &str,
        z: Value,
        output: View,
    ) -> usize {
        let layer = self.network.layers[id].name.clone();
        let stats = lowering.flat(&format!("{layer}.statistics"), 2 * z.view.channels, Role::Workspace);
        let names = ["running_mean", "running_var"].map(|name| format!("{layer}.bn.{name}"));
        let running = super::range_of(&self.learned.statistics, &names).of(self.learned.running);
        let momentum = self.training.batch_norm_momentum;
        let op = TrainOp::BatchNormStats {
            layer: layer.clone(),
            input: z.view,
            stats,
            running,
            momentum,
            cut: None,
        };
        let name = format!("{layer}{suffix}");
        lowering.push(&name, z.ready, StepOp::Train(op));
        let parameters = self.learned.values_of(&super::batch_norm(&layer));
        let relu = self.fusion == Fusion::Full;
        let op = TrainOp::Normalize { layer, input: z.view, stats, parameters, relu, output };
        lowering.push(&name, z.ready + 1, StepOp::Train(op));
        z.ready + 2
    }
}

//! The forward pass in training mode.

use super::op::TrainOp;
use super::{Learned, LearnedSet, Training};
use crate::network::{LayerId, MapShape, Network, Op, Window};
use crate::program::lower::{Lowering, Value};
use crate::program::step::{Average, ConvPart, Epilogue, Pool2d, PoolKind, StepOp};
use crate::program::{Options, Program, Role, View};

/// Steps and buffers of `network` in training mode; offsets in the arena are still 0.
pub(crate) fn lower(network: &Network, options: &Options, training: &Training) -> Program {
    let mut lowering = Lowering::new(network, options);
    let order: Vec<LayerId> =
        (0..network.layers.len()).filter(|&id| matches!(network.layers[id].op, Op::BasicConv2d(_))).collect();
    let frozen: Vec<LayerId> = order.iter().copied().take(training.freeze).collect();
    let mut forward = Forward { network, frozen };
    let learned = forward.learned(&mut lowering);
    for layer in 0..network.layers.len() {
        forward.layer(&mut lowering, layer);
    }
    super::backward::append(&mut lowering, network, &learned);
    lowering.finish(Some(learned))
}

struct Forward<'a> {
    network: &'a Network,
    frozen: Vec<LayerId>,
}

impl Forward<'_> {
    /// Room for all that learns: convolutions that are not frozen, and the last layer.
    fn learned(&self, lowering: &mut Lowering<'_>) -> LearnedSet {
        let mut parameters: Vec<Learned> = Vec::new();
        let all = self.network.layers.iter().enumerate();
        for (_, layer) in all.filter(|(id, _)| !self.frozen.contains(id)) {
            for parameter in layer.parameters(self.network) {
                if parameter.name.contains(".running_") {
                    continue;
                }
                let first = parameters.last().map_or(0, |last| last.first + last.values);
                let values = parameter.shape.iter().product();
                parameters.push(Learned { name: parameter.name, first, values });
            }
        }
        let count = parameters.last().map_or(0, |last| last.first + last.values);
        let mut room = |name: &str, role: Role| lowering.flat(name, count, role).buffer;
        let values = room("parameters", Role::Parameters);
        let (gradients, momentum) = (room("gradients", Role::Gradients), room("momentum", Role::Momentum));
        let loss = lowering.flat("loss", 1, Role::Workspace).buffer;
        LearnedSet { parameters, values, gradients, momentum, loss }
    }

    fn layer(&mut self, lowering: &mut Lowering<'_>, layer: LayerId) {
        let network = self.network;
        let this = &network.layers[layer];
        match this.op {
            _ if lowering.is_defined(layer) => {} // emitted with a sibling
            Op::BasicConv2d(window) if self.frozen.contains(&layer) => match window.is_pointwise() {
                true => lowering.merge_siblings(this.inputs[0], &|id| self.frozen.contains(&id)),
                false => lowering.lower_fused(layer),
            },
            Op::BasicConv2d(window) => self.convolution(lowering, layer, window),
            _ => lowering.lower_fused(layer),
        }
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
        lowering.conv(x, window, false, parts.clone());
        for ((id, pool), part) in members.into_iter().zip(parts) {
            let bare = Value { view: part.output, ready: x.ready + 1 };
            let z = match pool {
                Some(pool) => self.pooled(lowering, id, pool, bare),
                None => bare,
            };
            self.normalize(lowering, id, z);
        }
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

    fn normalize(&self, lowering: &mut Lowering<'_>, id: LayerId, z: Value) {
        let layer = self.network.layers[id].name.clone();
        let stats = lowering.flat(&format!("{layer}.statistics"), 2 * z.view.channels, Role::Workspace);
        let op = TrainOp::BatchNormStats { layer: layer.clone(), input: z.view, stats };
        lowering.push(&layer, z.ready, StepOp::Train(op));
        let output = lowering.destination(id);
        let op = TrainOp::Normalize { layer: layer.clone(), input: z.view, stats, output };
        lowering.push(&layer, z.ready + 1, StepOp::Train(op));
        lowering.define(id, output, z.ready + 2);
    }
}

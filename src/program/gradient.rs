//! A network lowered for the gradient of its logits by one layer's output, in inference mode.
//!
//! The forward pass is that of inference, everything fused. Behind it stand the backward steps from the last layer's input down to the
//! chosen layer's output, and no lower: ReLU is told from what it gave, a data gradient is a convolution with the folded filters seen
//! from their outputs ([`FoldedTransposed`]), pools pass on what they passed. The last layer has no backward step: the gradient of
//! Σ dy·logits by its input is dy·W, which the host writes to [`LogitGradient::seed`] before a run.

use std::collections::HashMap;

use super::lower::{Lowering, forward};
use super::step::{Average, Conv2d, ConvPart, Epilogue, Filters, Pool2d, PoolKind, Step, StepOp};
use super::train::{FoldedTransposed, Gradients, TrainOp, carriers};
use super::{Fusion, MapShape, Options, Program, View};
use crate::error::{Error, Result};
use crate::network::{Layer, Network, Op};

/// Where the gradient of the logits by one layer's output begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogitGradient {
    /// The layer.
    pub layer: String,
    /// The gradient by the last layer's input, N·C values, written before each run.
    pub seed: View,
    /// The layer's output; it is there when the program has run.
    pub map: View,
    /// The gradient by it, of the same shape; likewise.
    pub gradient: View,
}

/// Whether a gradient can be taken by the output of `layer`: those of convolutions, blocks and maximum pools are computed as they stand.
fn has_map(layer: &Layer) -> bool {
    matches!(layer.op, Op::BasicConv2d(_) | Op::Concat | Op::MaxPool(_))
}

/// # Errors
/// [`Error::Argument`] for a layer that is not there or has no map, and for what is not planned: training, unfused steps.
pub(super) fn check(network: &Network, options: &Options, layer: &str) -> Result<()> {
    let planned = options.training.is_none() && options.fusion == Fusion::Full;
    if !planned {
        let problem = "a logit's gradient by a layer's output is planned for inference and with fusion only";
        return Err(Error::Argument(problem.into()));
    }
    if network.layer(layer).is_some_and(has_map) {
        return Ok(());
    }
    let outer = network.layers.iter().filter(|layer| has_map(layer) && !layer.name.contains('.'));
    let names: Vec<&str> = outer.map(|layer| layer.name.as_str()).collect();
    Err(Error::Argument(format!(
        "there is no map of a layer called `{layer}`: name one of {}, or a convolution or maximum pool within a block, such as \
         Mixed_7b.branch1x1",
        names.join(", ")
    )))
}

/// Steps and buffers of `network` and of the gradient by the output of `layer`, which passed [`check`].
///
/// # Errors
/// [`Error::Argument`] where lowering left no such output.
pub(super) fn lower(network: &Network, options: &Options, layer: &str) -> Result<Program> {
    let (mut lowering, probabilities) = forward(network, options);
    let found = lowering.outputs().iter().find(|(name, _)| name == layer);
    let map = found.map(|(_, view)| *view);
    let map =
        map.ok_or_else(|| Error::Argument(format!("fusion dissolved `{layer}`: name another layer")))?;
    let steps = lowering.steps().to_vec();
    let features = lowering.value(network.layers.len() - 2);
    let gradients = Gradients::new(carriers(&steps, &[map], &|_| false), features.ready);
    let mut backward = Backward { gradients, rooms: HashMap::new() };
    let seed = backward.gradients.gradient(&mut lowering, features.view);
    backward.gradients.wrote(seed, features.ready);
    for step in &steps {
        backward.make_room(&mut lowering, step);
    }
    for step in steps.iter().rev() {
        backward.step(&mut lowering, step);
    }
    backward.gradients.name(&mut lowering);
    let gradient = backward.gradients.gradient(&mut lowering, map);
    let gradient = LogitGradient { layer: layer.to_string(), seed, map, gradient };
    Ok(Program { probabilities, gradient: Some(gradient), ..lowering.finish(None) })
}

struct Backward {
    gradients: Gradients,
    /// dz of each convolution through which the gradient must go, by the step's name.
    rooms: HashMap<String, View>,
}

impl Backward {
    /// Gives such a convolution one map for dz of all its parts, siblings over one input: its data gradient is one product.
    fn make_room(&mut self, lowering: &mut Lowering<'_>, step: &Step) {
        let StepOp::Conv2d(conv) = &step.op else { return };
        if !self.gradients.carries(conv.input) {
            return;
        }
        let shape = MapShape { c: conv.output_channels(), ..lowering.shape(conv.parts[0].output.buffer) };
        let dz = lowering.buffer(&format!("{}.dz", step.name), shape);
        for (part, own) in parts(conv, dz).filter(|(part, _)| part.epilogue == Epilogue::None) {
            // What stands before a pool is the bare sum, in a buffer of its own.
            self.gradients.lies(part.output.buffer, own);
        }
        self.rooms.insert(step.name.clone(), dz);
    }

    fn step(&mut self, lowering: &mut Lowering<'_>, step: &Step) {
        match &step.op {
            StepOp::Conv2d(conv) => self.convolution(lowering, &step.name, conv),
            StepOp::Pool2d(pool) if self.gradients.carries(pool.input) => {
                self.pool(lowering, &step.name, pool);
            }
            op => self.gradients.step(lowering, &step.name, op),
        }
    }

    /// ReLU of each part that has one, then the data gradient.
    fn convolution(&mut self, lowering: &mut Lowering<'_>, name: &str, conv: &Conv2d) {
        let Some(&dz) = self.rooms.get(name) else { return };
        for (part, dx) in parts(conv, dz).filter(|(part, _)| part.epilogue == Epilogue::BiasRelu) {
            self.relu(lowering, &part.layer, part.output, dx);
        }
        let level = self.gradients.written(dz).map_or(0, |level| level + 1);
        let layers = conv.parts.iter().map(|part| (part.layer.clone(), part.output.channels));
        let layers: Vec<(String, usize)> = layers.collect();
        self.gradients.data_gradient(lowering, name, conv, (dz, level), &|_, _, _, transposed| {
            Filters::FoldedTransposed(FoldedTransposed { layers: layers.clone(), transposed })
        });
    }

    /// Through a pool; one that was moved behind its convolution has that layer's ReLU.
    fn pool(&mut self, lowering: &mut Lowering<'_>, name: &str, pool: &Pool2d) {
        let incoming = match &pool.kind {
            PoolKind::Average(Average { bias_relu: Some(layer), .. }) => {
                let shape = MapShape { c: pool.output.channels, ..lowering.shape(pool.output.buffer) };
                let masked = lowering.buffer(&format!("{layer}.dz"), shape);
                let level = self.relu(lowering, layer, pool.output, masked);
                (masked, level + 1)
            }
            _ => self.gradients.incoming(lowering, pool.output),
        };
        self.gradients.pool(lowering, name, pool, incoming);
    }

    /// The gradient `dx` of what ReLU, which gave `output`, read; the level at which it is written.
    fn relu(&mut self, lowering: &mut Lowering<'_>, name: &str, output: View, dx: View) -> usize {
        let (dy, level) = self.gradients.incoming(lowering, output);
        let op = TrainOp::ReluBackward { output, dy, dx, accumulate: false };
        self.gradients.push(lowering, name, level, op, Some(dx));
        level
    }
}

/// Each part of `conv` with its channels of `dz`, which holds all of them.
fn parts(conv: &Conv2d, dz: View) -> impl Iterator<Item = (&ConvPart, View)> {
    conv.parts.iter().scan(dz.channel, move |end, part| {
        let channel = *end;
        *end += part.output.channels;
        Some((part, View { channel, channels: part.output.channels, ..dz }))
    })
}

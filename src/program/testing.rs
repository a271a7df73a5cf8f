//! Programs of a few steps made by hand, for tests of single operations on every device.

mod given;
mod learning;

pub(crate) use learning::LearningConv;

use super::{
    Buffer, ConvPart, Epilogue, Filters, Fusion, Input, Keep, Layout, LearnedSet, MapShape, Normalization,
    Options, Phase, Program, Role, Step, StepOp, Target, View,
};
use crate::network::{AvgPoolPadding, Layer, Network, Op, Window};

/// A program in the making: its input is one buffer, its steps stand on level 0 unless told otherwise.
pub(crate) struct Maker {
    network: Network,
    target: Target,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    outputs: Vec<(String, View)>,
    reads: Input,
    /// Where the next steps stand.
    level: usize,
    /// What is given before a run.
    learned: Option<LearnedSet>,
}

/// Values of a flat buffer beside a view that nobody may touch.
pub(crate) const GUARD: usize = 16;

/// Channels beside a view of a map that nobody may touch: as few as `target` lets a view begin after.
fn guard(target: &Target) -> usize {
    if target.layout == Layout::Blocked8 { 8 } else { 16 }
}

impl Maker {
    /// Begins a program whose input is a view of `shape` with channels before and behind it, in the target's
    /// layout.
    pub fn new(target: &Target, shape: MapShape) -> Self {
        let layers = vec![Layer { name: "input".into(), op: Op::Input, inputs: vec![], output: shape }];
        let network = Network {
            size: (shape.h, shape.w),
            classes: 1,
            avg_pool_padding: AvgPoolPadding::Include,
            layers,
        };
        let mut maker = Maker {
            network,
            target: target.clone(),
            buffers: Vec::new(),
            steps: Vec::new(),
            outputs: Vec::new(),
            reads: Input::Values,
            level: 0,
            learned: None,
        };
        maker.guarded("input", shape);
        maker
    }

    /// A program that packs an input [N,C,H,W] of `shape` in column pairs, called `packed`.
    pub fn packing(target: &Target, shape: MapShape) -> Self {
        let mut maker = Maker::new(target, shape);
        maker.buffers.clear();
        maker.buffer("input", shape, Layout::Nchw);
        maker.buffer("packed", shape, Layout::ColumnPairs);
        let [input, output] = [0, 1].map(|buffer| View { buffer, channel: 0, channels: shape.c });
        maker.outputs = vec![("packed".into(), output)];
        maker.step("pack", StepOp::Pack { input, output });
        maker
    }

    /// A program that reads crops for an input of `shape` and puts them, normalised, into `ready`.
    pub fn crops(target: &Target, shape: MapShape, normalization: Normalization) -> Self {
        let mut maker = Maker::new(target, shape);
        maker.buffers.clear();
        maker.reads = Input::Crops(normalization.clone());
        maker.buffer("input", shape, Layout::Crops);
        let layout = if target.gpu.is_some() { Layout::ColumnPairs } else { Layout::Nchw };
        maker.buffer("ready", shape, layout);
        let [input, output] = [0, 1].map(|buffer| View { buffer, channel: 0, channels: shape.c });
        maker.outputs = vec![("ready".into(), output)];
        maker.step("crop", StepOp::Crop { normalization, input, output });
        maker
    }

    /// A program whose input is `k` logits an image and whose output `p` are their probabilities.
    pub fn softmax(target: &Target, k: usize) -> Self {
        let logits = MapShape { c: k, h: 1, w: 1 };
        let mut maker = Maker::new(target, logits);
        maker.buffers.clear();
        maker.buffer("input", logits, Layout::Nchw);
        let input = View { buffer: 0, channel: 0, channels: k };
        let output = maker.plain_output("p", MapShape { c: k.max(2), ..logits });
        maker.step("softmax", StepOp::Softmax { input, output });
        maker
    }

    /// The input.
    pub fn input(&self) -> View {
        let c = self.network.layers[0].output.c;
        View { buffer: 0, channel: guard(&self.target), channels: c }
    }

    /// A new output of `shape` called `name`, with channels before and behind it.
    pub fn output(&mut self, name: &str, shape: MapShape) -> View {
        let view = self.guarded(name, shape);
        self.outputs.push((name.into(), view));
        for (guard, channel) in [("before", 0), ("behind", view.channel + shape.c)] {
            let guard_view = View { buffer: view.buffer, channel, channels: view.channel };
            self.outputs.push((format!("{name}.{guard}"), guard_view));
        }
        view
    }

    /// A new output of `shape` without guards, NCHW.
    pub fn plain_output(&mut self, name: &str, shape: MapShape) -> View {
        self.buffer(name, shape, Layout::Nchw);
        let view = View { buffer: self.buffers.len() - 1, channel: 0, channels: shape.c };
        self.outputs.push((name.into(), view));
        view
    }

    fn guarded(&mut self, name: &str, shape: MapShape) -> View {
        let channel = guard(&self.target);
        let wide = MapShape { c: shape.c + 2 * channel, ..shape };
        self.buffer(name, wide, self.target.layout);
        View { buffer: self.buffers.len() - 1, channel, channels: shape.c }
    }

    fn buffer(&mut self, name: &str, shape: MapShape, layout: Layout) {
        self.buffers.push(Buffer::new(name, Role::Map, shape, layout, 0));
    }

    /// A layer that owns parameters and reads the input.
    pub fn layer(&mut self, name: &str, op: Op, output: MapShape) {
        self.network.layers.push(Layer { name: name.into(), op, inputs: vec![0], output });
    }

    /// Appends a step.
    pub fn step(&mut self, name: &str, op: StepOp) {
        self.steps.push(Step { name: name.into(), level: self.level, op });
    }

    /// A convolution of the input, one part a layer of `channels`; those with bias and ReLU have `folded` batch norm.
    pub fn conv(&mut self, window: Window, parts: &[(&str, usize, Epilogue)], folded: bool) {
        let MapShape { h, w, .. } = self.network.layers[0].output;
        let (p, q) = window.output(h, w);
        let part = |maker: &mut Maker, &(layer, c, epilogue): &(&str, usize, Epilogue)| {
            let shape = MapShape { c, h: p, w: q };
            maker.layer(layer, Op::BasicConv2d(window), shape);
            ConvPart { layer: layer.into(), output: maker.output(layer, shape), epilogue }
        };
        let name = parts.iter().map(|(layer, ..)| *layer).collect::<Vec<_>>().join("+");
        let parts = parts.iter().map(|p| part(self, p)).collect();
        let filters = if folded { Filters::Folded } else { Filters::Plain };
        let conv = super::Conv2d { window, input: self.input(), filters, parts, phase: Phase::ALL };
        self.step(&name, StepOp::Conv2d(conv));
    }

    /// The program for `batch` images.
    pub fn finish(mut self, batch: usize) -> Program {
        for buffer in &mut self.buffers {
            let maps = if buffer.role.is_per_image() { batch } else { 1 };
            buffer.bytes = buffer.layout.values(buffer.shape) * maps * size_of::<f32>();
        }
        let (_, logits) = self.outputs[0];
        let options = Options {
            batch,
            fusion: Fusion::None,
            keep: Keep::Layers,
            target: self.target,
            input: self.reads,
            training: None,
            gradient: None,
        };
        let whole = View { buffer: 0, channel: 0, channels: self.buffers[0].shape.c };
        Program {
            network: self.network,
            options,
            buffers: self.buffers,
            steps: self.steps,
            arena_bytes: 0,
            input: whole,
            logits,
            probabilities: logits,
            outputs: self.outputs,
            tickets: None,
            learned: self.learned,
            gradient: None,
        }
        .placed()
    }
}

//! Programs about one convolution that learns: forward, data gradient, filter gradient.

use super::{GUARD, Maker};
use crate::network::Window;
use crate::program::train::phases;
use crate::program::{
    Buffer, Conv2d, ConvPart, Epilogue, Filters, LayerFilters, Layout, LearnedFilters, LearnedSet, MapShape,
    Packing, Phase, Role, StepOp, Target, TrainOp, Transposed, View,
};

/// What [`Maker::learning_conv`] made beside its outputs `z` and `dx`.
pub(crate) struct LearningConv {
    /// All parameters, to be written before a run: two sets of filters, `filters` of them.
    pub parameters: View,
    /// dz, to be written before a run in the target's layout, some channels apart from its buffer's first.
    pub dz: View,
    /// All gradients, among them those of the first set of filters.
    pub gradients: View,
    /// Each part's filters [K,C,R,S] among the parameters, first set and second; the first set's place is that of its gradient too.
    pub filters: [Vec<LayerFilters>; 2],
}

impl Maker {
    /// A program about a convolution of `window` over an input of `shape`, with a part of each of `parts` channels, of two sets of filters:
    /// level 0 packs filters and, on a GPU, an input of three channels; level 1 computes z by the first set, dW, and dx by the first set;
    /// level 2 adds the data gradient by the second set to dx. An input of three channels has no dx.
    pub fn learning_conv(
        target: &Target,
        shape: MapShape,
        window: Window,
        parts: &[usize],
    ) -> (Maker, LearningConv) {
        let mut maker = Maker::new(target, shape);
        let image = shape.c == 3;
        let input = if image { maker.image(shape) } else { maker.input() };
        let (p, q) = window.output(shape.h, shape.w);
        let k = parts.iter().sum();
        let values = shape.c * window.kernel.0 * window.kernel.1;
        let mut end = GUARD;
        let mut set = || {
            let layer = |&channels: &usize| {
                let first = end;
                end += channels * values + GUARD;
                LayerFilters { first, channels }
            };
            parts.iter().map(layer).collect::<Vec<_>>()
        };
        let filters = [set(), set()];
        let parameters = maker.flat("parameters", end, Role::Parameters);
        let gradients = maker.flat("gradients", end, Role::Gradients);
        let dz = maker.guarded("dz", MapShape { c: k, h: p, w: q });
        maker.buffers[dz.buffer].role = Role::MapGradient;
        maker.learned = Some(given(parameters, gradients, dz));

        let z = maker.output("z", MapShape { c: k, h: p, w: q });
        let mut first = z.channel;
        let part = |channels: &usize| {
            let output = View { channel: first, channels: *channels, ..z };
            first += channels;
            ConvPart { layer: format!("part{}", output.channel), output, epilogue: Epilogue::None }
        };
        let packed = maker.flat("filters", k * values, Role::Workspace);
        let own = LearnedFilters { layers: filters[0].clone(), packed, transposed: None };
        let forward = Conv2d {
            window,
            input,
            filters: Filters::Learned(own),
            parts: parts.iter().map(part).collect(),
            phase: Phase::ALL,
        };
        let mut gradients_of = Vec::new();
        if !image {
            let dx = maker.output("dx", shape);
            maker.buffers[dx.buffer].role = Role::MapGradient;
            gradients_of = vec![
                maker.data_gradients(&forward, &filters[0], (dz, dx), Epilogue::None),
                maker.data_gradients(&forward, &filters[1], (dz, dx), Epilogue::Accumulate),
            ];
        }
        let convs = [forward.clone()].into_iter().chain(gradients_of.iter().flatten().cloned());
        let convs = convs.map(|conv| Packing { conv, cut: None }).collect();
        maker.step("pack", StepOp::Train(TrainOp::PackFilters { parameters, convs }));
        maker.level += 1;
        let dw = |layer: &LayerFilters| View {
            channel: layer.first,
            channels: layer.channels * values,
            ..gradients
        };
        let op = TrainOp::Conv2dBackwardWeight {
            conv: forward.clone(),
            dz,
            gradients: filters[0].iter().map(dw).collect(),
            cut: None,
        };
        maker.step("z", StepOp::Conv2d(forward));
        maker.step("dw", StepOp::Train(op));
        for convs in gradients_of {
            convs.into_iter().for_each(|conv| {
                let name = conv.parts[0].layer.clone();
                maker.step(&name, StepOp::Conv2d(conv));
            });
            maker.level += 1;
        }
        (maker, LearningConv { parameters, dz, gradients, filters })
    }

    /// The data gradient of `conv` with `filters`, one convolution a phase.
    fn data_gradients(
        &mut self,
        conv: &Conv2d,
        filters: &[LayerFilters],
        (dz, dx): (View, View),
        epilogue: Epilogue,
    ) -> Vec<Conv2d> {
        let MapShape { h, w, .. } = self.buffers[dx.buffer].shape;
        let phase = |(phase, window, first_tap): (Phase, Window, (usize, usize))| {
            let name = format!("{epilogue:?}{:?}", phase.first);
            let values = dz.channels * dx.channels * window.kernel.0 * window.kernel.1;
            let packed = self.flat(&format!("{name}.filters"), values, Role::Workspace);
            let transposed = Some(Transposed { window: conv.window, first_tap });
            let filters = Filters::Learned(LearnedFilters { layers: filters.to_vec(), packed, transposed });
            let parts = vec![ConvPart { layer: name, output: dx, epilogue }];
            Conv2d { window, input: dz, filters, parts, phase }
        };
        phases(conv.window, (h, w)).into_iter().map(phase).collect()
    }

    /// An input of three channels as the network's first convolution reads it.
    fn image(&mut self, shape: MapShape) -> View {
        self.buffers.clear();
        self.buffer("input", shape, Layout::Nchw);
        let input = View { buffer: 0, channel: 0, channels: shape.c };
        if self.target.gpu.is_none() {
            return input;
        }
        self.buffer("packed input", shape, Layout::ColumnPairs);
        let output = View { buffer: 1, ..input };
        self.step("pack input", StepOp::Pack { input, output });
        output
    }

    /// Room for `values` values that belong to no image.
    pub(super) fn flat(&mut self, name: &str, values: usize, role: Role) -> View {
        let shape = MapShape { c: values, h: 1, w: 1 };
        self.buffers.push(Buffer::new(name, role, shape, Layout::Nchw, 0));
        View { buffer: self.buffers.len() - 1, channel: 0, channels: values }
    }
}

/// Nothing that learns by name; `parameters` and `dz` are given before a run.
fn given(parameters: View, gradients: View, dz: View) -> LearnedSet {
    LearnedSet {
        parameters: Vec::new(),
        statistics: Vec::new(),
        values: parameters.buffer,
        gradients: gradients.buffer,
        momentum: parameters.buffer,
        running: parameters.buffer,
        targets: dz.buffer,
        controls: dz.buffer,
        loss: gradients.buffer,
        norm: gradients.buffer,
        auxiliary: None,
    }
}

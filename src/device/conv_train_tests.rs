//! Convolutions that learn on every device against naive float64 references: z by packed filters, the data gradient overwritten and
//! added to, the gradient of the filters; and the references against finite differences.

use super::tests::{compare, devices, value, window};
use super::{Device, Engine};
use crate::network::{AvgPoolPadding, MapShape, Network, Window};
use crate::program::testing::{LearningConv, Maker};
use crate::program::{Gpu, LayerFilters, Options, Program, StepOp, Target, TrainOp, Training, View};
use crate::weights::Weights;

/// A batch, the images that are run, the input's shape, the window, the channels of each part.
struct Case {
    batch: usize,
    images: usize,
    shape: MapShape,
    window: Window,
    parts: Vec<usize>,
}

/// What a case reads, and what a device made of it; filters [K,C,R,S] of all parts together.
struct Outcome {
    x: Vec<f32>,
    dz: Vec<f32>,
    filters: [Vec<f32>; 2],
    z: Vec<f32>,
    dx: Option<Vec<f32>>,
    dw: Vec<f32>,
}

impl Case {
    fn output(&self) -> MapShape {
        let (h, w) = self.window.output(self.shape.h, self.shape.w);
        MapShape { c: self.parts.iter().sum(), h, w }
    }

    /// Filter values of one output channel.
    fn values(&self) -> usize {
        self.shape.c * self.window.kernel.0 * self.window.kernel.1
    }

    fn run(&self, device: &Device) -> Outcome {
        self.run_for(device, &device.target())
    }

    fn run_for(&self, device: &Device, target: &Target) -> Outcome {
        let (maker, learning) = Maker::learning_conv(target, self.shape, self.window, &self.parts);
        let program = maker.finish(self.batch);
        let weights = Weights::random(1, &program.network.parameters()).unwrap();
        let mut engine = Engine::new(program.clone(), &weights, device).unwrap();
        let x: Vec<f32> = (0..self.images * self.shape.elements()).map(value).collect();
        let dz: Vec<f32> =
            (0..self.images * self.output().elements()).map(|i| value(i + 7_000_003)).collect();
        let parameters: Vec<f32> = (0..learning.parameters.channels).map(|i| value(i + 99_991)).collect();
        engine.executor.write(learning.parameters.buffer, 0, &parameters).unwrap();
        engine.executor.write(learning.dz.buffer, 0, &lying(&program, learning.dz, &dz)).unwrap();
        let c = program.buffers[0].shape.c;
        let view = View { buffer: 0, channel: (c - self.shape.c) / 2, channels: self.shape.c };
        engine.input().copy_from_slice(&lying(&program, view, &x));
        engine.run(self.images).unwrap();
        let filters = learning.filters.each_ref().map(|set| self.of_parts(set, &parameters));
        let output = |name: &str| engine.output(name, self.images).unwrap().data().to_vec();
        let dw = self.of_parts(&learning.filters[0], &self.gradients(&engine, &learning, device));
        let dx = (self.shape.c != 3).then(|| output("dx"));
        Outcome { x, dz, filters, z: output("z"), dx, dw }
    }

    /// All gradients, after a look at what may not be written: between the parts, and the second set's.
    fn gradients(&self, engine: &Engine, learning: &LearningConv, device: &Device) -> Vec<f32> {
        let mut all = vec![0.0; learning.gradients.channels];
        engine.executor.read(learning.gradients, 1, &mut all).unwrap();
        let mut written = vec![false; all.len()];
        for layer in &learning.filters[0] {
            written[layer.first..layer.first + layer.channels * self.values()].fill(true);
        }
        // A device's memory holds one and the same value, no gradient, until it is written.
        let guard = all[0].to_bits();
        let untouched = all.iter().zip(written).all(|(value, written)| written || value.to_bits() == guard);
        assert!(untouched, "{device}: {:?}: wrote beside its gradients", self.window);
        all
    }

    fn of_parts(&self, layers: &[LayerFilters], all: &[f32]) -> Vec<f32> {
        let of = |layer: &LayerFilters| &all[layer.first..layer.first + layer.channels * self.values()];
        layers.iter().flat_map(of).copied().collect()
    }

    /// Calls `visit` with image, tap, input pixel and output pixel of every product.
    fn products(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let Window { kernel: (r, s), stride, padding } = self.window;
        let MapShape { h: p, w: q, .. } = self.output();
        for i in 0..self.images * p * q * r * s {
            let (image, pixel, tap) = (i / (p * q * r * s), i / (r * s) % (p * q), i % (r * s));
            let h = (pixel / q * stride.0 + tap / s).checked_sub(padding.0).filter(|h| *h < self.shape.h);
            let w = (pixel % q * stride.1 + tap % s).checked_sub(padding.1).filter(|w| *w < self.shape.w);
            if let (Some(h), Some(w)) = (h, w) {
                visit(image, tap, h * self.shape.w + w, pixel);
            }
        }
    }

    /// z [N,P·Q,K] from x [N,H·W,C] and filters [tap][C][K].
    fn forward(&self, x: &[f64], filters: &[f64]) -> Vec<f64> {
        let (c, k, hw, pq) = self.sizes();
        let mut z = vec![0.0; self.images * pq * k];
        self.products(|n, tap, from, to| {
            let z = &mut z[(n * pq + to) * k..][..k];
            for (i, x) in x[(n * hw + from) * c..][..c].iter().enumerate() {
                axpy(z, *x, &filters[(tap * c + i) * k..][..k]);
            }
        });
        z
    }

    /// dx [N,H·W,C] from dz [N,P·Q,K] and filters [tap][C][K].
    fn backward(&self, dz: &[f64], filters: &[f64]) -> Vec<f64> {
        let (c, k, hw, pq) = self.sizes();
        let mut dx = vec![0.0; self.images * hw * c];
        self.products(|n, tap, to, from| {
            let dz = &dz[(n * pq + from) * k..][..k];
            for (i, dx) in dx[(n * hw + to) * c..][..c].iter_mut().enumerate() {
                let filter = &filters[(tap * c + i) * k..][..k];
                *dx += dz.iter().zip(filter).map(|(dz, w)| dz * w).sum::<f64>();
            }
        });
        dx
    }

    /// dW [tap][C][K] from x [N,H·W,C] and dz [N,P·Q,K].
    fn backward_weight(&self, x: &[f64], dz: &[f64]) -> Vec<f64> {
        let (c, k, hw, pq) = self.sizes();
        let mut dw = vec![0.0; self.values() * k];
        self.products(|n, tap, from, to| {
            for (i, x) in x[(n * hw + from) * c..][..c].iter().enumerate() {
                axpy(&mut dw[(tap * c + i) * k..][..k], *x, &dz[(n * pq + to) * k..][..k]);
            }
        });
        dw
    }

    /// C, K, H·W, P·Q.
    fn sizes(&self) -> (usize, usize, usize, usize) {
        let MapShape { c, h, w } = self.shape;
        let MapShape { c: k, h: p, w: q } = self.output();
        (c, k, h * w, p * q)
    }

    fn check(&self, device: &Device) {
        self.check_for(device, &device.target());
    }

    fn check_for(&self, device: &Device, target: &Target) {
        let got = self.run_for(device, target);
        let (c, k, hw, pq) = self.sizes();
        let what = |name: &str| {
            let Case { batch, images, shape, window, parts } = self;
            format!("{name}, {images} of {batch}×{shape:?}, {window:?}, {parts:?}")
        };
        let (x, dz) = (pixels_first(&got.x, c, hw), pixels_first(&got.dz, k, pq));
        let filters = got.filters.each_ref().map(|f| taps_first(f, c, k));
        let z = self.forward(&x, &filters[0]);
        let output = self.output();
        compare(device, &what("z"), &got.z, output, |n, k_, p, q| z[(n * pq + p * output.w + q) * k + k_]);
        if let Some(dx) = &got.dx {
            let [first, second] = filters.each_ref().map(|f| self.backward(&dz, f));
            compare(device, &what("dx"), dx, self.shape, |n, c_, h, w| {
                let at = (n * hw + h * self.shape.w + w) * c + c_;
                first[at] + second[at]
            });
        }
        let dw = self.backward_weight(&x, &dz);
        let (rows, columns) = self.window.kernel;
        let shape = MapShape { c, h: rows, w: columns };
        compare(device, &what("dw"), &got.dw, shape, |k_, c_, r, s| {
            dw[((r * columns + s) * c + c_) * k + k_]
        });
    }
}

fn axpy(y: &mut [f64], a: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// N·C·H·W as `view` lies in memory, NaN beside it and in the images that are missing.
fn lying(program: &Program, view: View, values: &[f32]) -> Vec<f32> {
    let buffer = &program.buffers[view.buffer];
    let MapShape { c, h, w } = program.shape(view);
    let stride = buffer.layout.values(buffer.shape);
    let mut memory = vec![f32::NAN; program.options.batch * stride];
    for (i, &x) in values.iter().enumerate() {
        let (image, channel, pixel) = (i / (c * h * w), view.channel + i / (h * w) % c, i % (h * w));
        memory[image * stride + buffer.layout.index(buffer.shape, channel, pixel / w, pixel % w)] = x;
    }
    memory
}

/// [N,C,H·W] as [N,H·W,C].
fn pixels_first(values: &[f32], channels: usize, pixels: usize) -> Vec<f64> {
    let mut out = vec![0.0; values.len()];
    for (i, &x) in values.iter().enumerate() {
        let (n, c, pixel) = (i / (channels * pixels), i / pixels % channels, i % pixels);
        out[(n * pixels + pixel) * channels + c] = f64::from(x);
    }
    out
}

/// [K,C,R·S] as [tap][C][K].
fn taps_first(filters: &[f32], c: usize, k: usize) -> Vec<f64> {
    let taps = filters.len() / (c * k);
    let mut out = vec![0.0; filters.len()];
    for (i, &w) in filters.iter().enumerate() {
        out[(i % taps * c + i / taps % c) * k + i / (taps * c)] = f64::from(w);
    }
    out
}

/// Every convolution of a training program by channels and window, siblings together.
fn network_cases() -> Vec<Case> {
    let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap();
    let training = Some(Training { auxiliary: Some(0.4), ..Training::default() });
    let options = Options { training, ..Options::new(2, Target::cpu()) };
    let program = Program::lower(&network, &options).unwrap();
    let mut seen = std::collections::HashSet::new();
    let mut cases = Vec::new();
    for step in &program.steps {
        let StepOp::Train(TrainOp::Conv2dBackwardWeight { conv, .. }) = &step.op else { continue };
        let parts: Vec<usize> = conv.parts.iter().map(|part| part.output.channels).collect();
        if seen.insert((conv.input.channels, parts.clone(), conv.window)) {
            let i = cases.len();
            // A window without padding needs as many rows.
            let h = (4 + i % 3).max(conv.window.kernel.0 - 2 * conv.window.padding.0);
            let shape = MapShape { c: conv.input.channels, h, w: 6 + i % 5 };
            let images = [1, 2, 3, 2][i % 4];
            cases.push(Case { batch: images + i % 2, images, shape, window: conv.window, parts });
        }
    }
    cases
}

/// Windows that the network has and has not, over maps of odd and even size, with tiles that are not full.
fn other_cases() -> Vec<Case> {
    let case = |images, (c, h, w), window, parts: &[usize]| Case {
        batch: images + 1,
        images,
        shape: MapShape { c, h, w },
        window,
        parts: parts.to_vec(),
    };
    let (one, three) = (window((1, 1), (1, 1), (0, 0)), window((3, 3), (2, 2), (0, 0)));
    vec![
        case(1, (16, 1, 1), one, &[16]),
        case(2, (48, 13, 17), one, &[64, 48, 32, 16]),
        case(3, (32, 8, 8), one, &[80]),
        case(1, (48, 21, 19), window((3, 3), (1, 1), (1, 1)), &[112]),
        case(2, (32, 9, 10), three, &[48]),
        case(2, (16, 10, 9), three, &[64]),
        case(1, (80, 12, 12), three, &[32]),
        case(1, (32, 11, 13), three, &[96]),
        case(2, (16, 5, 40), window((1, 7), (1, 1), (0, 3)), &[32]),
        case(2, (32, 40, 3), window((7, 1), (1, 1), (3, 0)), &[48]),
        case(3, (16, 2, 3), window((7, 1), (1, 1), (3, 0)), &[16]),
        case(2, (48, 2, 3), window((5, 5), (1, 1), (2, 2)), &[16]),
        case(3, (32, 5, 5), window((5, 5), (1, 1), (0, 0)), &[48]),
        case(2, (16, 6, 9), window((5, 5), (1, 1), (0, 0)), &[80]),
        case(2, (16, 9, 7), window((3, 2), (2, 1), (1, 0)), &[32]),
        case(1, (16, 150, 3), window((3, 3), (1, 1), (1, 1)), &[16]),
        case(1, (16, 3, 310), window((3, 3), (1, 1), (1, 1)), &[16]),
        case(2, (3, 11, 14), three, &[32]),
        case(3, (3, 16, 21), three, &[32]),
    ]
}

#[test]
fn every_convolution_of_the_network_learns() {
    let cases = network_cases();
    assert!(cases.len() >= 35, "{}", cases.len());
    for (case, device) in cases.iter().flat_map(|case| devices().into_iter().map(move |d| (case, d))) {
        case.check(&device);
    }
}

#[test]
fn other_convolutions_learn() {
    for (case, device) in other_cases().iter().flat_map(|case| devices().into_iter().map(move |d| (case, d)))
    {
        case.check(&device);
    }
}

#[test]
fn one_run_is_as_another() {
    for (case, device) in other_cases().iter().flat_map(|case| devices().into_iter().map(move |d| (case, d)))
    {
        assert!(case.run(&device).bits() == case.run(&device).bits(), "{device}: {:?}", case.window);
    }
}

impl Outcome {
    /// The bits of all that was computed.
    fn bits(&self) -> Vec<u32> {
        let all = self.z.iter().chain(self.dx.iter().flatten()).chain(&self.dw);
        all.map(|value| value.to_bits()).collect()
    }
}

#[cfg(feature = "cpu")]
#[test]
fn convolutions_learn_on_every_instruction_set_and_any_number_of_threads() {
    for isa in super::cpu::Isa::available() {
        let device = |threads| Device::Cpu { threads, isa: Some(isa.name().into()) };
        for case in other_cases() {
            case.check(&device(1));
            let one = case.run(&device(1)).bits();
            for threads in [2, 3, 5] {
                assert!(case.run(&device(threads)).bits() == one, "{}, {threads}", device(threads));
            }
        }
    }
}

/// The references themselves: with L = Σ dz·z, which is linear in x and in W, a central difference of any width is ∂L/∂x = dx and
/// ∂L/∂W = dW but for rounding.
#[test]
fn references_are_the_derivatives_of_the_forward_formula() {
    for case in other_cases().into_iter().filter(|case| case.shape.elements() * case.values() < 1 << 18) {
        let (c, k, hw, pq) = case.sizes();
        let values = |count: usize, seed: usize| -> Vec<f64> {
            (0..count).map(|i| f64::from(value(i + seed))).collect()
        };
        let (mut x, dz) = (values(case.images * hw * c, 1), values(case.images * pq * k, 2));
        let mut filters = values(case.values() * k, 3);
        let loss = |x: &[f64], filters: &[f64]| -> f64 {
            case.forward(x, filters).iter().zip(&dz).map(|(z, dz)| z * dz).sum()
        };
        let (dx, dw) = (case.backward(&dz, &filters), case.backward_weight(&x, &dz));
        for i in 0..12 {
            let (at, width) = (i * 7919 % x.len(), 0.5);
            let own = x[at];
            let [up, down] = [own + width, own - width].map(|moved| {
                x[at] = moved;
                loss(&x, &filters)
            });
            x[at] = own;
            assert!((up - down - dx[at]).abs() <= 1e-9, "{:?}: dx {at}", case.window);
            let at = i * 6007 % filters.len();
            let own = filters[at];
            let [up, down] = [own + width, own - width].map(|moved| {
                filters[at] = moved;
                loss(&x, &filters)
            });
            filters[at] = own;
            assert!((up - down - dw[at]).abs() <= 1e-9, "{:?}: dw {at}", case.window);
        }
    }
}

/// As many pixels as 64 maps of 71×71 have: the longest sum of the network's filter gradients.
#[test]
fn long_sums_learn() {
    let pixels = MapShape { c: 16, h: 5041, w: 16 };
    let case =
        Case { batch: 4, images: 4, shape: pixels, window: window((1, 1), (1, 1), (0, 0)), parts: vec![16] };
    devices().iter().for_each(|device| case.check(device));
}

/// Gradients of filters by every tile, in one slice and in several; packed filters by every tile, with steps that only fill up.
#[test]
fn every_tile_of_what_learns() {
    let shape = MapShape { c: 48, h: 9, w: 14 };
    let case =
        Case { batch: 3, images: 2, shape, window: window((3, 3), (1, 1), (1, 1)), parts: vec![112, 32] };
    for device in devices() {
        let Some(gpu) = device.target().gpu else { continue };
        for &tile in &gpu.weight_tiles {
            // Multiprocessors that want few blocks and many.
            for multiprocessors in [1, 28, 132] {
                let gpu = Gpu { multiprocessors, weight_tiles: vec![tile], ..gpu.clone() };
                case.check_for(&device, &Target { gpu: Some(gpu), ..device.target() });
            }
        }
        for &tile in &gpu.tiles {
            let gpu = Gpu { tiles: vec![tile], ..gpu.clone() };
            case.check_for(&device, &Target { gpu: Some(gpu), ..device.target() });
        }
    }
}

//! Every operation on every device against a naive float64 reference: one list of cases, the same on all of them.
//!
//! Views lie between channels that nobody may touch; outputs are what the device's memory held before, which is never a
//! right answer. The bound is the design's for a layer: 2e-6 in relative L2 norm on the cpu, 3e-6 elsewhere.

use super::{Device, Engine};
use crate::data::{Fit, Image, MeanImage, Normalize, Preprocess};
use crate::network::{AvgPoolPadding, BATCH_NORM_EPS, MapShape, Network, Op, Window};
use crate::program::testing::Maker;
use crate::program::{
    Average, Crop, Epilogue, Layout, Pool2d, PoolKind, Program, Samples, StepOp, Target, TunedCut, Tuning,
    View,
};
use crate::weights::Weights;

/// Relative L2 error that a layer may have on `device`.
pub(super) fn bound(device: &Device) -> f64 {
    if matches!(device, Device::Cpu { .. }) { 2e-6 } else { 3e-6 }
}

/// The devices there are.
pub(super) fn devices() -> Vec<Device> {
    let others = vec![
        #[cfg(feature = "cpu")]
        Device::open("cpu", Some(2)).unwrap(),
        #[cfg(feature = "sim")]
        match Device::open("sim", Some(2)).unwrap() {
            Device::Sim { card, threads, tuning, .. } => {
                Device::Sim { card, threads, checks: super::Checks::All, tuning }
            }
            device => device,
        },
    ];
    others.into_iter().chain(cuda()).collect()
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Option<Device> {
    None
}

/// The first CUDA device. Where there is none that can be used it says so once, and with NODAL_REQUIRE_GPU=1 it panics.
#[cfg(feature = "cuda")]
pub(super) fn cuda() -> Option<Device> {
    static SAID: std::sync::Once = std::sync::Once::new();
    match Device::open("cuda", None) {
        Ok(device) => Some(device),
        Err(error) => {
            let required = std::env::var("NODAL_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "NODAL_REQUIRE_GPU=1, and {error}");
            // Past the test harness, which keeps what `println` prints to itself.
            SAID.call_once(|| {
                let _ = std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("skipped: no CUDA device ({error})\n").as_bytes(),
                );
            });
            None
        }
    }
}

/// Values without symmetry, from −1 to 1.
pub(super) fn value(i: usize) -> f32 {
    (crate::weights::random::mix(i as u64 + 1) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// The input of a case, N·C·H·W, guards apart.
struct Input {
    n: usize,
    shape: MapShape,
    values: Vec<f32>,
}

impl Input {
    fn new(n: usize, shape: MapShape) -> Self {
        Input { n, shape, values: (0..n * shape.elements()).map(value).collect() }
    }

    /// The value there, `None` outside the map.
    fn get(&self, n: usize, c: usize, h: isize, w: isize) -> Option<f64> {
        let MapShape { c: channels, h: height, w: width } = self.shape;
        let inside = (0..height as isize).contains(&h) && (0..width as isize).contains(&w);
        let at = ((n * channels + c) * height + h as usize % height) * width + w as usize % width;
        inside.then(|| f64::from(self.values[at]))
    }
}

/// Runs `program` on `device`, checks its guards, and gives the outputs called `names`, N·C·H·W each.
fn run(
    device: &Device,
    program: &Program,
    weights: &Weights,
    input: &Input,
    names: &[&str],
) -> Vec<Vec<f32>> {
    let mut engine = Engine::new(program.clone(), weights, device).unwrap();
    let buffer = program.buffers[program.input.buffer].clone();
    let stride = buffer.layout.values(buffer.shape);
    let MapShape { c, h, w } = input.shape;
    let guard = (buffer.shape.c - c) / 2;
    let staged = engine.input();
    staged.fill(f32::NAN);
    for (i, &x) in input.values.iter().enumerate() {
        let (image, channel, pixel) = (i / (c * h * w), i / (h * w) % c, i % (h * w));
        staged[image * stride + buffer.layout.index(buffer.shape, guard + channel, pixel / w, pixel % w)] = x;
    }
    let guards: Vec<&str> = (program.outputs.iter().map(|(name, _)| name.as_str()))
        .filter(|name| name.ends_with(".before") || name.ends_with(".behind"))
        .collect();
    let bits = |engine: &Engine| -> Vec<Vec<u32>> {
        let bits = |name| engine.output(name, input.n).unwrap().data().iter().map(|x| x.to_bits()).collect();
        guards.iter().map(|name| bits(*name)).collect()
    };
    let before = bits(&engine);
    engine.run(input.n).unwrap();
    for (name, (before, behind)) in guards.iter().zip(before.iter().zip(bits(&engine))) {
        assert!(*before == behind, "{device}: {name}: the guard was written");
    }
    names.iter().map(|name| engine.output(name, input.n).unwrap().data().to_vec()).collect()
}

/// Demands finite values within [`bound`]; names the worst.
pub(super) fn compare(
    device: &Device,
    what: &str,
    ours: &[f32],
    shape: MapShape,
    wanted: impl Fn(usize, usize, usize, usize) -> f64,
) {
    let MapShape { c, h, w } = shape;
    let (mut error, mut norm, mut worst) = (0.0, 0.0, (0.0, String::new()));
    for (i, &y) in ours.iter().enumerate() {
        let at = (i / (c * h * w), i / (h * w) % c, i / w % h, i % w);
        let wanted = wanted(at.0, at.1, at.2, at.3);
        assert!(y.is_finite(), "{device}: {what}: {y} at {at:?}, expected {wanted}");
        let difference = (f64::from(y) - wanted).abs();
        error += difference * difference;
        norm += wanted * wanted;
        if difference >= worst.0 {
            worst = (difference, format!("{y} for {wanted} at (n, c, h, w) = {at:?}"));
        }
    }
    let relative = (error / norm).sqrt();
    assert!(
        relative <= bound(device),
        "{device}: {what}: relative L2 error {relative:.2e}, worst {}",
        worst.1
    );
}

/// A convolution's sums in float64, N·K·P·Q.
fn conv_sums(input: &Input, k: usize, window: Window, filters: &[f32]) -> Vec<f64> {
    let (r, s) = window.kernel;
    let c = input.shape.c;
    let (p, q) = window.output(input.shape.h, input.shape.w);
    // The window's values once for all output channels.
    let mut sums = vec![0.0; input.n * k * p * q];
    let mut patch = vec![0.0f64; c * r * s];
    for i in 0..input.n * p * q {
        let (image, p_, q_) = (i / (p * q), i / q % p, i % q);
        for (j, value) in patch.iter_mut().enumerate() {
            let h = (p_ * window.stride.0 + j / s % r) as isize - window.padding.0 as isize;
            let w = (q_ * window.stride.1 + j % s) as isize - window.padding.1 as isize;
            *value = input.get(image, j / (r * s), h, w).unwrap_or(0.0);
        }
        for (k_, filter) in filters.chunks_exact(c * r * s).enumerate() {
            let sum = patch.iter().zip(filter).map(|(x, w)| x * f64::from(*w)).sum();
            sums[((image * k + k_) * p + p_) * q + q_] = sum;
        }
    }
    sums
}

/// γ·(x − μ)/√(σ² + ε) + β of channel `k`.
fn batch_norm(weights: &Weights, layer: &str, k: usize, x: f64) -> f64 {
    let of = |name: &str| f64::from(weights.f32(&format!("{layer}.bn.{name}")).unwrap()[k]);
    of("weight") * (x - of("running_mean")) / (of("running_var") + BATCH_NORM_EPS).sqrt() + of("bias")
}

/// One convolution of `parts` on `device`, against float64.
fn check_conv(
    device: &Device,
    target: &Target,
    (n, shape): (usize, MapShape),
    window: Window,
    parts: &[(&str, usize, Epilogue)],
    folded: bool,
) {
    let input = Input::new(n, shape);
    let mut maker = Maker::new(target, shape);
    maker.conv(window, parts, folded);
    let program = maker.finish(n);
    let weights = Weights::random(7, &program.network.parameters()).unwrap();
    let names: Vec<&str> = parts.iter().map(|(layer, ..)| *layer).collect();
    let ours = run(device, &program, &weights, &input, &names);
    let (p, q) = window.output(shape.h, shape.w);
    for (ours, &(layer, k, epilogue)) in ours.iter().zip(parts) {
        let sums = conv_sums(&input, k, window, &weights.f32(&format!("{layer}.conv.weight")).unwrap());
        let what = format!("{n}×{shape:?}, {window:?}, {layer}, {:?}", target.gpu);
        compare(device, &what, ours, MapShape { c: k, h: p, w: q }, |n, k_, p_, q_| {
            let sum = sums[((n * k + k_) * p + p_) * q + q_];
            match (folded, epilogue) {
                (true, Epilogue::BiasRelu) => batch_norm(&weights, layer, k_, sum).max(0.0),
                (true, _) => batch_norm(&weights, layer, k_, sum) - batch_norm(&weights, layer, k_, 0.0),
                (false, _) => sum,
            }
        });
    }
}

pub(super) const fn window(
    kernel: (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
) -> Window {
    Window { kernel, stride, padding }
}

const RELU: Epilogue = Epilogue::BiasRelu;

#[test]
fn every_convolution_of_the_network() {
    let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap();
    let network = network.with_auxiliary_head(true).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for layer in &network.layers {
        let Op::BasicConv2d(w) = layer.op else { continue };
        let (c, k) = (network.layers[layer.inputs[0]].output.c, layer.output.c);
        // The first convolution reads three channels, which only the network's own input has.
        if c == 3 || !seen.insert((c, k, w.kernel, w.stride, w.padding)) {
            continue;
        }
        let n = [1, 2, 3, 5][seen.len() % 4];
        let shape = MapShape { c, h: 5 + seen.len() % 3, w: 8 + seen.len() % 4 };
        for device in devices() {
            check_conv(&device, &device.target(), (n, shape), w, &[("a", k, RELU)], true);
        }
    }
    assert!(seen.len() > 40);
}

#[test]
fn convolutions_in_parts_and_without_batch_norm() {
    let shape = MapShape { c: 48, h: 13, w: 10 };
    let one = window((1, 1), (1, 1), (0, 0));
    let parts = [("a", 64, RELU), ("b", 48, RELU), ("c", 32, Epilogue::None), ("d", 16, RELU)];
    for device in devices() {
        check_conv(&device, &device.target(), (3, shape), one, &parts, true);
        let odd = window((3, 2), (2, 1), (1, 0));
        check_conv(&device, &device.target(), (2, shape), odd, &[("a", 96, Epilogue::None)], false);
        let tall = window((7, 1), (1, 1), (3, 0));
        let low = MapShape { h: 2, ..shape };
        check_conv(&device, &device.target(), (5, low), tall, &[("a", 32, RELU)], true);
        if device.target().gpu.is_some() {
            // Maps by eight channels need no sixteen.
            let (eights, parts) =
                (MapShape { c: 40, ..shape }, [("a", 24, RELU), ("b", 8, RELU), ("c", 56, Epilogue::None)]);
            check_conv(&device, &device.target(), (2, eights), window((3, 3), (2, 2), (0, 1)), &parts, true);
        }
    }
}

#[test]
fn maps_that_do_not_lie_by_eight_channels_are_refused() {
    let one = window((1, 1), (1, 1), (0, 0));
    for device in devices().into_iter().filter(|device| device.target().gpu.is_some()) {
        for (c, k) in [(16, 20), (12, 16)] {
            let mut maker = Maker::new(&device.target(), MapShape { c, h: 1, w: 1 });
            maker.conv(one, &[("a", k, RELU)], true);
            let program = maker.finish(1);
            let weights = Weights::random(1, &program.network.parameters()).unwrap();
            let refused = Engine::new(program, &weights, &device).err().unwrap().to_string();
            assert!(
                refused.contains("a: the kernels take maps by eight channels only"),
                "{device}: {refused}"
            );
        }
    }
}

#[test]
fn every_tile_with_one_slice_and_with_several() {
    let shape = MapShape { c: 80, h: 11, w: 9 };
    let window = window((3, 3), (1, 1), (1, 1));
    for device in devices() {
        let Some(gpu) = device.target().gpu else { continue };
        for &tile in &gpu.tiles {
            // 90 steps of eight terms: in one slice, in slices of unequal length, in as many as there may be.
            for steps in [90, 7, 1] {
                let mut gpu = gpu.clone();
                let cut = TunedCut { tile, steps, us: 0.0 };
                gpu.tuning = Some(Tuning { launches: [("a".to_string(), cut)].into(), ..Tuning::default() });
                let target = Target { gpu: Some(gpu), ..device.target() };
                check_conv(&device, &target, (2, shape), window, &[("a", 160, RELU)], true);
            }
        }
    }
}

#[test]
fn several_convolutions_in_one_launch() {
    for device in devices() {
        let input = Input::new(2, MapShape { c: 64, h: 9, w: 7 });
        let windows =
            [window((1, 7), (1, 1), (0, 3)), window((7, 1), (1, 1), (3, 0)), window((3, 3), (1, 1), (1, 1))];
        let parts = [("a", 96), ("b", 64), ("c", 32)];
        let mut maker = Maker::new(&device.target(), input.shape);
        for (window, (layer, k)) in windows.iter().zip(parts) {
            maker.conv(*window, &[(layer, k, RELU)], true);
        }
        let program = maker.finish(2);
        let weights = Weights::random(9, &program.network.parameters()).unwrap();
        let ours = run(&device, &program, &weights, &input, &["a", "b", "c"]);
        for ((ours, window), (layer, k)) in ours.iter().zip(windows).zip(parts) {
            let sums = conv_sums(&input, k, window, &weights.f32(&format!("{layer}.conv.weight")).unwrap());
            compare(&device, layer, ours, MapShape { c: k, h: 9, w: 7 }, |n, k_, p, q| {
                batch_norm(&weights, layer, k_, sums[((n * k + k_) * 9 + p) * 7 + q]).max(0.0)
            });
        }
    }
}

#[test]
fn pools() {
    let cases = [
        ((7, 10), window((3, 3), (2, 2), (0, 0))),
        ((5, 8), window((3, 3), (1, 1), (1, 1))),
        ((1, 1), window((3, 3), (1, 1), (1, 1))),
        ((4, 9), window((3, 2), (1, 2), (1, 0))),
        ((17, 23), window((5, 5), (3, 3), (0, 0))),
    ];
    for (device, ((h, w), window)) in devices().into_iter().flat_map(|d| cases.map(|case| (d.clone(), case)))
    {
        let average = |padding, bias: bool| {
            PoolKind::Average(Average { padding, bias_relu: bias.then(|| "b".to_string()) })
        };
        let kinds = [
            PoolKind::Max,
            average(AvgPoolPadding::Include, false),
            average(AvgPoolPadding::Exclude, false),
            average(AvgPoolPadding::Include, true),
        ];
        let input = Input::new(3, MapShape { c: 48, h, w });
        let (p, q) = window.output(h, w);
        let shape = MapShape { c: 48, h: p, w: q };
        for (which, kind) in kinds.into_iter().enumerate() {
            let mut maker = Maker::new(&device.target(), input.shape);
            // Owns the bias that one of the pools adds.
            maker.layer(
                "b",
                Op::BasicConv2d(Window { kernel: (1, 1), stride: (1, 1), padding: (0, 0) }),
                shape,
            );
            let output = maker.output("y", shape);
            maker.step("y", StepOp::Pool2d(Pool2d { kind, window, input: maker.input(), output }));
            let program = maker.finish(3);
            let weights = Weights::random(3, &program.network.parameters()).unwrap();
            let ours = run(&device, &program, &weights, &input, &["y"]);
            compare(&device, &format!("{window:?}, kind {which}"), &ours[0], shape, |n, c, p, q| {
                let (r, s) = window.kernel;
                let first = |i: usize, stride: usize, pad: usize| (i * stride) as isize - pad as isize;
                let h = first(p, window.stride.0, window.padding.0);
                let w = first(q, window.stride.1, window.padding.1);
                let inside: Vec<f64> = (0..r * s)
                    .filter_map(|j| input.get(n, c, h + (j / s) as isize, w + (j % s) as isize))
                    .collect();
                let sum: f64 = inside.iter().sum();
                match which {
                    0 => inside.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    1 => sum / (r * s) as f64,
                    2 => sum / inside.len() as f64,
                    _ => (sum / (r * s) as f64 + batch_norm(&weights, "b", c, 0.0)).max(0.0),
                }
            });
        }
    }
}

#[test]
fn elementwise_and_concat() {
    for device in devices() {
        let shape = MapShape { c: 48, h: 5, w: 7 };
        let input = Input::new(3, shape);
        let mut maker = Maker::new(&device.target(), shape);
        let x = maker.input();
        maker.layer("n", Op::BasicConv2d(window((1, 1), (1, 1), (0, 0))), shape);
        let (bn, relu) = (maker.output("bn", shape), maker.output("relu", shape));
        maker.step("bn", StepOp::BatchNorm { layer: "n".into(), input: x, output: bn });
        maker.step("relu", StepOp::Relu { input: x, output: relu });
        // The input's channels in another order: 32 to 47, 0 to 15, 16 to 31.
        let parts = [32, 0, 16].map(|c| View { channel: x.channel + c, channels: 16, ..x });
        let concat = maker.output("concat", shape);
        maker.step("concat", StepOp::Concat { inputs: parts.to_vec(), output: concat });
        let program = maker.finish(3);
        let weights = Weights::random(5, &program.network.parameters()).unwrap();
        let ours = run(&device, &program, &weights, &input, &["bn", "relu", "concat"]);
        let x = |n, c, h: usize, w: usize| input.get(n, c, h as isize, w as isize).unwrap();
        compare(&device, "bn", &ours[0], shape, |n, c, h, w| batch_norm(&weights, "n", c, x(n, c, h, w)));
        compare(&device, "relu", &ours[1], shape, |n, c, h, w| x(n, c, h, w).max(0.0));
        compare(&device, "concat", &ours[2], shape, |n, c, h, w| x(n, (c + 32) % 48, h, w));
    }
}

#[test]
fn global_pool_and_linear() {
    for (device, k) in devices().into_iter().flat_map(|d| [(d.clone(), 1), (d, 21)]) {
        let shape = MapShape { c: 80, h: 3, w: 5 };
        let input = Input::new(5, shape);
        let mut maker = Maker::new(&device.target(), shape);
        let x = maker.input();
        let mean = maker.output("mean", MapShape { h: 1, w: 1, ..shape });
        maker.step("mean", StepOp::GlobalAvgPool { input: x, output: mean });
        let program = maker.finish(5);
        let weights = Weights::random(5, &program.network.parameters()).unwrap();
        let ours = run(&device, &program, &weights, &input, &["mean"]);
        let pixels = |n, c| (0..15).map(move |i| (n, c, i));
        compare(&device, "mean", &ours[0], MapShape { h: 1, w: 1, ..shape }, |n, c, _, _| {
            pixels(n, c).map(|(n, c, i)| input.get(n, c, i / 5, i % 5).unwrap()).sum::<f64>() / 15.0
        });

        let features = MapShape { c: 48, h: 1, w: 1 };
        let input = Input::new(3, features);
        let mut maker = Maker::new(&device.target(), features);
        let logits = MapShape { c: k, h: 1, w: 1 };
        maker.layer("fc", Op::Linear, logits);
        let (x, y) = (maker.input(), maker.plain_output("y", logits));
        maker.step("fc", StepOp::Linear { layer: "fc".into(), learned: None, input: x, output: y });
        let program = maker.finish(3);
        let weights = Weights::random(5, &program.network.parameters()).unwrap();
        let ours = run(&device, &program, &weights, &input, &["y"]);
        let (weight, bias) = (weights.f32("fc.weight").unwrap(), weights.f32("fc.bias").unwrap());
        compare(&device, "linear", &ours[0], logits, |n, k, _, _| {
            let terms = (0..48).map(|c| input.get(n, c, 0, 0).unwrap() * f64::from(weight[k * 48 + c]));
            terms.sum::<f64>() + f64::from(bias[k])
        });
    }
}

#[test]
fn probabilities() {
    let large = [1000.0, 1000.0 + 2.0f32.ln(), 0.0];
    let cases: [(usize, Vec<f32>); 3] = [
        (1, vec![3.0f32.ln(), -1000.0, 90.0]),
        (3, large.to_vec()),
        (70, (0..140).map(|i| 9.0 * value(i)).collect()),
    ];
    for (device, (k, values)) in
        devices().into_iter().flat_map(|d| cases.clone().map(|case| (d.clone(), case)))
    {
        let (n, classes) = (values.len() / k, k.max(2));
        let shape = MapShape { c: k, h: 1, w: 1 };
        let input = Input { n, shape, values };
        let program = Maker::softmax(&device.target(), k).finish(n);
        let weights = Weights::random(1, &program.network.parameters()).unwrap();
        let ours = run(&device, &program, &weights, &input, &["p"]);
        compare(
            &device,
            &format!("softmax of {k}"),
            &ours[0],
            MapShape { c: classes, ..shape },
            |n, k_, _, _| {
                let logits: Vec<f64> = match k {
                    1 => vec![0.0, f64::from(input.values[n])],
                    _ => input.values[n * k..][..k].iter().map(|x| f64::from(*x)).collect(),
                };
                1.0 / logits.iter().map(|x| (x - logits[k_]).exp()).sum::<f64>()
            },
        );
        let sums = ours[0].chunks_exact(classes).map(|p| p.iter().sum::<f32>());
        assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() <= 1e-6), "{device}");
    }
}

#[test]
fn images_are_packed_in_column_pairs() {
    for (device, (h, w)) in devices().into_iter().flat_map(|d| [(d.clone(), (5, 8)), (d, (6, 9))]) {
        if device.target().layout != Layout::Blocked8 {
            continue;
        }
        let shape = MapShape { c: 3, h, w };
        let input = Input::new(2, shape);
        let program = Maker::packing(&device.target(), shape).finish(2);
        let weights = Weights::random(1, &program.network.parameters()).unwrap();
        let ours = run(&device, &program, &weights, &input, &["packed"]);
        compare(&device, "pack", &ours[0], shape, |n, c, h, w| {
            input.get(n, c, h as isize, w as isize).unwrap()
        });
    }
}

/// An image of `channels`, of 8 bits or of 16.
fn picture(height: usize, width: usize, channels: usize, deep: bool) -> Image {
    let values = (0..height * width * channels).map(|i| (i * 7919 + 13) % 65_521);
    match deep {
        true => {
            let samples: Vec<u16> = values.map(|v| v as u16).collect();
            Image::from_pixels_u16(height, width, channels, &samples).unwrap()
        }
        false => {
            let samples: Vec<u8> = values.map(|v| (v % 256) as u8).collect();
            Image::from_pixels(height, width, channels, &samples).unwrap()
        }
    }
}

#[test]
fn crops_are_padded_and_normalised_to_the_same_bits_on_every_device() {
    let size = (11, 15);
    let mean = |channels: usize| {
        let values: Vec<f32> = (0..channels * 11 * 15).map(|i| 127.0 + 100.0 * value(i)).collect();
        let tensor = crate::Tensor::new(&[channels, 11, 15], values).unwrap();
        let file = Weights::from_tensors([("mean", &tensor)].into_iter()).unwrap();
        Normalize::Mean(MeanImage::read(&file, "mean").unwrap())
    };
    let kinds = [Normalize::Tf, Normalize::Imagenet, Normalize::None, mean(1), mean(3)];
    // Smaller, as large, of odd rests, larger; 8 and 16 bits.
    let images = [(4, 7, 1, false), (11, 15, 3, false), (5, 15, 3, true), (23, 9, 1, false), (1, 1, 1, true)];
    let images = images.map(|(h, w, channels, deep)| picture(h, w, channels, deep));
    for (device, normalize) in devices().into_iter().flat_map(|d| kinds.clone().map(|kind| (d.clone(), kind)))
    {
        for fit in [Fit::Pad, Fit::ResizePad] {
            let preprocess =
                Preprocess { size, fit, normalize: normalize.clone(), standardize: fit == Fit::ResizePad };
            let shape = MapShape { c: 3, h: size.0, w: size.1 };
            let program =
                Maker::crops(&device.target(), shape, normalize.normalization()).finish(images.len());
            let weights = Weights::random(1, &program.network.parameters()).unwrap();
            let mut engine = Engine::new(program, &weights, &device).unwrap();
            let mut expected = vec![0.0; images.len() * shape.elements()];
            let (mut room, maps) = (Vec::new(), expected.chunks_exact_mut(shape.elements()));
            for (i, (image, map)) in images.iter().zip(maps).enumerate() {
                preprocess.apply(image, map).unwrap();
                engine.put_crop(i, &preprocess.crop(image, &mut room).unwrap()).unwrap();
            }
            engine.run(images.len()).unwrap();
            let ours = engine.output("ready", images.len()).unwrap();
            let what = format!("{device}, {}, {fit}", normalize.name());
            assert!(ours.data().iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{what}");

            // Finished values are taken as they are.
            let values =
                Crop { height: 11, width: 15, channels: 3, samples: Samples::Values(&expected[..495]) };
            engine.put_crop(0, &values).unwrap();
            engine.run(1).unwrap();
            assert_eq!(engine.output("ready", 1).unwrap().data(), &expected[..495], "{what}");
        }
    }
}

#[test]
fn crops_that_do_not_fit_are_refused() {
    let shape = MapShape { c: 3, h: 5, w: 6 };
    for device in devices() {
        let program = Maker::crops(&device.target(), shape, Normalize::Tf.normalization()).finish(2);
        let weights = Weights::random(1, &program.network.parameters()).unwrap();
        let mut engine = Engine::new(program, &weights, &device).unwrap();
        let bytes = [0; 36];
        let mut put = |image, height, width, channels, count: usize| {
            let samples = Samples::Bytes(&bytes[..count]);
            engine.put_crop(image, &Crop { height, width, channels, samples }).is_ok()
        };
        assert!(put(0, 5, 6, 1, 30) && put(1, 1, 1, 3, 3));
        for (image, height, width, channels, count) in [
            (2, 5, 6, 1, 30),
            (0, 6, 6, 1, 36),
            (0, 5, 7, 1, 35),
            (0, 0, 6, 1, 0),
            (0, 3, 3, 2, 18),
            (0, 3, 3, 3, 26),
        ] {
            assert!(
                !put(image, height, width, channels, count),
                "{image}, {height}×{width}×{channels}, {count}"
            );
        }
    }
}

/// Each image of a batch, and of a batch that is not full, has the bits that it has alone.
#[test]
fn an_image_does_not_depend_on_the_others() {
    let network = Network::inception_v3((75, 81), 3, AvgPoolPadding::Include).unwrap();
    let weights = Weights::random(3, &network.parameters()).unwrap();
    let images: Vec<f32> = (0..3 * 3 * 75 * 81).map(value).collect();
    let one = images.len() / 3;
    for device in devices() {
        let device = match device {
            #[cfg(feature = "sim")]
            Device::Sim { card, threads, tuning, .. } => {
                Device::Sim { card, threads, tuning, checks: super::Checks::Fast }
            }
            other => other,
        };
        let program = Program::lower(&network, &crate::program::Options::new(3, device.target())).unwrap();
        let mut engine = Engine::new(program, &weights, &device).unwrap();
        let mut run = |values: &[f32]| {
            engine.input()[..values.len()].copy_from_slice(values);
            let count = values.len() / one;
            engine.run(count).unwrap();
            let mut logits = vec![f32::NAN; 3 * count];
            engine.logits(count, &mut logits).unwrap();
            logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let alone: Vec<u32> = images.chunks_exact(one).flat_map(&mut run).collect();
        assert_eq!(run(&images), alone, "{device}");
        assert_eq!(run(&images[..2 * one]), alone[..6], "{device}");
        assert!(alone[..3] != alone[3..6], "{device}");
    }
}

#[test]
fn crops_stay_until_others_come_and_wrong_headers_harm_nobody() {
    let network = Network::inception_v3((75, 75), 1, AvgPoolPadding::Include).unwrap();
    let weights = Weights::random(3, &network.parameters()).unwrap();
    for device in devices() {
        let input = crate::program::Input::Crops(Normalize::Tf.normalization());
        let options = crate::program::Options { input, ..crate::program::Options::new(1, device.target()) };
        let mut engine = Engine::new(Program::lower(&network, &options).unwrap(), &weights, &device).unwrap();
        let pixels: Vec<u8> = (0..40 * 30).map(|i| (i % 251) as u8).collect();
        let crop = Crop { height: 40, width: 30, channels: 1, samples: Samples::Bytes(&pixels) };
        engine.put_crop(0, &crop).unwrap();
        let mut logits = [[f32::NAN]; 2];
        for logit in &mut logits {
            engine.run(1).unwrap();
            engine.logits(1, logit).unwrap();
        }
        assert!(logits[0][0].is_finite() && logits[0] == logits[1], "{device}: {logits:?}");
        for header in [[75, 75, 1 << 20, 0], [u32::MAX, 5, 1, 1], [1 << 30, 1 << 30, 3, 7], [0, 0, 0, 0]] {
            let memory: &mut [u32] = bytemuck::cast_slice_mut(engine.input());
            memory[..4].copy_from_slice(&header);
            engine.run(1).unwrap();
        }
    }
}

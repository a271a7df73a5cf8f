//! Convolutions: of the network, in parts, in every tile, several in one launch.

use super::*;
use crate::network::Op;
use crate::program::testing::Maker;
use crate::program::{Target, TunedCut, Tuning};

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

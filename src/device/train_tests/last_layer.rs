//! The last layer with parameters that learn, its gradients, dropout, the loss.

use super::{Bench, close, devices, is_gradient, values, wide};
use crate::device::tests::bound;
use crate::network::MapShape;
use crate::program::testing::Maker;
use crate::program::{Controls, StepOp, TrainOp};

/// Images, C, K.
const CASES: [(usize, usize, usize); 5] = [(3, 48, 1), (3, 80, 21), (1, 2048, 2), (2, 16, 1003), (4, 768, 3)];

fn vector(c: usize) -> MapShape {
    MapShape { c, h: 1, w: 1 }
}

/// y [N,K] of x [N,C] and W [K,C], then b [K].
fn linear(x: &[f64], parameters: &[f64], c: usize) -> Vec<f64> {
    let k = parameters.len() / (c + 1);
    let one = |x: &[f64], k_: usize| {
        let row = &parameters[k_ * c..(k_ + 1) * c];
        x.iter().zip(row).map(|(x, w)| x * w).sum::<f64>() + parameters[k * c + k_]
    };
    x.chunks_exact(c).flat_map(|x| (0..k).map(|k| one(x, k)).collect::<Vec<_>>()).collect()
}

/// dx, and dW with db behind it.
fn linear_backward(x: &[f64], parameters: &[f64], dy: &[f64], c: usize) -> [Vec<f64>; 2] {
    let k = parameters.len() / (c + 1);
    let (mut dx, mut gradients) = (vec![0.0; x.len()], vec![0.0; parameters.len()]);
    for (i, dy) in dy.iter().enumerate() {
        let (n, k_) = (i / k, i % k);
        for c_ in 0..c {
            dx[n * c + c_] += dy * parameters[k_ * c + c_];
            gradients[k_ * c + c_] += dy * x[n * c + c_];
        }
        gradients[k * c + k_] += dy;
    }
    [dx, gradients]
}

#[test]
fn the_last_layer_and_its_gradients() {
    for (device, (n, c, k)) in devices().into_iter().flat_map(|d| CASES.map(|case| (d.clone(), case))) {
        let mut maker = Maker::new(&device.target(), vector(c));
        let input = maker.input();
        let parameters = [maker.given_flat("weight", k * c), maker.given_flat("bias", k)];
        let gradients = [maker.flat_output("dw", k * c), maker.flat_output("db", k)];
        let last = [maker.flat_output("last dw", k * c), maker.flat_output("last db", k)];
        let dy = maker.given_plain("dy", k);
        let (y, dx) = (maker.plain_output("y", vector(k)), maker.output("dx", vector(c)));
        let layer = || "fc".to_string();
        let learned = Some(parameters);
        maker.step("y", StepOp::Linear { layer: layer(), learned, input, output: y });
        for (name, dx, gradients) in [("both", Some(dx), gradients), ("gradients", None, last)] {
            let op = TrainOp::LinearBackward { layer: layer(), input, dy, dx, parameters, gradients };
            maker.step(name, StepOp::Train(op));
        }
        let mut bench = Bench::new(&device, maker, 4);
        let (x, w, g) = (values(1, n * c), values(2, k * (c + 1)), values(3, n * k));
        bench.put(input, &x);
        bench.put(parameters[0], &w[..k * c]);
        bench.put(parameters[1], &w[k * c..]);
        bench.put(dy, &g);
        let [dw, db] = gradients;
        let ours = bench.run(n, &[y, dx, dw, db, last[0], last[1]]);
        let (x, w, g) = (wide(&x), wide(&w), wide(&g));
        let what = |what: &str| format!("{what} of {n}×{c}, {k} outputs");
        close(&device, &what("y"), &ours[0], &linear(&x, &w, c), bound(&device));
        let [dx, gradients] = linear_backward(&x, &w, &g, c);
        close(&device, &what("dx"), &ours[1], &dx, bound(&device));
        close(&device, &what("dW, db"), &ours[2..4].concat(), &gradients, bound(&device));
        close(&device, &what("dW, db alone"), &ours[4..].concat(), &gradients, bound(&device));
    }
}

/// −Σ t·log p; p of the logits, one of which counts as the two logits 0 and x.
fn loss(logits: &[f64], targets: &[f64], k: usize) -> f64 {
    let classes = k.max(2);
    let one = |(x, t): (&[f64], &[f64])| {
        let x = if k == 1 { vec![0.0, x[0]] } else { x.to_vec() };
        let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = x.iter().map(|x| (x - largest).exp()).sum();
        -x.iter().zip(t).map(|(x, t)| t * (x - largest - sum.ln())).sum::<f64>()
    };
    logits.chunks_exact(k).zip(targets.chunks_exact(classes)).map(one).sum()
}

fn loss_gradient(logits: &[f64], targets: &[f64], k: usize) -> Vec<f64> {
    let classes = k.max(2);
    let one = |(x, t): (&[f64], &[f64])| {
        let x = if k == 1 { vec![0.0, x[0]] } else { x.to_vec() };
        let weight: f64 = t.iter().sum();
        let p = |k: usize| 1.0 / x.iter().map(|other| (other - x[k]).exp()).sum::<f64>();
        (classes - k..classes).map(|k| p(k) * weight - t[k]).collect::<Vec<_>>()
    };
    logits.chunks_exact(k).zip(targets.chunks_exact(classes)).flat_map(one).collect()
}

#[test]
fn losses() {
    // Logits so far apart that probabilities are 0 and 1; weights of one class, and of several that do not add up to 1.
    for (device, (n, k, scale)) in devices().into_iter().flat_map(|d| {
        [(3, 1, 2.0), (4, 1, 80.0), (3, 2, 5.0), (4, 5, 200.0), (2, 70, 1.0), (1, 1000, 3.0)]
            .map(|case| (d.clone(), case))
    }) {
        let classes = k.max(2);
        let mut maker = Maker::new(&device.target(), vector(16));
        let (logits, targets) = (maker.given_plain("logits", k), maker.given_plain("targets", classes));
        let loss_at = maker.flat_output("loss", 1);
        let gradient = maker.plain_output("gradient", vector(k));
        let op = TrainOp::Loss { logits, targets, loss: loss_at, gradient };
        maker.step("loss", StepOp::Train(op));
        let mut bench = Bench::new(&device, maker, 4);
        let x: Vec<f32> = values(1, n * k).iter().map(|x| x * scale).collect();
        let hard = (0..n * classes).map(|i| if i % classes == i / classes % 2 { 0.25 } else { 0.0 });
        let soft = values(2, n * classes).into_iter().map(|t| (t + 1.0) / 3.0);
        for (name, t) in [("hard", hard.collect::<Vec<f32>>()), ("soft", soft.collect())] {
            bench.put(logits, &x);
            bench.put(targets, &t);
            let ours = bench.run(n, &[loss_at, gradient]);
            let what = format!("{name} loss of {n}×{k}, logits up to {scale}");
            let (x, t) = (wide(&x), wide(&t));
            close(&device, &what, &ours[0], &[loss(&x, &t, k)], bound(&device));
            close(
                &device,
                &format!("gradient of {what}"),
                &ours[1],
                &loss_gradient(&x, &t, k),
                bound(&device),
            );
        }
    }
}

#[test]
fn the_references_are_gradients_of_the_forward_formulas() {
    let (n, c, k) = (3, 7, 4);
    let (x, w, g) = (wide(&values(1, n * c)), wide(&values(2, k * (c + 1))), wide(&values(3, n * k)));
    let sum = |x: &[f64], w: &[f64]| linear(x, w, c).iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
    let [dx, gradients] = linear_backward(&x, &w, &g, c);
    is_gradient("dx", &x, &dx, |x| sum(x, &w));
    is_gradient("dW, db", &w, &gradients, |w| sum(&x, w));
    for k in [1, 2, 5] {
        let (x, t) = (wide(&values(1, n * k)), wide(&values(2, n * k.max(2))));
        is_gradient("loss", &x, &loss_gradient(&x, &t, k), |x| loss(x, &t, k));
    }
}

/// The word of Philox4x32-10 for value `i`, from the paper's own notation: S-box rounds of two 32×32-bit products.
fn philox(i: u32, seed: u32, step: u32) -> u32 {
    let mut l = [i / 4, 0];
    let mut r = [0u32, 0];
    let multipliers = [0xD251_1F53u64, 0xCD9E_8D57];
    for round in 0..10u32 {
        let key = [
            seed.wrapping_add(round.wrapping_mul(0x9E37_79B9)),
            step.wrapping_add(round.wrapping_mul(0xBB67_AE85)),
        ];
        let product = [multipliers[0] * u64::from(l[0]), multipliers[1] * u64::from(l[1])];
        let high = product.map(|p| (p >> 32) as u32);
        let low = product.map(|p| p as u32);
        l = [high[1] ^ r[0] ^ key[0], high[0] ^ r[1] ^ key[1]];
        r = [low[1], low[0]];
    }
    [l[0], r[0], l[1], r[1]][i as usize % 4]
}

#[test]
fn dropout() {
    for device in devices() {
        let shape = vector(2048);
        let mut maker = Maker::new(&device.target(), shape);
        let (input, output) = (maker.input(), maker.output("y", shape));
        let controls = maker.given_flat("controls", Controls::WORDS);
        let op = TrainOp::Dropout { input, output, controls, keep: 0.8 };
        maker.step("y", StepOp::Train(op));
        let mut bench = Bench::new(&device, maker, 4);
        let x = values(1, 3 * 2048);
        bench.put(input, &x);
        for (seed, step) in [(0, 0), (7, 1), (u32::MAX, 3_000_000_000)] {
            bench.put(controls, &Controls { seed, step, ..Controls::default() }.words());
            let ours = bench.run(3, &[output]).swap_remove(0);
            let kept =
                |i: usize| f64::from(philox(i as u32, seed, step)) < f64::from(0.8f32) * 4_294_967_296.0;
            for (i, (y, x)) in ours.iter().zip(&x).enumerate() {
                let wanted = if kept(i) { x * (1.0 / 0.8f32) } else { 0.0 };
                assert_eq!(*y, wanted, "{device}: value {i}, seed {seed}, step {step}");
            }
            // Within five standard deviations.
            let share = ours.iter().filter(|y| **y != 0.0).count() as f64 / 6144.0;
            assert!((share - 0.8).abs() < 5.0 * (0.8 * 0.2 / 6144.0f64).sqrt(), "{device}: {share}");
        }
    }
}

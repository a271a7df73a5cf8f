//! The norm of all gradients, and the update.

use super::{Bench, close, devices, values, wide};
use crate::device::tests::bound;
use crate::network::MapShape;
use crate::program::testing::Maker;
use crate::program::{Controls, StepOp, TrainOp};

/// Not a multiple of anything, larger than what one unit or one round of all thread blocks takes.
const COUNTS: [usize; 4] = [1, 1001, 40_007, 300_003];

fn maker(device: &crate::device::Device) -> Maker {
    Maker::new(&device.target(), MapShape { c: 16, h: 1, w: 1 })
}

#[test]
fn gradient_norms() {
    for (device, count) in devices().into_iter().flat_map(|d| COUNTS.map(|count| (d.clone(), count))) {
        let mut maker = maker(&device);
        let gradients = maker.given_flat("gradients", count);
        let norm = maker.flat_output("norm", 1);
        maker.step("norm", StepOp::Train(TrainOp::GradientNorm { gradients, norm, cut: None }));
        let mut bench = Bench::new(&device, maker, 1);
        // Squares far below the smallest float32, and far above the largest.
        for scale in [1.0, 1e-25, 1e20] {
            let g: Vec<f32> = values(1, count).iter().map(|g| g * scale).collect();
            bench.put(gradients, &g);
            let wanted = wide(&g).iter().map(|g| g * g).sum::<f64>().sqrt();
            for _ in 0..2 {
                let ours = bench.run(1, &[norm]);
                close(
                    &device,
                    &format!("norm of {count} up to {scale}"),
                    &ours[0],
                    &[wanted],
                    bound(&device),
                );
            }
        }
    }
}

/// w and v after one step.
fn step(w: &[f64], g: &[f64], v: &[f64], norm: f64, controls: &Controls) -> [Vec<f64>; 2] {
    let [lr, mu, decay] = [controls.lr, controls.momentum, controls.weight_decay].map(f64::from);
    let scale = controls.clip_norm.map_or(1.0, |clip| (f64::from(clip) / norm).min(1.0));
    let one = |((w, g), v): ((&f64, &f64), &f64)| {
        let g = g * scale + decay * w;
        let v = mu * v + g;
        let along = if controls.nesterov { g + mu * v } else { v };
        (w - lr * along, v)
    };
    let (w, v) = w.iter().zip(g).zip(v).map(one).unzip();
    [w, v]
}

#[test]
fn updates() {
    let plain = Controls { lr: 0.1, ..Controls::default() };
    let usual = Controls { momentum: 0.9, weight_decay: 1e-2, ..plain };
    let all = [
        plain,
        usual,
        Controls { nesterov: true, ..usual },
        Controls { clip_norm: Some(0.5), ..usual },
        Controls { clip_norm: Some(1e9), nesterov: true, ..usual },
    ];
    for (device, count) in devices().into_iter().flat_map(|d| COUNTS.map(|count| (d.clone(), count))) {
        let mut maker = maker(&device);
        let [parameters, gradients, momentum] = ["w", "g", "v"].map(|name| maker.given_flat(name, count));
        let (norm, controls) = (maker.given_flat("norm", 1), maker.given_flat("controls", Controls::WORDS));
        let op = TrainOp::Update { parameters, gradients, momentum, norm, controls };
        maker.step("update", StepOp::Train(op));
        let mut bench = Bench::new(&device, maker, 1);
        let (w, g, v) = (values(1, count), values(2, count), values(3, count));
        bench.put(gradients, &g);
        for (which, own) in all.iter().enumerate() {
            bench.put(parameters, &w);
            bench.put(momentum, &v);
            bench.put(norm, &[7.5]);
            bench.put(controls, &own.words());
            let ours = bench.run(1, &[parameters, momentum]);
            let wanted = step(&wide(&w), &wide(&g), &wide(&v), 7.5, own);
            for (name, (ours, wanted)) in ["w", "v"].into_iter().zip(ours.iter().zip(&wanted)) {
                close(&device, &format!("{name} of {count}, number {which}"), ours, wanted, bound(&device));
            }
        }
    }
}

#[test]
fn no_gradient_no_step() {
    for device in devices() {
        let mut maker = maker(&device);
        let [parameters, gradients, momentum] = ["w", "g", "v"].map(|name| maker.given_flat(name, 5));
        let (norm, controls) = (maker.given_flat("norm", 1), maker.given_flat("controls", Controls::WORDS));
        let op = TrainOp::Update { parameters, gradients, momentum, norm, controls };
        maker.step("update", StepOp::Train(op));
        let mut bench = Bench::new(&device, maker, 1);
        let w = values(1, 5);
        bench.put(parameters, &w);
        bench.put(gradients, &[0.0; 5]);
        bench.put(momentum, &[0.0; 5]);
        bench.put(norm, &[0.0]);
        bench.put(controls, &Controls { clip_norm: Some(1.0), ..Controls::default() }.words());
        assert_eq!(bench.run(1, &[parameters, momentum]), [w, vec![0.0; 5]], "{device}");
    }
}

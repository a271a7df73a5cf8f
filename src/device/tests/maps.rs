//! Pools, batch norm, ReLU, concat, the last layer, probabilities.

use super::*;
use crate::network::Op;
use crate::program::testing::Maker;
use crate::program::{Average, Pool2d, PoolKind, StepOp, View};

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

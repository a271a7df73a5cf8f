//! Gradients of ReLU and of a concat.

use super::{Bench, close, devices, is_gradient, values, wide};
use crate::device::tests::bound;
use crate::network::MapShape;
use crate::program::testing::Maker;
use crate::program::{GradientCopy, StepOp, TrainOp, View};

/// Images that are run of a batch of four, and a map; one of more quads than a thread block has threads.
const CASES: [(usize, MapShape); 3] = [
    (3, MapShape { c: 48, h: 5, w: 7 }),
    (2, MapShape { c: 16, h: 31, w: 23 }),
    (1, MapShape { c: 2048, h: 1, w: 2 }),
];

#[test]
fn gradient_of_relu() {
    for (device, (n, shape)) in devices().into_iter().flat_map(|d| CASES.map(|case| (d.clone(), case))) {
        let mut maker = Maker::new(&device.target(), shape);
        let output = maker.input();
        let (dy, dx) = (maker.given("dy", shape), maker.output("dx", shape));
        let added = maker.given("added", shape);
        for (name, dx, accumulate) in [("dx", dx, false), ("added", added, true)] {
            let op = TrainOp::ReluBackward { output, dy, dx, accumulate };
            maker.step(name, StepOp::Train(op));
        }
        let mut bench = Bench::new(&device, maker, 4);
        // Where x ≤ 0 ReLU gave 0, of either sign; where it gave no number the gradient goes on.
        let relu = |(i, x): (usize, &f32)| match i % 29 {
            7 => f32::NAN,
            8 => -0.0,
            _ => x.max(0.0),
        };
        let y: Vec<f32> = values(1, n * shape.elements()).iter().enumerate().map(relu).collect();
        let (gradient, before) = (values(2, y.len()), values(3, y.len()));
        bench.put(output, &y);
        bench.put(dy, &gradient);
        bench.put(added, &before);
        let ours = bench.run(n, &[dx, added]);

        let passed = |(y, dy): (&f32, &f32)| if *y > 0.0 || y.is_nan() { f64::from(*dy) } else { 0.0 };
        let wanted: Vec<f64> = y.iter().zip(&gradient).map(passed).collect();
        let what = format!("{n}×{shape:?}");
        close(&device, &what, &ours[0], &wanted, 0.0);
        let wanted: Vec<f64> = wanted.iter().zip(&before).map(|(g, b)| g + f64::from(*b)).collect();
        close(&device, &format!("{what}, added"), &ours[1], &wanted, bound(&device));
    }
}

/// Of a concat of four the gradients of three inputs, the first of which is added to.
#[test]
fn gradient_of_a_concat() {
    let ranges = [(0, 48), (48, 16), (96, 32)];
    for (device, (n, shape)) in devices().into_iter().flat_map(|d| CASES.map(|case| (d.clone(), case))) {
        let whole = MapShape { c: 128, ..shape };
        let part = |c: usize| MapShape { c, ..shape };
        let mut maker = Maker::new(&device.target(), whole);
        let dy = maker.input();
        let added = maker.given("added", part(48));
        let dxs = [added, maker.output("second", part(16)), maker.output("last", part(32))];
        let copy = |(i, (first, channels)): (usize, (usize, usize))| GradientCopy {
            dy: View { channel: dy.channel + first, channels, ..dy },
            dx: dxs[i],
            accumulate: i == 0,
        };
        let parts = ranges.into_iter().enumerate().map(copy).collect();
        maker.step("dx", StepOp::Train(TrainOp::ConcatBackward { parts }));
        let mut bench = Bench::new(&device, maker, 4);
        let (gradient, before) = (values(1, n * whole.elements()), values(2, n * part(48).elements()));
        bench.put(dy, &gradient);
        bench.put(added, &before);
        let ours = bench.run(n, &dxs);

        let pixels = shape.h * shape.w;
        for (i, (first, channels)) in ranges.into_iter().enumerate() {
            let image = |image: usize| {
                let first = (image * 128 + first) * pixels;
                gradient[first..first + channels * pixels].iter().map(|g| f64::from(*g))
            };
            let mut wanted: Vec<f64> = (0..n).flat_map(image).collect();
            if i == 0 {
                wanted.iter_mut().zip(&before).for_each(|(g, b)| *g += f64::from(*b));
            }
            let bound = if i == 0 { bound(&device) } else { 0.0 };
            close(&device, &format!("{n}×{shape:?}, input {i}"), &ours[i], &wanted, bound);
        }
    }
}

#[test]
fn the_reference_is_the_gradient_of_the_forward_formula() {
    let (x, dy) = (wide(&values(1, 500)), wide(&values(2, 500)));
    let gradient: Vec<f64> = x.iter().zip(&dy).map(|(x, dy)| if *x > 0.0 { *dy } else { 0.0 }).collect();
    is_gradient("dx", &x, &gradient, |x| x.iter().zip(&dy).map(|(x, dy)| x.max(0.0) * dy).sum());
}

//! Gradients of pools.

use super::{Bench, close, devices, is_gradient, values, wide};
use crate::device::tests::{bound, window};
use crate::network::{AvgPoolPadding, MapShape, Window};
use crate::program::testing::Maker;
use crate::program::{PoolBackward, StepOp, TrainOp};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Max,
    Average(AvgPoolPadding),
}

const KINDS: [Kind; 3] =
    [Kind::Max, Kind::Average(AvgPoolPadding::Include), Kind::Average(AvgPoolPadding::Exclude)];

/// The network's windows, and others.
fn windows() -> [((usize, usize), Window); 9] {
    [
        ((9, 12), window((3, 3), (2, 2), (0, 0))),
        ((7, 5), window((3, 3), (1, 1), (1, 1))),
        ((6, 11), window((1, 7), (1, 2), (0, 3))),
        ((11, 6), window((7, 1), (3, 1), (2, 0))),
        ((5, 8), window((2, 3), (3, 4), (1, 0))),
        ((33, 34), window((3, 3), (2, 2), (0, 0))),
        // The auxiliary head's.
        ((17, 20), window((5, 5), (3, 3), (0, 0))),
        ((13, 6), window((5, 5), (3, 3), (0, 0))),
        // More windows than a thread block looks at in a round.
        ((3, 611), window((3, 3), (1, 1), (1, 1))),
    ]
}

/// A pool over N·C planes.
struct Pool {
    kind: Kind,
    window: Window,
    planes: usize,
    size: (usize, usize),
}

impl Pool {
    /// The gradient of each window's value, and where in the plane of x it goes with which weight.
    fn visit(&self, x: &[f64], mut give: impl FnMut(usize, usize, f64)) {
        let ((h, w), (p, q)) = (self.size, self.window.output(self.size.0, self.size.1));
        let Window { kernel: (r, s), stride, padding } = self.window;
        for to in 0..self.planes * p * q {
            let (plane, p_, q_) = (to / (p * q), to / q % p, to % q);
            let pixel = |tap: usize| {
                let row = (p_ * stride.0 + tap / s).checked_sub(padding.0).filter(|row| *row < h)?;
                let column = (q_ * stride.1 + tap % s).checked_sub(padding.1).filter(|c| *c < w)?;
                Some((plane * h + row) * w + column)
            };
            let inside: Vec<usize> = (0..r * s).filter_map(pixel).collect();
            match self.kind {
                Kind::Max => {
                    let mut best = inside[0];
                    for &at in &inside[1..] {
                        best = if x[at] > x[best] || x[at].is_nan() { at } else { best };
                    }
                    give(best, to, 1.0);
                }
                Kind::Average(padding) => {
                    let whole = padding == AvgPoolPadding::Include;
                    let share = 1.0 / if whole { r * s } else { inside.len() } as f64;
                    inside.iter().for_each(|&at| give(at, to, share));
                }
            }
        }
    }

    fn backward(&self, x: &[f64], dy: &[f64], before: &[f64]) -> Vec<f64> {
        let mut dx = before.to_vec();
        self.visit(x, |at, to, weight| dx[at] += weight * dy[to]);
        dx
    }

    fn loss(&self, x: &[f64], dy: &[f64]) -> f64 {
        let mut loss = 0.0;
        self.visit(x, |at, to, weight| loss += weight * x[at] * dy[to]);
        loss
    }
}

/// Values of x: all different, many the same, or some of them NaN.
fn xs(count: usize) -> [Vec<f32>; 3] {
    let x = values(1, count);
    let few = x.iter().map(|x| (x * 2.0).round()).collect();
    let nans = x.iter().map(|x| if *x > 0.8 { f32::NAN } else { *x }).collect();
    [x, few, nans]
}

#[test]
fn gradients_of_pools() {
    let n = 3;
    let cases = windows().into_iter().flat_map(|window| KINDS.map(|kind| (window, kind)));
    for (device, ((size, window), kind)) in
        devices().into_iter().flat_map(|d| cases.clone().map(move |c| (d.clone(), c)))
    {
        let shape = MapShape { c: 48, h: size.0, w: size.1 };
        let (p, q) = window.output(size.0, size.1);
        let small = MapShape { c: 48, h: p, w: q };
        let which = if kind == Kind::Max { 3 } else { 1 };
        for (number, x) in xs(n * shape.elements()).into_iter().take(which).enumerate() {
            let mut maker = Maker::new(&device.target(), shape);
            let input = maker.input();
            let (dy, dx) = (maker.given("dy", small), maker.output("dx", shape));
            let added = maker.given("added", shape);
            let backward = match kind {
                Kind::Max => PoolBackward::Max { input },
                Kind::Average(padding) => PoolBackward::Average(padding),
            };
            for (name, dx, accumulate) in [("dx", dx, false), ("added", added, true)] {
                let op = TrainOp::Pool2dBackward { kind: backward, window, dy, dx, accumulate };
                maker.step(name, StepOp::Train(op));
            }
            let mut bench = Bench::new(&device, maker, 4);
            let (gradient, before) = (values(2, n * small.elements()), values(3, x.len()));
            bench.put(input, &x);
            bench.put(dy, &gradient);
            bench.put(added, &before);
            let ours = bench.run(n, &[dx, added]);
            let pool = Pool { kind, window, planes: n * 48, size };
            let what = format!("{kind:?}, {window:?}, x number {number}");
            let (x, gradient) = (wide(&x), wide(&gradient));
            let wanted = pool.backward(&x, &gradient, &vec![0.0; x.len()]);
            close(&device, &what, &ours[0], &wanted, bound(&device));
            let wanted = pool.backward(&x, &gradient, &wide(&before));
            close(&device, &format!("{what}, added"), &ours[1], &wanted, bound(&device));
        }
    }
}

#[test]
fn the_reference_is_the_gradient_of_the_forward_formula() {
    for ((size, window), kind) in windows().into_iter().flat_map(|window| KINDS.map(|kind| (window, kind))) {
        let pool = Pool { kind, window, planes: 2, size };
        let (p, q) = window.output(size.0, size.1);
        let (x, dy) = (wide(&values(1, 2 * size.0 * size.1)), wide(&values(2, 2 * p * q)));
        let gradient = pool.backward(&x, &dy, &vec![0.0; x.len()]);
        is_gradient(&format!("{kind:?}, {window:?}"), &x, &gradient, |x| pool.loss(x, &dy));
    }
}

#[test]
fn gradient_of_the_global_mean() {
    for device in devices() {
        let shape = MapShape { c: 80, h: 3, w: 5 };
        let one = MapShape { h: 1, w: 1, ..shape };
        let mut maker = Maker::new(&device.target(), one);
        let (dy, dx) = (maker.input(), maker.output("dx", shape));
        maker.step("dx", StepOp::Train(TrainOp::GlobalAvgPoolBackward { dy, dx }));
        let mut bench = Bench::new(&device, maker, 4);
        let gradient = values(1, 3 * 80);
        bench.put(dy, &gradient);
        let wanted: Vec<f64> =
            gradient.iter().flat_map(|dy| std::iter::repeat_n(f64::from(*dy) / 15.0, 15)).collect();
        close(&device, "dx", &bench.run(3, &[dx])[0], &wanted, bound(&device));
    }
}

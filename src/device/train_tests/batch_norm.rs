//! Batch norm by the batch's own statistics, with ReLU and without.

use super::{Bench, close, devices, is_gradient, values, wide};
use crate::device::Device;
use crate::device::tests::bound;
use crate::network::{BATCH_NORM_EPS, MapShape};
use crate::program::testing::Maker;
use crate::program::{StepOp, TrainOp};

/// Images that are run of a batch of four, and a map. One is larger than a thread block's or a unit's share of the sum, one the
/// network's last.
const CASES: [(usize, MapShape); 5] = [
    (3, MapShape { c: 48, h: 5, w: 7 }),
    (2, MapShape { c: 16, h: 61, w: 83 }),
    (4, MapShape { c: 32, h: 1, w: 1 }),
    (1, MapShape { c: 80, h: 9, w: 2 }),
    (4, MapShape { c: 16, h: 8, w: 8 }),
];

/// What a batch norm reads and gives, N·C·H·W, in float64.
struct Reference {
    n: usize,
    shape: MapShape,
    z: Vec<f64>,
    parameters: Vec<f64>,
    relu: bool,
}

impl Reference {
    /// Channel of value `i`.
    fn channel(&self, i: usize) -> usize {
        i / (self.shape.h * self.shape.w) % self.shape.c
    }

    fn count(&self) -> f64 {
        (self.n * self.shape.h * self.shape.w) as f64
    }

    /// Σ of `value` over each channel.
    fn sums(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.shape.c];
        (0..self.z.len()).for_each(|i| sums[self.channel(i)] += value(i));
        sums
    }

    /// Mean, then variance.
    fn moments(&self) -> [Vec<f64>; 2] {
        let mean: Vec<f64> = self.sums(|i| self.z[i]).iter().map(|sum| sum / self.count()).collect();
        let squares = self.sums(|i| (self.z[i] - mean[self.channel(i)]).powi(2));
        [mean, squares.iter().map(|sum| sum / self.count()).collect()]
    }

    /// Mean, then 1/√(variance + ε).
    fn stats(&self) -> Vec<f64> {
        let [mean, variance] = self.moments();
        mean.into_iter().chain(variance.iter().map(|v| 1.0 / (v + BATCH_NORM_EPS).sqrt())).collect()
    }

    /// ẑ of value `i` and γ·ẑ + β.
    fn value(&self, stats: &[f64], i: usize) -> (f64, f64) {
        let (c, channels) = (self.channel(i), self.shape.c);
        let normal = (self.z[i] - stats[c]) * stats[channels + c];
        (normal, normal * self.parameters[c] + self.parameters[channels + c])
    }

    fn forward(&self, stats: &[f64]) -> Vec<f64> {
        let floor = if self.relu { 0.0 } else { f64::NEG_INFINITY };
        (0..self.z.len()).map(|i| self.value(stats, i).1.max(floor)).collect()
    }

    /// Whether the gradient of a value γ·ẑ + β goes on.
    fn passes(&self, value: f64) -> bool {
        value > 0.0 || !self.relu
    }

    /// dγ, then dβ.
    fn sums_backward(&self, stats: &[f64], dy: &[f64]) -> Vec<f64> {
        let g = |i: usize| if self.passes(self.value(stats, i).1) { dy[i] } else { 0.0 };
        let gamma = self.sums(|i| g(i) * self.value(stats, i).0);
        gamma.into_iter().chain(self.sums(g)).collect()
    }

    fn backward(&self, stats: &[f64], sums: &[f64], dy: &[f64]) -> Vec<f64> {
        let channels = self.shape.c;
        let one = |i: usize| {
            let ((normal, y), c) = (self.value(stats, i), self.channel(i));
            let g = if self.passes(y) { dy[i] } else { 0.0 };
            let rest = g - sums[channels + c] / self.count() - normal * sums[c] / self.count();
            self.parameters[c] * stats[channels + c] * rest
        };
        (0..self.z.len()).map(one).collect()
    }
}

/// z about `offset`, γ of both signs, β.
fn inputs(n: usize, shape: MapShape, offset: f32) -> (Vec<f32>, Vec<f32>) {
    let z = values(1, n * shape.elements()).iter().map(|z| z + offset).collect();
    let gamma = values(2, shape.c).iter().map(|g| 1.1 + g).collect::<Vec<_>>();
    let signs = gamma.iter().enumerate().map(|(c, g)| if c % 5 == 4 { -g } else { *g });
    (z, signs.chain(values(3, shape.c)).collect())
}

fn reference(n: usize, shape: MapShape, z: &[f32], parameters: &[f32], relu: bool) -> Reference {
    Reference { n, shape, z: wide(z), parameters: wide(parameters), relu }
}

fn float32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

#[test]
fn statistics() {
    for (device, (n, shape)) in devices().into_iter().flat_map(|d| CASES.map(|case| (d.clone(), case))) {
        // Of a mean a hundred times the deviation as well.
        for offset in [0.0, -40.0] {
            let mut maker = Maker::new(&device.target(), shape);
            let stats = maker.flat_output("stats", 2 * shape.c);
            let running = maker.given_flat("running", 2 * shape.c);
            let (input, layer) = (maker.input(), "n".to_string());
            let op = TrainOp::BatchNormStats { layer, input, stats, running, momentum: 0.1, cut: None };
            maker.step("stats", StepOp::Train(op));
            let mut bench = Bench::new(&device, maker, 4);
            let (z, parameters) = inputs(n, shape, offset);
            let before = values(4, 2 * shape.c);
            bench.put(input, &z);
            bench.put(running, &before);
            let ours = bench.run(n, &[stats, running]);

            let reference = reference(n, shape, &z, &parameters, true);
            let [mean, variance] = reference.moments();
            let unbiased = variance.iter().map(|v| v * reference.count() / (reference.count() - 1.0));
            let new: Vec<f64> = mean.iter().copied().chain(unbiased).collect();
            let kept: Vec<f64> =
                before.iter().zip(&new).map(|(a, b)| 0.9 * f64::from(*a) + 0.1 * b).collect();
            let c = shape.c;
            let wanted = reference.stats();
            let what = |what: &str| format!("{what} of {n}×{shape:?} about {offset}");
            close(&device, &what("mean"), &ours[0][..c], &wanted[..c], bound(&device));
            close(&device, &what("1/√"), &ours[0][c..], &wanted[c..], bound(&device));
            close(&device, &what("running mean"), &ours[1][..c], &kept[..c], bound(&device));
            close(&device, &what("running variance"), &ours[1][c..], &kept[c..], bound(&device));
        }
    }
}

/// The three passes that read statistics, on statistics and sums that are given.
fn check_passes(device: &Device, n: usize, shape: MapShape, relu: bool) {
    let (z, parameters) = inputs(n, shape, 0.25);
    let reference = reference(n, shape, &z, &parameters, relu);
    let dy = values(5, z.len());
    let stats = float32(&reference.stats());
    let sums = float32(&reference.sums_backward(&wide(&stats), &wide(&dy)));

    let mut maker = Maker::new(&device.target(), shape);
    let input = maker.input();
    let [stats_at, parameters_at] = ["stats", "parameters"].map(|name| maker.given_flat(name, 2 * shape.c));
    let sums_at = maker.given_flat("sums", 2 * shape.c);
    let dy_at = maker.given("dy", shape);
    let [y_at, dz_at] = ["y", "dz"].map(|name| maker.output(name, shape));
    let gradients = maker.flat_output("gradients", 2 * shape.c);
    let layer = || "n".to_string();
    let op = TrainOp::Normalize {
        layer: layer(),
        input,
        stats: stats_at,
        parameters: parameters_at,
        relu,
        output: y_at,
    };
    maker.step("y", StepOp::Train(op));
    let op = TrainOp::NormalizeSums {
        layer: layer(),
        input,
        stats: stats_at,
        parameters: parameters_at,
        relu,
        dy: dy_at,
        gradients,
        cut: None,
    };
    maker.step("sums", StepOp::Train(op));
    let op = TrainOp::NormalizeBackward {
        layer: layer(),
        input,
        stats: stats_at,
        parameters: parameters_at,
        relu,
        gradients: sums_at,
        dy: dy_at,
        dz: dz_at,
    };
    maker.step("dz", StepOp::Train(op));
    let mut bench = Bench::new(device, maker, 4);
    bench.put(input, &z);
    bench.put(dy_at, &dy);
    bench.put(stats_at, &stats);
    bench.put(parameters_at, &parameters);
    bench.put(sums_at, &sums);
    let ours = bench.run(n, &[y_at, gradients, dz_at]);

    let (stats, dy) = (wide(&stats), wide(&dy));
    let what = |what: &str| format!("{what} of {n}×{shape:?}, ReLU {relu}");
    close(device, &what("y"), &ours[0], &reference.forward(&stats), bound(device));
    close(device, &what("sums"), &ours[1], &reference.sums_backward(&stats, &dy), bound(device));
    close(device, &what("dz"), &ours[2], &reference.backward(&stats, &wide(&sums), &dy), bound(device));
    // Of two runs every bit is the same.
    let again = bench.run(n, &[y_at, gradients, dz_at]);
    let bits = |all: &[Vec<f32>]| all.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(bits(&ours) == bits(&again), "{device}: {n}×{shape:?}: another run, other bits");
}

#[test]
fn normalize_and_its_gradients() {
    for (device, (n, shape)) in devices().into_iter().flat_map(|d| CASES.map(|case| (d.clone(), case))) {
        for relu in [true, false] {
            check_passes(&device, n, shape, relu);
        }
    }
}

/// Statistics and sums by units that several threads share.
#[cfg(feature = "cpu")]
#[test]
fn no_bit_depends_on_the_number_of_threads() {
    let (n, shape) = (4, MapShape { c: 32, h: 61, w: 83 });
    let bits = [1, 2, 5].map(|threads| {
        let mut maker = Maker::new(&crate::program::Target::cpu(), shape);
        let input = maker.input();
        let stats = maker.flat_output("stats", 64);
        let running = maker.given_flat("running", 64);
        let layer = "n".to_string();
        let op = TrainOp::BatchNormStats { layer, input, stats, running, momentum: 0.1, cut: None };
        maker.step("stats", StepOp::Train(op));
        let mut bench = Bench::new(&Device::Cpu { threads, isa: None }, maker, n);
        bench.put(input, &inputs(n, shape, 0.5).0);
        bench.put(running, &values(4, 64));
        let ours = bench.run(n, &[stats, running]).concat();
        ours.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    });
    assert!(bits[0] == bits[1] && bits[0] == bits[2]);
}

#[test]
fn the_reference_is_the_gradient_of_the_forward_formula() {
    let (n, shape) = (3, MapShape { c: 16, h: 5, w: 7 });
    let (z, parameters) = inputs(n, shape, 0.25);
    let dy = wide(&values(5, z.len()));
    for relu in [true, false] {
        let reference = reference(n, shape, &z, &parameters, relu);
        let stats = reference.stats();
        let sums = reference.sums_backward(&stats, &dy);
        let loss = |z: &[f64], parameters: &[f64]| {
            let at = Reference { n, shape, z: z.to_vec(), parameters: parameters.to_vec(), relu };
            at.forward(&at.stats()).iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        is_gradient("dz", &reference.z, &reference.backward(&stats, &sums, &dy), |z| {
            loss(z, &reference.parameters)
        });
        is_gradient("dγ, dβ", &reference.parameters, &sums, |p| loss(&reference.z, p));
    }
}

#[test]
fn where_relu_is_at_zero_nothing_goes_back() {
    for (device, relu) in devices().into_iter().flat_map(|d| [(d.clone(), true), (d, false)]) {
        let shape = MapShape { c: 16, h: 2, w: 3 };
        let mut maker = Maker::new(&device.target(), shape);
        let input = maker.input();
        let [stats, parameters, sums] =
            ["stats", "parameters", "sums"].map(|name| maker.given_flat(name, 2 * shape.c));
        let dy = maker.given("dy", shape);
        let dz = maker.output("dz", shape);
        let layer = "n".to_string();
        let gradients = sums;
        let op = TrainOp::NormalizeBackward { layer, input, stats, parameters, relu, gradients, dy, dz };
        maker.step("dz", StepOp::Train(op));
        let mut bench = Bench::new(&device, maker, 1);
        // z is the mean and β is 0.
        bench.put(input, &vec![0.75; shape.elements()]);
        bench.put(stats, &[[0.75; 16], [2.0; 16]].concat());
        bench.put(parameters, &[[3.0; 16], [0.0; 16]].concat());
        bench.put(sums, &[0.0; 32]);
        bench.put(dy, &vec![1.0; shape.elements()]);
        let wanted = if relu { 0.0 } else { 6.0 };
        assert_eq!(bench.run(1, &[dz])[0], vec![wanted; shape.elements()], "{device}");
    }
}

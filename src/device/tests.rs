//! Every operation on every device against a naive float64 reference: one list of cases, the same on all of them.
//!
//! Views lie between channels that nobody may touch; outputs are what the device's memory held before, which is never a
//! right answer. The bound is the design's for a layer: 2e-6 in relative L2 norm on the cpu, 3e-6 elsewhere.

mod conv2d;
mod crops;
mod maps;

use super::{Device, Engine};
use crate::network::{AvgPoolPadding, BATCH_NORM_EPS, MapShape, Network, Window};
use crate::program::{Epilogue, Program};
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

/// γ·(x − μ)/√(σ² + ε) + β of channel `k`.
fn batch_norm(weights: &Weights, layer: &str, k: usize, x: f64) -> f64 {
    let of = |name: &str| f64::from(weights.f32(&format!("{layer}.bn.{name}")).unwrap()[k]);
    of("weight") * (x - of("running_mean")) / (of("running_var") + BATCH_NORM_EPS).sqrt() + of("bias")
}

pub(super) const fn window(
    kernel: (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
) -> Window {
    Window { kernel, stride, padding }
}

const RELU: Epilogue = Epilogue::BiasRelu;

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

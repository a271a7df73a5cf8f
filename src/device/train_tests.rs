//! Every training step but convolutions on every device against naive float64 references, and the references of backward steps against
//! central finite differences of the forward formula.
//!
//! Views lie between channels or values that nobody may touch; of a batch of four some images are run, and nothing of the others may
//! change. Bounds are those of a layer, 2e-6 in relative L2 norm on the cpu and 3e-6 elsewhere, unless a test says why another.

mod batch_norm;
mod elementwise;
mod last_layer;
mod pool2d;
mod sgd;

use std::collections::BTreeMap;

use super::{Device, Engine};
use crate::network::MapShape;
use crate::program::testing::Maker;
use crate::program::{BufferId, Program, View};
use crate::weights::Weights;

/// The devices there are, of the cpu each instruction set.
fn devices() -> Vec<Device> {
    #[allow(unused_mut, reason = "there may be no cpu")]
    let mut all = super::tests::devices();
    #[cfg(feature = "cpu")]
    for (threads, isa) in super::cpu::Isa::available().into_iter().enumerate().skip(1) {
        all.push(Device::open(&format!("cpu:{}", isa.name()), Some(threads)).unwrap());
    }
    all
}

/// A program of a few steps on a device.
struct Bench {
    device: Device,
    program: Program,
    engine: Engine,
    /// What each buffer was filled with.
    filled: BTreeMap<BufferId, Vec<f32>>,
}

impl Bench {
    fn new(device: &Device, maker: Maker, batch: usize) -> Self {
        let program = maker.finish(batch);
        let weights = Weights::random(3, &program.network.parameters()).unwrap();
        let engine = Engine::new(program.clone(), &weights, device).unwrap();
        Bench { device: device.clone(), program, engine, filled: BTreeMap::new() }
    }

    /// Fills `view` with `values`, N·C·H·W, and what is left of its buffer with NaN where no other view of it was filled.
    fn put(&mut self, view: View, values: &[f32]) {
        let buffer = &self.program.buffers[view.buffer];
        let room = buffer.bytes / size_of::<f32>();
        let filled = self.filled.entry(view.buffer).or_insert_with(|| vec![f32::NAN; room]);
        let own = self.program.shape(view);
        for (i, value) in values.iter().enumerate() {
            let (image, c, pixel) = (i / own.elements(), i / (own.h * own.w) % own.c, i % (own.h * own.w));
            let at = buffer.layout.index(buffer.shape, view.channel + c, pixel / own.w, pixel % own.w);
            filled[image * buffer.layout.values(buffer.shape) + at] = *value;
        }
        match view.buffer == self.program.input.buffer {
            true => self.engine.input().copy_from_slice(filled),
            false => self.engine.executor.write(view.buffer, 0, filled).unwrap(),
        }
    }

    /// Images of a buffer.
    fn images_of(&self, buffer: BufferId) -> usize {
        if self.program.buffers[buffer].role.is_per_image() { self.program.options.batch } else { 1 }
    }

    /// All of a buffer, N·C·H·W.
    fn whole(&self, buffer: BufferId) -> Vec<f32> {
        let shape = self.program.buffers[buffer].shape;
        let images = self.images_of(buffer);
        let mut values = vec![0.0; images * shape.elements()];
        let view = View { buffer, channel: 0, channels: shape.c };
        self.engine.executor.read(view, images, &mut values).unwrap();
        values
    }

    /// Runs `images` images and gives what `outputs` hold for them; nothing else of the buffers of `outputs` and of those that were
    /// filled may have changed.
    fn run(&mut self, images: usize, outputs: &[View]) -> Vec<Vec<f32>> {
        let mut buffers: Vec<BufferId> = self.filled.keys().copied().collect();
        buffers.extend(outputs.iter().map(|view| view.buffer));
        buffers.sort_unstable();
        buffers.dedup();
        // Elsewhere the input lies where kernels cannot write, and comes there when a run begins.
        let input = self.program.input.buffer;
        buffers.retain(|buffer| *buffer != input || matches!(self.device, Device::Cpu { .. }));
        let before: Vec<Vec<f32>> = buffers.iter().map(|buffer| self.whole(*buffer)).collect();
        self.engine.run(images).unwrap();
        for (buffer, before) in buffers.into_iter().zip(before) {
            let MapShape { c, h, w } = self.program.buffers[buffer].shape;
            for (i, (a, b)) in before.iter().zip(self.whole(buffer)).enumerate() {
                let (image, channel) = (i / (c * h * w), i / (h * w) % c);
                let written = outputs.iter().any(|view| {
                    let own = (view.channel..view.channel + view.channels).contains(&channel);
                    view.buffer == buffer && own && image < images.min(self.images_of(buffer))
                });
                let name = &self.program.buffers[buffer].name;
                let kept = written || a.to_bits() == b.to_bits();
                assert!(kept, "{}: {name}: {a} became {b} at image {image}, channel {channel}", self.device);
            }
        }
        let read = |view: &View| {
            let images = images.min(self.images_of(view.buffer));
            let mut values = vec![0.0; images * self.program.shape(*view).elements()];
            self.engine.executor.read(*view, images, &mut values).unwrap();
            values
        };
        outputs.iter().map(read).collect()
    }
}

/// Demands finite values within `bound` in relative L2 norm; names the worst.
fn close(device: &Device, what: &str, ours: &[f32], wanted: &[f64], bound: f64) {
    assert_eq!(ours.len(), wanted.len(), "{device}: {what}");
    let (mut error, mut norm, mut worst) = (0.0, 0.0, (0.0, String::new()));
    for (i, (&y, wanted)) in ours.iter().zip(wanted).enumerate() {
        assert!(y.is_finite(), "{device}: {what}: {y} at {i}, expected {wanted}");
        let difference = (f64::from(y) - wanted).abs();
        error += difference * difference;
        norm += wanted * wanted;
        if difference >= worst.0 {
            worst = (difference, format!("{y} for {wanted} at {i}"));
        }
    }
    let relative = if error == 0.0 { 0.0 } else { (error / norm).sqrt() };
    assert!(relative <= bound, "{device}: {what}: relative L2 error {relative:.2e}, worst {}", worst.1);
}

/// Demands that `gradient` be that of `f` at `x`, by central differences at some of its places.
fn is_gradient(what: &str, x: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> f64) {
    assert_eq!(x.len(), gradient.len());
    let largest = gradient.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    let mut near = x.to_vec();
    for i in (0..x.len()).step_by((x.len() / 41).max(1)) {
        // The error of the difference is of the order h², that of rounding 1e-16/h of f.
        let h = 1e-5;
        let mut at = |x: f64| {
            near[i] = x;
            f(&near)
        };
        let slope = (at(x[i] + h) - at(x[i] - h)) / (2.0 * h);
        near[i] = x[i];
        let difference = (slope - gradient[i]).abs();
        assert!(difference <= 1e-6 * largest, "{what}: {} at {i}, and the slope is {slope}", gradient[i]);
    }
}

/// As float64.
fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// `count` values without symmetry, from −1 to 1, another set for each `seed`.
fn values(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| super::tests::value(i + seed * 1_000_003)).collect()
}

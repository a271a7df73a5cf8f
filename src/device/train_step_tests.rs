//! Whole training steps on the processor: finite, the same bits for any number of threads, a gradient that is the slope of the loss, a
//! loss that falls.

use super::{Device, Engine, StepResult};
use crate::network::{AvgPoolPadding, Network};
use crate::program::{Controls, Options, Program, Training};
use crate::weights::Weights;

const BATCH: usize = 3;
const CLASSES: usize = 2;
/// The last maps are single pixels.
const SMALL: (usize, usize) = (75, 81);

/// An engine that trains on [`BATCH`] images of `size`.
fn engine(size: (usize, usize), freeze: usize, threads: usize) -> Engine {
    let network = Network::inception_v3(size, CLASSES, AvgPoolPadding::Include).unwrap();
    let weights = Weights::random(5, &network.parameters()).unwrap();
    let device = Device::Cpu { threads, isa: None };
    let training = Some(Training { freeze, ..Training::default() });
    let options = Options { training, ..Options::new(BATCH, device.target()) };
    let program = Program::lower(&network, &options).unwrap();
    Engine::new(program, &weights, &device).unwrap()
}

/// One step on the first `images` images, the class of each being its number modulo two.
fn step(engine: &mut Engine, images: usize, controls: &Controls) -> StepResult {
    for (i, x) in engine.input().iter_mut().enumerate() {
        *x = super::tests::value(i);
    }
    let target = |i: usize| if i / CLASSES % CLASSES == i % CLASSES { 1.0 / images as f32 } else { 0.0 };
    let targets: Vec<f32> = (0..images * CLASSES).map(target).collect();
    engine.train_step(images, &targets, controls).unwrap()
}

/// Everything that training changes, by its bits, after a few steps; all of it finite.
fn trained(freeze: usize, threads: usize) -> Vec<u32> {
    let mut engine = engine(SMALL, freeze, threads);
    let controls = Controls { momentum: 0.9, weight_decay: 1e-4, ..Controls::default() };
    let mut all = Vec::new();
    for images in [BATCH, BATCH - 1, BATCH] {
        let result = step(&mut engine, images, &controls);
        all.extend([result.loss, result.gradient_norm]);
    }
    let tensors = engine.trained().unwrap().into_iter().chain(engine.momenta().unwrap());
    for (name, tensor) in tensors {
        assert!(tensor.data().iter().all(|x| x.is_finite()), "freeze {freeze}: {name}");
        all.extend(tensor.data());
    }
    all.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_step_has_the_same_bits_with_any_number_of_threads() {
    for freeze in [3, 0] {
        let one = trained(freeze, 1);
        assert!(trained(freeze, 1) == one, "freeze {freeze}: another run");
        assert!(trained(freeze, 2) == one, "freeze {freeze}: two threads");
        assert!(trained(freeze, 3) == one, "freeze {freeze}: three threads");
    }
}

/// With g the gradient at w, (L(w + εg) − L(w − εg)) / 2ε is ‖g‖²: the whole backward pass at once. The bound is for what the loss
/// curves on the way and what w ± εg loses in float32: the loss changes by two hundredths of itself.
#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    let size = (139, 131);
    for freeze in [3, 0] {
        let StepResult { loss, gradient_norm } =
            step(&mut engine(size, freeze, 2), BATCH, &Controls { lr: 0.0, ..Controls::default() });
        let slope = gradient_norm * gradient_norm;
        let width = 0.02 * loss / slope;
        let [down, up] = [width, -width].map(|lr| {
            let mut engine = engine(size, freeze, 2);
            step(&mut engine, BATCH, &Controls { lr, ..Controls::default() });
            step(&mut engine, BATCH, &Controls { lr: 0.0, ..Controls::default() }).loss
        });
        let measured = (up - down) / (2.0 * width);
        assert!((measured / slope - 1.0).abs() <= 0.05, "freeze {freeze}: {measured} for {slope}");
    }
}

#[test]
fn the_loss_falls() {
    for freeze in [3, 0] {
        let mut engine = engine(SMALL, freeze, 2);
        let controls = Controls { momentum: 0.9, lr: 0.01, ..Controls::default() };
        let losses: Vec<f32> = (0..8).map(|_| step(&mut engine, BATCH, &controls).loss).collect();
        assert!(losses[7] < 0.5 * losses[0], "freeze {freeze}: {losses:?}");
    }
}

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

/// The smallest for which the auxiliary head has an output, which is one pixel.
const AUXILIARY: (usize, usize) = (299, 299);

/// An engine that trains on [`BATCH`] images of `size`.
fn engine(size: (usize, usize), freeze: usize, threads: usize) -> Engine {
    engine_with(size, Training { freeze, ..Training::default() }, threads)
}

/// As `training` says.
fn engine_with(size: (usize, usize), training: Training, threads: usize) -> Engine {
    let network = Network::inception_v3(size, CLASSES, AvgPoolPadding::Include).unwrap();
    let network = network.with_auxiliary_head(training.auxiliary.is_some()).unwrap();
    let weights = Weights::random(5, &network.parameters()).unwrap();
    let device = Device::Cpu { threads, isa: None };
    let options = Options { training: Some(training), ..Options::new(BATCH, device.target()) };
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
fn trained(mut engine: Engine) -> Vec<u32> {
    let controls = Controls { momentum: 0.9, weight_decay: 1e-4, ..Controls::default() };
    let mut all = Vec::new();
    for images in [BATCH, BATCH - 1, BATCH] {
        let result = step(&mut engine, images, &controls);
        all.extend([result.total_loss(), result.gradient_norm]);
    }
    let tensors = engine.trained().unwrap().into_iter().chain(engine.momenta().unwrap());
    for (name, tensor) in tensors {
        assert!(tensor.data().iter().all(|x| x.is_finite()), "{name}");
        all.extend(tensor.data());
    }
    all.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_step_has_the_same_bits_with_any_number_of_threads() {
    for freeze in [3, 0] {
        let one = trained(engine(SMALL, freeze, 1));
        assert!(trained(engine(SMALL, freeze, 1)) == one, "freeze {freeze}: another run");
        assert!(trained(engine(SMALL, freeze, 2)) == one, "freeze {freeze}: two threads");
        assert!(trained(engine(SMALL, freeze, 3)) == one, "freeze {freeze}: three threads");
    }
    let auxiliary =
        |recompute| Training { freeze: 60, auxiliary: Some(0.4), recompute, ..Training::default() };
    let one = trained(engine_with(AUXILIARY, auxiliary(false), 1));
    let other = trained(engine_with(AUXILIARY, auxiliary(true), 2));
    assert!(other == one, "auxiliary head, two threads, maps taken again");
}

/// With g the gradient at w, (L(w + εg) − L(w − εg)) / 2ε is ‖g‖²: the whole backward pass at once. The bound is for what the loss
/// curves on the way and what w ± εg loses in float32: the loss changes by two hundredths of itself.
#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    let small = (139, 131);
    let cases = [(small, 3, None), (small, 0, None), (AUXILIARY, 50, Some(0.4))];
    for (size, freeze, auxiliary) in cases {
        let engine = || engine_with(size, Training { freeze, auxiliary, ..Training::default() }, 2);
        let still = Controls { lr: 0.0, ..Controls::default() };
        let result = step(&mut engine(), BATCH, &still);
        let (loss, gradient_norm) = (result.total_loss(), result.gradient_norm);
        assert_eq!(result.auxiliary_loss.is_some(), auxiliary.is_some());
        let slope = gradient_norm * gradient_norm;
        let width = 0.02 * loss / slope;
        let [down, up] = [width, -width].map(|lr| {
            let mut engine = engine();
            step(&mut engine, BATCH, &Controls { lr, ..Controls::default() });
            step(&mut engine, BATCH, &still).total_loss()
        });
        let measured = (up - down) / (2.0 * width);
        assert!((measured / slope - 1.0).abs() <= 0.05, "freeze {freeze}: {measured} for {slope}");
    }
}

/// With twice the weight the head's own gradients and what it adds to the loss are twice what they were, to the bit; the gradients of
/// what stands behind `Mixed_6e` on the way to the last layer are untouched by it, those before are not.
#[test]
fn the_auxiliary_head_teaches_what_it_reads() {
    let gradients = |auxiliary| {
        let training = Training { freeze: 66, auxiliary, ..Training::default() };
        let mut engine = engine_with(AUXILIARY, training, 2);
        let result = step(&mut engine, BATCH, &Controls { lr: 0.0, ..Controls::default() });
        let learned = engine.program().learned.clone().unwrap().parameters;
        let of = |name: String| (name.clone(), engine.gradient(&name).unwrap().data().to_vec());
        let all: std::collections::BTreeMap<_, _> = learned.into_iter().map(|own| of(own.name)).collect();
        (result, all)
    };
    let ((without, none), (one, once), (two, twice)) =
        (gradients(None), gradients(Some(0.375)), gradients(Some(0.75)));
    assert_eq!((without.loss, without.auxiliary_loss), (one.loss, None));
    assert_eq!(one.auxiliary_loss.map(|loss| 2.0 * loss), two.auxiliary_loss);
    for (name, once) in &once {
        let doubled: Vec<f32> = once.iter().map(|x| 2.0 * x).collect();
        match name.split('.').next() {
            Some("AuxLogits") => assert!(doubled == twice[name] && !none.contains_key(name), "{name}"),
            Some("Mixed_6e") => assert!(*once != none[name] && *once != twice[name], "{name}"),
            _ => assert!(*once == none[name], "{name}"),
        }
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

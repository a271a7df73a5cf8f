//! Gradients of a logit by a layer's output against libtorch.

use nodal::device::Engine;
use nodal::network::{AvgPoolPadding, Network};
use nodal::program::{Options, Program};
use nodal::{Device, Weights};

use crate::common;
use crate::plain::{cam, holds, random, relative};

/// Relative L2 error of a gradient or a map: a hundred float32 roundings of 6e-8, of random sign, in a row; PyTorch's own error is 8e-7.
const BOUND: f64 = 3e-6;

/// Layers of the reference: a gradient by the first passes all steps that there are behind any.
const LAYERS: [&str; 6] =
    ["Conv2d_4a_3x3", "maxpool2", "Mixed_5d", "Mixed_6e", "Mixed_7b.branch3x3_1", "Mixed_7c"];

/// Replays `gradients-107x139.safetensors` for one network on `device`.
fn replay(device: &Device, case: &str, layers: &[&str]) {
    use AvgPoolPadding::{Exclude, Include};
    let (classes, logit, padding) = match case {
        "logit" => (1, 0, Include),
        "classes" => (3, 1, Include),
        _ => (1, 0, Exclude),
    };
    let file = Weights::open(&common::root().join("tests/reference/gradients-107x139.safetensors")).unwrap();
    let seed = file.metadata()["weights.seed"].parse().unwrap();
    let (input, weights) = (file.f32("input").unwrap(), random(seed, classes));
    let network = Network::inception_v3((107, 139), classes, padding).unwrap();
    let mut dy = vec![0.0; classes];
    dy[logit] = 1.0;
    for &layer in layers {
        let options = Options { gradient: Some(layer.into()), ..Options::new(1, device.target()) };
        let program = Program::lower(&network, &options).unwrap();
        let mut engine = Engine::new(program, &weights, device).unwrap();
        // The second run must find nothing left of the first.
        for _ in 0..2 {
            engine.input().copy_from_slice(&input);
            engine.run_gradient(1, &dy).unwrap();
        }
        let (output, gradient) =
            (engine.output(layer, 1).unwrap(), engine.output(&format!("grad.{layer}"), 1).unwrap());
        let tensor = |what: &str| file.f32(&format!("{case}.{what}.{layer}")).unwrap();
        let step = step(&file, case, layer);
        let sample: Vec<f32> = gradient.data().iter().copied().step_by(step).collect();
        holds(&format!("{device} {case} grad.{layer}"), relative(&sample, &tensor("grad")), BOUND);
        let norm = gradient.data().iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let theirs = f64::from(tensor("norm")[0]);
        // The reference's norm is read as float32.
        holds(&format!("{device} {case} norm of grad.{layer}"), (norm / theirs - 1.0).abs(), BOUND);
        holds(
            &format!("{device} {case} cam.{layer}"),
            relative(&cam(&output, &gradient), &tensor("cam")),
            BOUND,
        );
        let mut logits = vec![0.0; classes];
        engine.logits(1, &mut logits).unwrap();
        holds("logits", relative(&logits, &file.f32(&format!("{case}.logits")).unwrap()), BOUND);
    }
}

/// Every how many values the file has one of the gradient.
fn step(file: &Weights, case: &str, layer: &str) -> usize {
    file.i64(&format!("{case}.step.{layer}")).unwrap()[0] as usize
}

#[test]
fn gradients_of_a_logit_match_libtorch() {
    let device = Device::open("cpu", Some(2)).unwrap();
    replay(&device, "logit", &LAYERS);
    replay(&device, "classes", &LAYERS);
    replay(&device, "exclude", &LAYERS);
}

#[test]
fn every_instruction_set_has_the_same_gradients() {
    for isa in nodal::device::cpu::Isa::available() {
        replay(&Device::open(&format!("cpu:{}", isa.name()), Some(1)).unwrap(), "logit", &LAYERS);
    }
}

#[cfg(feature = "sim")]
#[test]
fn the_kernels_have_the_same_gradients_on_the_simulator() {
    replay(&Device::open("sim", None).unwrap(), "classes", &["Conv2d_4a_3x3", "Mixed_7c"]);
    replay(&Device::open("sim:h200", None).unwrap(), "exclude", &LAYERS[..1]);
}

#[cfg(feature = "cuda")]
#[test]
fn the_kernels_have_the_same_gradients_on_a_card() {
    let Some(device) = crate::card() else { return };
    replay(&device, "classes", &LAYERS);
    replay(&device, "logit", &LAYERS);
}

//! Gradients of a logit by a layer's output against libtorch.

use nodal::device::Engine;
use nodal::program::{Options, Program};
use nodal::{Device, Weights};

use crate::{cam, common, holds, network, random, relative};

/// Relative L2 error of a gradient or a map: a hundred float32 roundings of 6e-8, of random sign, in a row; PyTorch's own error is 8e-7.
const BOUND: f64 = 3e-6;

/// Replays `gradients-107x139.safetensors` for one network on `device`.
fn replay(device: &Device, case: &str, classes: usize, logit: usize) {
    let file = Weights::open(&common::root().join("tests/reference/gradients-107x139.safetensors")).unwrap();
    let seed = file.metadata()["weights.seed"].parse().unwrap();
    let (input, weights) = (file.f32("input").unwrap(), random(seed, classes));
    let of_case = format!("{case}.grad.");
    let layers: Vec<&str> = file.names().filter_map(|name| name.strip_prefix(&of_case)).collect();
    assert!(layers.len() >= 6, "{layers:?}");
    let mut dy = vec![0.0; classes];
    dy[logit] = 1.0;
    for layer in layers {
        let options = Options { gradient: Some(layer.into()), ..Options::new(1, device.target()) };
        let program = Program::lower(&network((107, 139), classes), &options).unwrap();
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
    replay(&device, "logit", 1, 0);
    replay(&device, "classes", 3, 1);
}

#[test]
fn every_instruction_set_has_the_same_gradients() {
    for isa in nodal::device::cpu::Isa::available() {
        replay(&Device::open(&format!("cpu:{}", isa.name()), Some(1)).unwrap(), "logit", 1, 0);
    }
}

#[cfg(feature = "sim")]
#[test]
fn the_kernels_have_the_same_gradients_on_the_simulator() {
    replay(&Device::open("sim", None).unwrap(), "classes", 3, 1);
    replay(&Device::open("sim:h200", None).unwrap(), "logit", 1, 0);
}

#[cfg(feature = "cuda")]
#[test]
fn the_kernels_have_the_same_gradients_on_a_card() {
    match Device::open("cuda", None) {
        Ok(device) => {
            replay(&device, "classes", 3, 1);
            replay(&device, "logit", 1, 0);
        }
        Err(error) => {
            assert!(std::env::var_os("NODAL_REQUIRE_GPU").is_none(), "{error}");
            eprintln!("skipped: no CUDA device ({error})");
        }
    }
}

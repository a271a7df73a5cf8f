//! The engine against libtorch: every reference of inference beside `tests/reference/generate.py`, on every instruction set and on the
//! simulator, fused and not, layer by layer.

use std::path::{Path, PathBuf};

use crate::common;
use nodal::Device;
use nodal::device::cpu::Isa;
use nodal::program::Fusion;
use nodal::reference::{Reference, Tolerances};

fn references() -> Vec<PathBuf> {
    common::references("eval-")
}

/// Verifies one file; prints what fails.
fn holds(path: &Path, device: &Device, fusion: Fusion, tolerances: &Tolerances) -> bool {
    let reference = Reference::open(path).unwrap();
    let report = reference.verify(&reference.weights().unwrap(), device, fusion, tolerances).unwrap();
    let blocks = report.tensors.iter().filter(|t| t.name.contains("Mixed_")).count();
    assert!(blocks >= 94 - 5 + 11, "{}: every convolution and block is compared", path.display());
    for row in report.tensors.iter().filter(|row| !row.passed()) {
        println!("{}: {} {:.2e}, {}", path.display(), row.name, row.relative_l2, row.note);
    }
    for group in &report.groups {
        let (name, error) = &group.worst;
        println!("{}: {} {error:.2e} at {name}, PyTorch {:?}", path.display(), group.group, group.f32_error);
    }
    report.passed()
}

#[test]
fn every_layer_matches_libtorch() {
    let files = references();
    assert!(files.len() >= 3, "the reference files are missing");
    for path in &files {
        for threads in [1, 3] {
            let device = Device::open("cpu", Some(threads)).unwrap();
            assert!(holds(path, &device, Fusion::Full, &Tolerances::default()), "{} fused", path.display());
        }
        let device = Device::open("cpu", Some(2)).unwrap();
        assert!(holds(path, &device, Fusion::None, &Tolerances::default()), "{} unfused", path.display());
    }
}

#[test]
fn every_instruction_set_matches_libtorch() {
    for isa in Isa::available() {
        let device = Device::open(&format!("cpu:{}", isa.name()), Some(2)).unwrap();
        for path in references() {
            for fusion in [Fusion::Full, Fusion::None] {
                assert!(holds(&path, &device, fusion, &Tolerances::default()), "{}, {fusion:?}", isa.name());
            }
        }
    }
}

/// The kernels, cut for the smallest and for the largest card.
#[cfg(feature = "sim")]
#[test]
fn the_kernels_match_libtorch_on_the_simulator() {
    for path in references() {
        let device = Device::open("sim", None).unwrap();
        assert!(holds(&path, &device, Fusion::Full, &Tolerances::default()), "{}", path.display());
        if !path.ends_with("eval-299x299.safetensors") {
            let device = Device::open("sim:h200", None).unwrap();
            for fusion in [Fusion::Full, Fusion::None] {
                assert!(holds(&path, &device, fusion, &Tolerances::default()), "{}", path.display());
            }
        }
    }
}

/// No unwritten word is read, and no two thread blocks race, in any kernel of the network.
#[cfg(feature = "sim")]
#[test]
fn every_check_of_the_simulator_finds_nothing() {
    let path = references().into_iter().find(|path| path.ends_with("eval-75x75.safetensors")).unwrap();
    let Device::Sim { card, threads, tuning, .. } = Device::open("sim", None).unwrap() else {
        unreachable!()
    };
    let device = Device::Sim { card, threads, tuning, checks: nodal::device::Checks::All };
    for fusion in [Fusion::Full, Fusion::None] {
        assert!(holds(&path, &device, fusion, &Tolerances::default()), "{fusion:?}");
    }
}

#[test]
fn a_wrong_weight_is_noticed() {
    let path = &references()[0];
    let reference = Reference::open(path).unwrap();
    let network = nodal::network::Network::inception_v3((107, 139), 3, Default::default()).unwrap();
    let other = nodal::Weights::random(999, &network.parameters()).unwrap();
    let device = Device::open("cpu", Some(2)).unwrap();
    let report = reference.verify(&other, &device, Fusion::Full, &Tolerances::default()).unwrap();
    assert!(!report.passed() && report.tensors.iter().all(|row| !row.passed()));
}

/// On the first CUDA device, within the design's bound for it, and as near as PyTorch's own float32.
#[test]
#[cfg(feature = "cuda")]
fn every_layer_matches_libtorch_on_cuda() {
    let Some(device) = crate::card() else { return };
    for path in references() {
        for fusion in [Fusion::Full, Fusion::None] {
            let holds = holds(&path, &device, fusion, &Tolerances::default());
            assert!(holds, "{}, {fusion:?}", path.display());
        }
    }
}

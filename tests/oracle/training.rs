//! Training against libtorch: every reference of training beside `tests/reference/generate.py`, step by step.

use std::path::Path;

use crate::common;
use nodal::Device;
use nodal::device::cpu::Isa;
use nodal::program::Fusion;
use nodal::reference::{Reference, Report, Tolerances};

/// Replays one file; prints the worst of each group and what fails.
fn replay(path: &Path, device: &Device, fusion: Fusion, tolerances: &Tolerances) -> Report {
    let reference = Reference::open(path).unwrap();
    let report = reference.verify(&reference.weights().unwrap(), device, fusion, tolerances).unwrap();
    for row in report.tensors.iter().filter(|row| !row.passed()) {
        println!("{}: {} {:.2e}, {}", path.display(), row.name, row.relative_l2, row.note);
    }
    for group in &report.groups {
        let (name, error) = &group.worst;
        println!("{}: {} {error:.2e} at {name}, PyTorch {:?}", path.display(), group.group, group.f32_error);
    }
    let groups: Vec<&str> = report.groups.iter().map(|group| group.group).collect();
    assert_eq!(groups, ["loss", "grad", "param", "update", "buffer"], "{}", path.display());
    report
}

#[test]
fn training_matches_libtorch() {
    let files = common::references("train-");
    assert!(files.len() >= 3, "the reference files are missing");
    for path in &files {
        for isa in Isa::available() {
            let device = Device::open(&format!("cpu:{}", isa.name()), Some(2)).unwrap();
            let report = replay(path, &device, Fusion::Full, &Tolerances::default());
            assert!(report.passed(), "{}: {}", path.display(), isa.name());
        }
        let device = Device::open("cpu", Some(2)).unwrap();
        let report = replay(path, &device, Fusion::None, &Tolerances::default());
        assert!(report.passed(), "{}: unfused", path.display());
    }
}

/// The same bits with any number of threads; and what we dump is a reference that we hold exactly.
#[test]
fn a_dump_is_repeated_bit_for_bit() {
    let path = &common::references("train-")[0];
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump.safetensors");
    let device = |threads| Device::open("cpu", Some(threads)).unwrap();
    let report = replay(path, &device(1), Fusion::Full, &Tolerances::default());
    Reference::open(path).unwrap().dump(&report).unwrap().save_safetensors(&dump).unwrap();
    assert!(replay(&dump, &device(3), Fusion::Full, &Tolerances::parse("0").unwrap()).passed());
}

#[cfg(feature = "sim")]
#[test]
fn training_matches_libtorch_on_the_simulator() {
    let device = Device::open("sim", None).unwrap();
    for path in common::references("train-") {
        assert!(replay(&path, &device, Fusion::Full, &Tolerances::default()).passed(), "{}", path.display());
    }
}

#[cfg(feature = "cuda")]
#[test]
fn training_matches_libtorch_on_cuda() {
    let Some(device) = crate::card() else { return };
    for path in common::references("train-") {
        for fusion in [Fusion::Full, Fusion::None] {
            let report = replay(&path, &device, fusion, &Tolerances::default());
            assert!(report.passed(), "{}, {fusion:?}", path.display());
        }
    }
}

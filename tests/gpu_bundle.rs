//! The scripts of `benches/gpu/`, which check and measure on a GPU machine: their own tests, where there is a Python.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::process::Command;

#[test]
fn the_scripts_for_gpu_machines_pass_their_tests() {
    let mut python = Command::new("python3");
    let folder = common::root().join("benches/gpu");
    python.args(["-B", "-m", "unittest", "--quiet", "test_gpu"]).current_dir(folder);
    match python.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => {
            // Past the test harness, which keeps what `println` prints to itself.
            let line = format!("skipped: no python3 ({error})\n");
            std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        }
    }
}

#[cfg(all(feature = "cli", feature = "cuda"))]
#[test]
fn devices_extracts_the_machine_code_of_every_module() {
    use nodal::kernels::{ImageKind, images};
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let nodal = env!("CARGO_BIN_EXE_nodal");
    let output = Command::new(nodal).args(["devices", "--extract"]).arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let machine = images().iter().filter(|image| image.kind == ImageKind::Machine);
    for image in machine.clone() {
        let path = out.join(format!("{}.sm_{}.cubin", image.module, image.architecture));
        let code = std::fs::read(path).unwrap();
        assert_eq!((code.len(), &code[..4]), (image.bytes, &b"\x7fELF"[..]));
    }
    let names = String::from_utf8(output.stdout).unwrap();
    assert_eq!(names.lines().filter(|name| name.ends_with(".cubin")).count(), machine.count());
    let refused = Command::new(nodal).args(["devices", "--extract", "Cargo.toml"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).starts_with("nodal: Cargo.toml: cannot create"));
}

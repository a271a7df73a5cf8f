//! The binary on a machine without a CUDA device, and what it says of its kernels on any machine.
#![cfg(all(feature = "cli", feature = "cpu", feature = "cuda"))]
#![allow(clippy::unwrap_used)] // a test may panic

use std::process::{Command, Output};

use serde_json::Value;

const CROP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/crops/val/gravel/gravel-003.jpg");

fn nodal(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nodal")).args(arguments).output().unwrap()
}

fn ok(arguments: &[&str]) -> String {
    let output = nodal(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line on standard error of a call that ends with exit code 1.
fn refusal(arguments: &[&str]) -> String {
    let output = nodal(arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty() && message.lines().count() == 1, "{arguments:?}: {message}");
    assert!(message.starts_with("nodal: ") && !message.contains("panicked"), "{message}");
    message
}

fn weights(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("w.safetensors").to_str().unwrap().to_string();
    ok(&["init", "--seed", "3", "--size", "75", "-o", &path]);
    path
}

#[test]
fn a_missing_device_is_one_sentence_and_auto_does_without() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let predict =
        |device: &'static str| ["predict", "--weights", &weights, "--device", device, CROP].map(String::from);
    let of = |arguments: &[String]| refusal(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(nodal(&predict("auto").each_ref().map(String::as_str)).status.success());
    match nodal::Device::open("cuda", None) {
        Err(error) => {
            for device in ["cuda", "cuda:0", "cuda:1"] {
                let message = of(&predict(device));
                assert_eq!(message, format!("nodal: {error}\n"));
                assert!(message.contains("use --device cpu"), "{message}");
            }
            let bench = refusal(&["bench", "--device", "cuda", "--no-graph", "--seconds", "0"]);
            assert_eq!(bench, format!("nodal: {error}\n"));
            assert!(matches!(nodal::Device::open("auto", None), Ok(nodal::Device::Cpu { .. })));
        }
        Ok(_) => assert!(of(&predict("cuda:99")).contains("CUDA device")),
    }
    for unknown in ["cuda:", "cuda:x", "cuda:-1", "cuda:1:2"] {
        assert!(of(&predict(unknown)).contains("is no CUDA device: write cuda or cuda:1"), "{unknown}");
    }
}

#[test]
fn no_graph_belongs_to_cuda() {
    for device in ["cpu", "cpu:portable"] {
        let message = refusal(&["bench", "--device", device, "--no-graph", "--seconds", "0"]);
        assert_eq!(message, format!("nodal: --no-graph belongs to --device cuda, not to {device}\n"));
    }
}

#[test]
fn devices_lists_what_there_is() {
    let text = ok(&["devices"]);
    let row = text.lines().find(|line| line.trim_start().starts_with("cuda")).unwrap();
    let json: Value = serde_json::from_str(&ok(&["devices", "--json"])).unwrap();
    match nodal::device::cuda::devices() {
        Ok(cards) => {
            assert!(row.contains(&cards[0].name), "{text}");
            assert_eq!(json["cuda"]["devices"].as_array().unwrap().len(), cards.len());
        }
        Err(nodal::Error::Device { problem, .. }) => {
            assert!(row.contains(" no ") && row.contains(&problem), "{text}");
            assert_eq!(
                (&json["cuda"]["available"], &json["cuda"]["reason"]),
                (&false.into(), &problem.into())
            );
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn devices_lists_every_kernel_on_every_architecture() {
    let text = ok(&["devices", "--kernels"]);
    let json: Value = serde_json::from_str(&ok(&["devices", "--kernels", "--json"])).unwrap();
    let rows = json["kernels"].as_array().unwrap();
    let architectures = rows.iter().filter(|row| row["kernel"] == "softmax_forward_f32").count();
    assert!(architectures > 0 && rows.len() == architectures * nodal::kernels::all().len());
    for kernel in nodal::kernels::all() {
        assert_eq!(
            text.lines().filter(|line| line.trim_start().starts_with(kernel.name)).count(),
            architectures,
            "{text}"
        );
        let row =
            rows.iter().find(|row| row["kernel"] == kernel.name && row["architecture"] == "sm_61").unwrap();
        assert_eq!((&row["threads"], &row["spill_bytes"]), (&kernel.threads.into(), &0.into()));
        let occupancy = row["occupancy"].as_f64().unwrap();
        assert!(0.0 < occupancy && occupancy <= 1.0 && row["registers"].as_u64().unwrap() > 0, "{row}");
    }
}

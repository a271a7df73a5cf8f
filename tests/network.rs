//! The network table against torchvision's own, `weights/manifest.json`: names, shapes, counts, multiply-adds.

#![allow(clippy::unwrap_used)] // a test may panic

use std::collections::BTreeMap;

use nodal::network::{AvgPoolPadding, Network, Op};
use serde_json::Value;

fn manifest() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/manifest.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

fn network(size: (usize, usize), classes: usize) -> nodal::Result<Network> {
    Network::inception_v3(size, classes, AvgPoolPadding::Include)
}

#[test]
fn parameters_are_torchvisions() {
    let manifest = manifest();
    let mut expected = BTreeMap::new();
    for (name, shape) in manifest["state_dict"].as_object().unwrap() {
        if !name.starts_with("AuxLogits.") && !name.ends_with("num_batches_tracked") {
            expected.insert(name.clone(), numbers(shape));
        }
    }
    let network = network((299, 299), 1000).unwrap();
    let ours: BTreeMap<_, _> = network.parameters().into_iter().map(|p| (p.name, p.shape)).collect();
    assert_eq!(ours, expected);
    assert_eq!(network.parameter_count() as u64, manifest["parameters_without_aux"].as_u64().unwrap());
}

#[test]
fn layers_have_torchvisions_shapes_and_work() {
    let manifest = manifest();
    let network = network((299, 299), 1000).unwrap();
    let mut convolutions = 0;
    for row in manifest["layers"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        if name.starts_with("AuxLogits.") {
            continue;
        }
        let layer = network.layer(name).unwrap_or_else(|| panic!("no layer {name}"));
        let input = network.layers[layer.inputs[0]].output;
        assert_eq!(layer.macs(&network), row["macs"].as_u64().unwrap(), "{name}");
        if let Op::BasicConv2d(window) = layer.op {
            convolutions += 1;
            let pair = |(a, b)| vec![a, b];
            assert_eq!(vec![input.c, input.h, input.w], numbers(&row["input"]), "{name}");
            assert_eq!(
                vec![layer.output.c, layer.output.h, layer.output.w],
                numbers(&row["output"]),
                "{name}"
            );
            assert_eq!(pair(window.kernel), numbers(&row["kernel"]), "{name}");
            assert_eq!(pair(window.stride), numbers(&row["stride"]), "{name}");
            assert_eq!(pair(window.padding), numbers(&row["padding"]), "{name}");
        }
    }
    assert_eq!(convolutions, manifest["conv_layers"].as_u64().unwrap());
    // The manifest counts the convolutions; the last layer comes on top.
    assert_eq!(network.macs(), manifest["macs_main"].as_u64().unwrap() + 2048 * 1000);
}

#[test]
fn the_auxiliary_head_is_torchvisions() {
    let manifest = manifest();
    let network = network((299, 299), 1000).unwrap().with_auxiliary_head(true).unwrap();
    let ours: BTreeMap<_, _> = network.parameters().into_iter().map(|p| (p.name, p.shape)).collect();
    let all = manifest["state_dict"].as_object().unwrap().iter();
    let expected: BTreeMap<_, _> = all
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, shape)| (name.clone(), numbers(shape)))
        .collect();
    assert_eq!(ours, expected);
    let rows = manifest["layers"].as_array().unwrap().iter();
    for row in rows.filter(|row| row["name"].as_str().unwrap().starts_with("AuxLogits.")) {
        let layer = network.layer(row["name"].as_str().unwrap()).unwrap();
        let (input, output) = (network.layers[layer.inputs[0]].output, layer.output);
        assert_eq!(vec![input.c, input.h, input.w], numbers(&row["input"]), "{}", layer.name);
        assert_eq!(vec![output.c, output.h, output.w], numbers(&row["output"]), "{}", layer.name);
    }
    assert_eq!(network.layers.last().unwrap().name, "fc");
    assert_eq!((network.convolutions().count(), network.learning_convolutions(3).count()), (94, 93));
    let without = network.with_auxiliary_head(false).unwrap();
    assert!(network.has_auxiliary_head() && !without.has_auxiliary_head());
    assert_eq!(without.parameter_count() as u64, manifest["parameters_without_aux"].as_u64().unwrap());
}

#[test]
fn inputs_from_75_pixels_on_are_taken() {
    for (size, last) in [((75, 75), (1, 1)), ((75, 299), (1, 8)), ((107, 139), (2, 3)), ((299, 299), (8, 8))]
    {
        let network = network(size, 1).unwrap();
        let map = network.layer("Mixed_7c").unwrap().output;
        assert_eq!((map.c, map.h, map.w), (2048, last.0, last.1), "{size:?}");
    }
}

#[test]
fn sizes_and_classes_out_of_range_are_refused() {
    for size in [(74, 299), (299, 74), (0, 0), (4097, 299), (usize::MAX, usize::MAX)] {
        let message = network(size, 1).unwrap_err().to_string();
        assert!(message.contains("must lie between 75 and 4096"), "{message}");
    }
    assert!(network((299, 299), 0).unwrap_err().to_string().contains("0 classes"));
}

//! Training with an auxiliary head, and what becomes of one that does not learn.

use super::place::{Place, assert_same, short};
use nodal::Weights;

/// Weights of three classes with an auxiliary head, for the smallest inputs that it takes.
fn place() -> Place {
    let place = Place::new(3, 1);
    place.ok(&["init", "--seed", "4", "--classes", "3", "--aux-logits", "-o", "aux.safetensors"]);
    place
}

/// Two steps of three images; the head and the last convolution before it learn, and what follows.
fn call<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own =
        ["train", "data", "--weights", "aux.safetensors", "--batch", "3", "--freeze", "69", "--epochs", "1"];
    [&own[..], &["--out", out, "--checkpoint-every", "1"], more].concat()
}

#[test]
fn an_auxiliary_head_learns_and_travels_with_the_weights() {
    let place = place();
    place.ok(&call("run", &["--aux-weight", "0.4", "--threads", "1", "--reestimate-batch-norm"]));
    let config = std::fs::read_to_string(place.at("run/config.json")).unwrap();
    assert!(config.contains("\"aux_weight\": 0.4"), "{config}");
    for line in place.log("run").iter().filter(|line| line["kind"] == "step") {
        assert!(
            line["auxiliary_loss"].as_f64().unwrap() > 0.0 && line["loss"].as_f64().unwrap() > 0.0,
            "{line}"
        );
    }
    let given = Weights::open(&place.at("aux.safetensors")).unwrap();
    let last = Weights::open(&place.at("run/weights-last.safetensors")).unwrap();
    let names = || given.names().filter(|name| name.starts_with("AuxLogits."));
    assert_eq!(names().count(), 12);
    for name in names() {
        let same = *given.f32(name).unwrap() == *last.f32(name).unwrap();
        assert!(!same, "{name} has not learned");
    }
    // Two classes instead of three: one logit.
    assert_eq!(last.shape("AuxLogits.fc.weight"), Some(&[1, 768][..]));
    assert_eq!(last.shape("fc.weight"), Some(&[1, 2048][..]));
    place.ok(&["predict", "--weights", "run/weights-last.safetensors", "data/val"]);

    // As torchvision's state_dict has it with aux_logits=True.
    place.ok(&["convert", "run/weights-last.safetensors", "last.pth"]);
    let exported = Weights::open(&place.at("last.pth")).unwrap();
    for name in ["AuxLogits.conv0.bn.num_batches_tracked", "AuxLogits.conv1.bn.num_batches_tracked"] {
        assert_eq!(exported.i64(name).unwrap(), [0]);
    }
    for name in names() {
        assert_eq!(*exported.f32(name).unwrap(), *last.f32(name).unwrap(), "{name}");
    }

    // Stopped after a step and taken up again, on two threads.
    let more = ["--aux-weight", "0.4", "--threads", "2", "--reestimate-batch-norm"];
    place.signalled("KILL", &call("killed", &more), "killed", "killed");
    place.ok(&["train", "--resume", "killed", "--threads", "2"]);
    assert_same(&place, "run", "killed");
}

#[test]
fn an_auxiliary_head_that_does_not_learn_is_left_out() {
    let place = place();
    place.ok(&call("run", &["--size", "75"]));
    for name in ["weights-last.safetensors", "weights-best.safetensors", "checkpoint"] {
        let weights = Weights::open(&place.at("run").join(name)).unwrap();
        assert!(weights.names().all(|name| !name.contains("AuxLogits")), "{name}");
    }
    assert!(place.log("run").iter().all(|line| line.get("auxiliary_loss").is_none()));
}

#[test]
fn an_auxiliary_head_that_cannot_learn_is_refused() {
    let place = place();
    let refused = |more: &[&str], says: &str| place.refused(&call("run", more), says);
    refused(&["--aux-weight", "0"], "aux weight 0: give a positive number");
    refused(&["--aux-weight", "0.4", "--size", "298"], "needs inputs of at least 299×299");
    place.refused(
        &short(&["--size", "299", "--out", "run", "--aux-weight", "0.4"]),
        "w.safetensors: has no auxiliary head (AuxLogits): leave out --aux-weight",
    );
    let all = ["train", "data", "--weights", "aux.safetensors", "--out", "run", "--aux-weight", "0.4"];
    for freeze in ["70", "94"] {
        place.refused(
            &[&all[..], &["--freeze", freeze, "--batch", "3"]].concat(),
            "nothing learns below the auxiliary head",
        );
    }
    place.refused(&[&all[..], &["--batch", "5"]].concat(), "leave one for the last");
    place.refused(&["plan", "--aux-weight", "0.4"], "--train");
    place.refused(&["train", "--resume", "data", "--aux-weight", "1"], "leave --aux-weight out");
    assert!(!place.at("run").exists());
}

//! Comparison and refusals, on a network of which only the last layer learns: its tensors fit into a test.

use std::path::Path;

use super::*;
use crate::reference::Reference;

const CLASSES: usize = 3;
const FEATURES: usize = crate::network::FEATURES;

fn network() -> Network {
    Network::inception_v3((75, 75), CLASSES, Default::default()).unwrap()
}

/// A tensor of different values around `mean`.
fn tensor(shape: &[usize], mean: f32) -> Tensor {
    let count = shape.iter().product::<usize>();
    Tensor::new(shape, (0..count).map(|i| mean + (i % 7) as f32 / 64.0).collect()).unwrap()
}

/// What a run gives, the tensors of a reference but for its input: the last layer moved by 1e-4 of itself.
fn ours() -> BTreeMap<String, Tensor> {
    let (weight, bias) = ([CLASSES, FEATURES], [CLASSES]);
    let moved = |tensor: Tensor| {
        let values = tensor.data().iter().map(|x| x * 1.0001).collect();
        Tensor::new(tensor.shape(), values).unwrap()
    };
    let all = [
        ("loss", tensor(&[2], 1.0)),
        ("grad.fc.weight", tensor(&weight, 0.5)),
        ("grad.fc.bias", tensor(&bias, 0.25)),
        ("param.fc.weight", moved(tensor(&weight, 1.0))),
        ("param.fc.bias", moved(tensor(&bias, 2.0))),
    ];
    all.map(|(name, tensor)| (name.to_string(), tensor)).into()
}

/// The weights before the first step.
fn before() -> Weights {
    let (weight, bias) = (tensor(&[CLASSES, FEATURES], 1.0), tensor(&[CLASSES], 2.0));
    Weights::from_tensors([("fc.weight", &weight), ("fc.bias", &bias)].into_iter()).unwrap()
}

/// A reference of two steps of two images, without the tensors of `without`.
fn file(labels: [i64; 4], without: &[&str]) -> Weights {
    let input = tensor(&[2, 2, 3, 75, 75], 0.0);
    let mut tensors = ours();
    tensors.insert("input".into(), input);
    tensors.retain(|name, _| !without.contains(&name.as_str()));
    let mut file = Weights::from_tensors(tensors.iter().map(|(name, t)| (name.as_str(), t))).unwrap();
    if !without.contains(&"labels") {
        file.add_i64("labels", &[2, 2], &labels).unwrap();
    }
    for (key, value) in [("mode", "train"), ("freeze", "94"), ("steps", "2"), ("weights.seed", "5")] {
        file.set_metadata(key, value);
    }
    file.set_metadata("weights.classes", &CLASSES.to_string());
    file
}

fn report(ours: BTreeMap<String, Tensor>) -> Report {
    let file = file([0, 1, 2, 0], &[]);
    let recipe = Recipe::read(&file).unwrap();
    recipe.report(&file, &before(), &network(), &Tolerances::default(), ours).unwrap()
}

fn failed(report: &Report) -> Vec<&str> {
    report.tensors.iter().filter(|row| !row.passed()).map(|row| row.name.as_str()).collect()
}

#[test]
fn the_same_results_pass() {
    let report = report(ours());
    assert!(report.passed(), "{:?}", failed(&report));
    let groups: Vec<_> = report.groups.iter().map(|g| (g.group, g.tensors)).collect();
    assert_eq!(groups, [("loss", 1), ("grad", 2), ("param", 2), ("update", 2)]);
}

#[test]
fn a_wrong_step_is_noticed_where_the_parameter_hides_it() {
    let mut wrong = ours();
    // Half the way.
    wrong.insert("param.fc.weight".into(), {
        let tensor = tensor(&[CLASSES, FEATURES], 1.0);
        Tensor::new(tensor.shape(), tensor.data().iter().map(|x| x * 1.00005).collect()).unwrap()
    });
    assert_eq!(failed(&report(wrong)), ["update.fc.weight"]);
}

#[test]
fn what_is_frozen_must_not_be_trained() {
    let mut wrong = ours();
    wrong.insert("buffer.Mixed_5b.branch1x1.bn.running_mean".into(), tensor(&[64], 0.0));
    assert_eq!(failed(&report(wrong)), ["frozen"]);
}

#[test]
fn what_is_missing_or_not_finite_fails() {
    let mut wrong = ours();
    wrong.remove("grad.fc.bias");
    wrong.insert("loss".into(), Tensor::new(&[2], vec![1.0, f32::NAN]).unwrap());
    let report = report(wrong);
    assert_eq!(failed(&report), ["grad.fc.bias", "loss"]);
    assert!(report.groups.iter().filter(|g| !g.passed()).map(|g| g.group).eq(["loss", "grad"]));
}

#[test]
fn a_dump_is_a_reference_of_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
    file([0, 1, 2, 0], &[]).save_safetensors(&first).unwrap();
    let reference = Reference::open(&first).unwrap();
    assert!(reference.trains());
    reference.dump(&report(ours())).unwrap().save_safetensors(&second).unwrap();
    let (file, recipe) =
        (Weights::open(&second).unwrap(), Recipe::read(&Weights::open(&second).unwrap()).unwrap());
    assert_eq!((recipe.labels.as_slice(), recipe.freeze), (&[0, 1, 2, 0][..], 94));
    let report =
        recipe.report(&file, &before(), &network(), &Tolerances::parse("0").unwrap(), ours()).unwrap();
    assert!(report.passed(), "{:?}", failed(&report));
    assert!(Reference::open(&second).unwrap().weights().is_ok());
}

#[test]
fn random_weights_are_shifted_as_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.safetensors");
    let weights = |shift: Option<(&str, &str)>| {
        let mut file = file([0; 4], &[]);
        if let Some((ending, by)) = shift {
            file.set_metadata(&format!("weights.shift.{ending}"), by);
        }
        file.save_safetensors(&path).unwrap();
        Reference::open(&path).unwrap().weights()
    };
    let (plain, shifted) = (weights(None).unwrap(), weights(Some(("bn.bias", "2.0"))).unwrap());
    for name in ["Mixed_5b.branch1x1.bn.bias", "Mixed_5b.branch1x1.bn.weight", "fc.bias"] {
        let by = if name.ends_with("bn.bias") { 2.0 } else { 0.0 };
        let expected: Vec<f32> = plain.f32(name).unwrap().iter().map(|x| x + by).collect();
        assert!(*shifted.f32(name).unwrap() == expected, "{name}");
    }
    for shift in [("bn.bias", "much"), ("no.such", "2")] {
        assert!(weights(Some(shift)).err().unwrap().to_string().contains(shift.0));
    }
}

#[test]
fn a_broken_file_is_refused_with_what_is_wrong() {
    let read = |file: &Weights| {
        let recipe = Recipe::read(file)?;
        recipe.check(file, CLASSES)?;
        recipe.report(file, &before(), &network(), &Tolerances::default(), ours())
    };
    let refused = |file: Weights, says: &str| {
        let message = read(&file).err().unwrap().to_string();
        assert!(message.contains(says), "`{says}` is not in `{message}`");
    };
    let good = || file([0, 1, 2, 0], &[]);
    let with = |key: &str, value: &str| {
        let mut file = good();
        file.set_metadata(key, value);
        file
    };
    assert!(read(&good()).is_ok());
    refused(file([0, 3, 0, 0], &[]), "class 3, and the weights have 3 classes");
    refused(file([0, -1, 0, 0], &[]), "-1 is no class");
    for name in ["input", "labels", "loss"] {
        refused(file([0; 4], &[name]), &format!("`{name}`: missing"));
    }
    refused(file([0; 4], &["param.fc.bias"]), "`param.fc.bias`: missing, and it learns");
    refused(file([0; 4], &["grad.fc.weight"]), "`grad.fc.weight`: missing, and it learns");
    refused(with("steps", "3"), "steps is 3, and `input` has 2");
    refused(with("lr", "fast"), "lr is `fast`");
    refused(with("momentum", "-0.5"), "momentum is `-0.5`");
    refused(with("freeze", "2.5"), "freeze is 2.5");
    refused(with("head", "logit"), "head is `logit`, and the weights have 3 outputs");
    refused(with("head", "ears"), "head is `logit` or `classes`, not `ears`");
    refused(with("f32_error.grad", "7e-4"), "make the reference with another seed");
    let losses = ["grad.fc.weight", "grad.fc.bias", "param.fc.weight", "param.fc.bias"];
    assert!(read(&file([0; 4], &losses)).unwrap().passed(), "losses alone are a reference too");
    assert!(Recipe::read(&Weights::from_tensors(std::iter::empty()).unwrap()).is_err());
    assert!(Reference::open(Path::new("nowhere.safetensors")).is_err());
}

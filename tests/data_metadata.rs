//! What weights say of their training survives a file.
#![allow(clippy::unwrap_used)] // a test may panic

use nodal::data::{CLASSES_KEY, Fit, MEAN_TENSOR, MeanImage, Normalize, Preprocess, class_names};
use nodal::{Tensor, Weights};

fn saved(weights: &Weights) -> Weights {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    weights.save(&path).unwrap();
    Weights::open(&path).unwrap()
}

fn with_tensor(name: &str, tensor: &Tensor) -> Weights {
    Weights::from_tensors([(name, tensor)].into_iter()).unwrap()
}

#[test]
fn every_way_of_preprocessing_survives_a_file() {
    let mean = Tensor::new(&[3, 2, 5], (0..30).map(|i| i as f32 * 8.5).collect()).unwrap();
    let image = MeanImage::read(&with_tensor("mean", &mean), "mean").unwrap();
    for normalize in [Normalize::Tf, Normalize::Imagenet, Normalize::None, Normalize::Mean(image)] {
        for fit in [Fit::Pad, Fit::Resize, Fit::ResizePad] {
            let preprocess = Preprocess {
                size: (2, 5),
                fit,
                normalize: normalize.clone(),
                standardize: fit == Fit::Resize,
            };
            let mut weights = with_tensor(MEAN_TENSOR, &mean);
            preprocess.note(&mut weights);
            assert_eq!(Preprocess::of_weights(&saved(&weights)).unwrap(), preprocess);
        }
    }
}

#[test]
fn a_mean_that_is_noted_must_be_there() {
    let mut weights = with_tensor("fc.bias", &Tensor::zeros(&[1]));
    weights.set_metadata("preprocess.normalize", "mean");
    let message = Preprocess::of_weights(&weights).unwrap_err().to_string();
    assert!(message.contains("`preprocess.mean`"), "{message}");
}

#[test]
fn standardising_is_noted_over_what_stood_there_and_nonsense_is_refused() {
    let mut weights = with_tensor("fc.bias", &Tensor::zeros(&[1]));
    assert!(!Preprocess::of_weights(&weights).unwrap().standardize, "older files do not say");
    for standardize in [true, false] {
        Preprocess { standardize, ..Preprocess::default() }.note(&mut weights);
        assert_eq!(Preprocess::of_weights(&saved(&weights)).unwrap().standardize, standardize);
    }
    weights.set_metadata("preprocess.standardize", "yes");
    let message = Preprocess::of_weights(&weights).unwrap_err().to_string();
    assert!(message.contains("standardize is `true` or `false`, not `yes`"), "{message}");
}

#[test]
fn mean_file_is_read_where_the_option_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mean: 1,2.safetensors");
    let mean = Tensor::new(&[1, 2, 3], vec![0.0, 1.0, 2.0, 127.5, 254.0, 255.0]).unwrap();
    with_tensor("mean", &mean).save(&path).unwrap();
    let normalize = Normalize::parse(&format!("mean:{}", path.display())).unwrap();
    let preprocess = Preprocess { size: (2, 3), fit: Fit::Pad, normalize, standardize: false };
    let mut out = [f32::NAN; 18];
    preprocess.apply(&nodal::Image::from_pixels(1, 1, 3, &[255, 51, 0]).unwrap(), &mut out).unwrap();
    // One pixel in a 2×3 input lies in the top row, middle column; the odd row is at the bottom.
    for (c, x) in [255.0f32, 51.0, 0.0].into_iter().enumerate() {
        let expected = [0.0, (x - 1.0) / 127.5, -2.0 / 127.5, -1.0, -254.0 / 127.5, -2.0];
        assert_eq!(out[6 * c..6 * c + 6], expected, "channel {c}");
    }
}

#[test]
fn class_names_keep_commas_quotes_and_accents() {
    let names = ["benign, small", "a \"b\"", "métastase\n"];
    let mut weights = with_tensor("fc.bias", &Tensor::zeros(&[3]));
    weights.set_metadata(CLASSES_KEY, &serde_json::json!(names).to_string());
    assert_eq!(class_names(&saved(&weights), 3).unwrap(), names);
    for (outputs, says) in
        [(4, "expected 4 different names, got 3"), (2, "expected 2 different names, got 3")]
    {
        let message = class_names(&weights, outputs).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
    weights.set_metadata(CLASSES_KEY, "negative,positive");
    assert!(class_names(&weights, 1).unwrap_err().to_string().contains("is no JSON array of names"));
    assert!(
        class_names(&with_tensor("fc.bias", &Tensor::zeros(&[1])), 1).unwrap() == ["negative", "positive"]
    );
}

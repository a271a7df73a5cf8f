//! The library's face: images, batches and raw tensors give the same answers, whatever the batch and the threads.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used)] // a test may panic

use nodal::data::Preprocess;
use nodal::network::{AvgPoolPadding, Network};
use nodal::{Device, Image, Model, ModelOptions, Tensor, Weights};

const SIZE: (usize, usize) = (75, 91);

fn weights(classes: usize) -> Weights {
    let network = Network::inception_v3(SIZE, classes, AvgPoolPadding::Include).unwrap();
    let mut weights = Weights::random(4, &network.parameters()).unwrap();
    Preprocess { size: SIZE, ..Preprocess::default() }.note(&mut weights);
    weights
}

fn model(weights: &Weights, threads: usize, batch: usize) -> Model {
    let device = Device::open("cpu", Some(threads)).unwrap();
    Model::new(weights, &device, &ModelOptions { batch, ..ModelOptions::default() }).unwrap()
}

fn crops() -> Vec<Image> {
    (0..7)
        .map(|n| {
            let (h, w) = (20 + 9 * n, 31 + 5 * n);
            let pixels: Vec<u8> = (0..h * w).map(|i| ((i * (n + 3)) % 256) as u8).collect();
            Image::from_pixels(h, w, 1, &pixels).unwrap()
        })
        .collect()
}

#[test]
fn batches_and_threads_change_no_bit() {
    let weights = weights(1);
    let mut one = model(&weights, 1, 1);
    assert_eq!(one.preprocess().size, SIZE, "the weights know their size");
    let expected: Vec<_> = crops().iter().map(|crop| one.classify(crop).unwrap()).collect();
    // 200 is far more than there are crops: most of the planned work is not there.
    for (threads, batch) in [(1, 3), (2, 1), (3, 4), (5, 8), (3, 200)] {
        let got = model(&weights, threads, batch).classify_batch(&crops()).unwrap();
        assert_eq!(got, expected, "{threads} threads, batch {batch}");
    }
    assert!(expected.iter().any(|p| *p != expected[0]), "different crops get different answers");
}

#[test]
fn a_raw_tensor_gives_the_logits_behind_the_probabilities() {
    let mut model = model(&weights(1), 2, 2);
    let crops = &crops()[..2];
    let mut values = vec![0.0; 2 * 3 * SIZE.0 * SIZE.1];
    for (crop, values) in crops.iter().zip(values.chunks_mut(3 * SIZE.0 * SIZE.1)) {
        model.preprocess().clone().apply(crop, values).unwrap();
    }
    let logits = model.logits(&Tensor::new(&[2, 3, SIZE.0, SIZE.1], values).unwrap()).unwrap();
    for (prediction, logit) in model.classify_batch(crops).unwrap().iter().zip(logits.data()) {
        let p = 1.0 / (1.0 + (-f64::from(*logit)).exp());
        assert!((f64::from(prediction.probabilities[1]) - p).abs() <= 1e-7);
    }
    let error = model.logits(&Tensor::zeros(&[1, 3, 75, 75])).unwrap_err().to_string();
    assert_eq!(error, "input: expected [1 to 2, 3, 75, 91], got [1, 3, 75, 75]");
}

#[test]
fn several_classes_have_names_and_probabilities_that_sum_to_one() {
    let mut weights = weights(3);
    assert_eq!(model(&weights, 1, 1).classes(), ["class 0", "class 1", "class 2"]);
    weights.set_metadata("classes", r#"["a", "b, c", "d"]"#);
    let mut model = model(&weights, 1, 1);
    assert_eq!(model.classes(), ["a", "b, c", "d"]);
    let prediction = model.classify(&crops()[0]).unwrap();
    assert!((prediction.probabilities.iter().sum::<f32>() - 1.0).abs() <= 1e-6);
}

#[test]
fn metadata_out_of_range_is_an_error_that_names_the_file() {
    for (key, value, says) in [
        ("preprocess.size", "299 by 299", "a size is"),
        ("preprocess.size", "20x20", "each side must lie between 75"),
        ("preprocess.fit", "squeeze", "fit is `pad`"),
        ("preprocess.normalize", "mean:/etc/passwd", "no normalisation"),
        ("preprocess.normalize", "mean", "`preprocess.mean`: missing"),
        ("avg_pool_padding", "both", "avg_pool_padding is"),
        ("classes", "[\"only one\"]", "expected 2 different names, got 1"),
        ("classes", "negative,positive", "no JSON array"),
    ] {
        let mut weights = weights(1);
        weights.set_metadata(key, value);
        let device = Device::open("cpu", Some(1)).unwrap();
        let error = Model::new(&weights, &device, &ModelOptions::default()).err().unwrap().to_string();
        assert!(error.contains(says), "{key}={value}: {error}");
    }
}

#[test]
fn fused_and_unfused_programs_agree_on_every_layer() {
    use nodal::device::Engine;
    use nodal::program::{Fusion, Keep, Options, Program};
    let (batch, weights, device) = (2, weights(5), Device::open("cpu", Some(2)).unwrap());
    for padding in [AvgPoolPadding::Include, AvgPoolPadding::Exclude] {
        let network = Network::inception_v3(SIZE, 5, padding).unwrap();
        let run = |fusion| {
            let options = Options { fusion, keep: Keep::Layers, ..Options::new(batch, device.target()) };
            let mut engine =
                Engine::new(Program::lower(&network, &options).unwrap(), &weights, &device).unwrap();
            for (i, x) in engine.input().iter_mut().enumerate() {
                *x = ((i * 7919) % 1009) as f32 / 504.5 - 1.0;
            }
            engine.run(batch).unwrap();
            engine
        };
        let (fused, alone) = (run(Fusion::Full), run(Fusion::None));
        assert!(fused.program().steps.len() * 3 < alone.program().steps.len());
        for (name, _) in &fused.program().outputs {
            let (a, b) = (fused.output(name, batch).unwrap(), alone.output(name, batch).unwrap());
            let difference = |(x, y): (&f32, &f32)| f64::from(x - y).powi(2);
            let error: f64 = a.data().iter().zip(b.data()).map(difference).sum::<f64>().sqrt();
            let norm = b.data().iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            // Each of the two lies within 2e-6 of float64.
            assert!(error <= 4e-6 * norm, "{name}: {:.2e}", error / norm);
        }
    }
}

#[test]
fn sharing_memory_changes_no_bit() {
    use nodal::device::Engine;
    use nodal::program::{Keep, Options, Program};
    let (weights, device) = (weights(1), Device::open("cpu", Some(2)).unwrap());
    let network = Network::inception_v3(SIZE, 1, AvgPoolPadding::Include).unwrap();
    let logits: Vec<f32> = [Keep::Output, Keep::Layers]
        .into_iter()
        .map(|keep| {
            let options = Options { keep, ..Options::new(1, device.target()) };
            let mut engine =
                Engine::new(Program::lower(&network, &options).unwrap(), &weights, &device).unwrap();
            let mut out = [0.0];
            for _ in 0..2 {
                engine.input().iter_mut().enumerate().for_each(|(i, x)| *x = (i % 17) as f32 / 17.0);
                engine.run(1).unwrap();
                engine.logits(1, &mut out).unwrap();
            }
            out[0]
        })
        .collect();
    assert_eq!(logits[0].to_bits(), logits[1].to_bits());
}

/// On the way to a GPU crops are padded and normalised by a kernel.
#[cfg(feature = "sim")]
#[test]
fn the_simulator_classifies_as_the_processor_does() {
    let weights = weights(3);
    let device = Device::open("sim", None).unwrap();
    let mut sim =
        Model::new(&weights, &device, &ModelOptions { batch: 4, ..ModelOptions::default() }).unwrap();
    let mut cpu = model(&weights, 2, 4);
    let crops = crops();
    let (ours, expected) = (sim.classify_batch(&crops).unwrap(), cpu.classify_batch(&crops).unwrap());
    for (ours, expected) in ours.iter().zip(&expected) {
        let pairs = ours.probabilities.iter().zip(&expected.probabilities);
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() <= 1e-6), "{ours:?} {expected:?}");
    }
    let values: Vec<f32> = (0..3 * SIZE.0 * SIZE.1).map(|i| (i % 97) as f32 / 48.0 - 1.0).collect();
    let input = Tensor::new(&[1, 3, SIZE.0, SIZE.1], values).unwrap();
    let (ours, expected) = (sim.logits(&input).unwrap(), cpu.logits(&input).unwrap());
    for (a, b) in ours.data().iter().zip(expected.data()) {
        assert!((a - b).abs() <= 1e-5, "{ours:?} {expected:?}");
    }
}

/// Blocks that finish in another order add in the same one.
#[cfg(feature = "sim")]
#[test]
fn the_simulators_threads_change_no_bit() {
    let weights = weights(1);
    let classify = |threads| {
        let device = Device::open("sim", Some(threads)).unwrap();
        let mut model =
            Model::new(&weights, &device, &ModelOptions { batch: 2, ..ModelOptions::default() }).unwrap();
        model.classify_batch(&crops()[..3]).unwrap()
    };
    let expected = classify(1);
    assert_eq!(classify(3), expected);
    assert_eq!(classify(2), expected);
}

//! Grad-CAM and occlusion against a plain computation.

use nodal::data::{Fit, MeanImage, Normalize, Preprocess};
use nodal::device::Engine;
use nodal::explain::{ExplainOptions, Explainer, Map, Method};
use nodal::program::{Options, Program};
use nodal::{Device, Error, Image, Model, ModelOptions, Tensor, Weights};

use crate::plain::{cam, holds, network, random, relative};

/// Waves of a different shape in each channel.
fn pixels(h: usize, w: usize) -> Vec<u8> {
    let pixel = |i: usize| {
        let (y, x, c) = ((i / 3 / w) as f64, (i / 3 % w) as f64, (i % 3) as f64);
        (127.0 + 60.0 * (x / (5.0 + c)).sin() + 60.0 * (y / 9.0 + x * c / 31.0).cos()) as u8
    };
    (0..h * w * 3).map(pixel).collect()
}

fn image(h: usize, w: usize) -> Image {
    Image::from_pixels(h, w, 3, &pixels(h, w)).unwrap()
}

fn explainer(weights: &Weights, layer: Option<&str>, preprocess: Preprocess) -> nodal::Result<Explainer> {
    let options = ExplainOptions {
        layer: layer.map(str::to_string),
        preprocess: Some(preprocess),
        ..ExplainOptions::default()
    };
    Explainer::new(weights, &Device::open("cpu", Some(2)).unwrap(), &options)
}

fn sized(size: (usize, usize)) -> Preprocess {
    Preprocess { size, ..Preprocess::default() }
}

#[test]
fn grad_cam_is_what_its_definition_says() {
    let (weights, size, image) = (random(5, 3), (107, 139), image(90, 101));
    let device = Device::open("cpu", Some(2)).unwrap();
    let mut input = vec![0.0; 3 * size.0 * size.1];
    sized(size).apply(&image, &mut input).unwrap();
    for (layer, class) in [("Mixed_7c", 2), ("Mixed_6e", 0), ("Mixed_5b.branch5x5_2", 1)] {
        let options = Options { gradient: Some(layer.into()), ..Options::new(1, device.target()) };
        let mut engine =
            Engine::new(Program::lower(&network(size, 3), &options).unwrap(), &weights, &device).unwrap();
        engine.input().copy_from_slice(&input);
        let mut dy = [0.0; 3];
        dy[class] = 1.0;
        engine.run_gradient(1, &dy).unwrap();
        let (a, g) = (engine.output(layer, 1).unwrap(), engine.output(&format!("grad.{layer}"), 1).unwrap());
        let expected: Vec<f32> = cam(&a, &g).into_iter().map(|x| x.max(0.0)).collect();

        let mut explainer = explainer(&weights, Some(layer), sized(size)).unwrap();
        let explanation = explainer.grad_cam(&image, Some(class)).unwrap();
        assert_eq!((explanation.method, explanation.class), (Method::GradCam, class));
        assert_eq!((explanation.coarse.height, explanation.coarse.width), (a.shape()[2], a.shape()[3]));
        holds(layer, relative(&explanation.coarse.values, &expected), 1e-6);
        assert_eq!(explanation.map, explanation.coarse.scaled(size.0, size.1));
        let mut model = Model::new(
            &weights,
            &device,
            &ModelOptions { preprocess: Some(sized(size)), ..ModelOptions::default() },
        )
        .unwrap();
        assert_eq!(explanation.prediction, model.classify(&image).unwrap());
        assert_eq!(explanation.crop.dimensions(), (139, 107));
        assert_eq!(explanation.overlay().dimensions(), (139, 107));
    }
}

/// Of one logit the two classes have opposite signs: what is above 0 for one is 0 for the other.
#[test]
fn the_two_classes_of_one_logit_are_opposites() {
    let mut explainer = explainer(&random(6, 1), Some("Mixed_6d"), sized((107, 107))).unwrap();
    let image = image(100, 90);
    let [no, yes] = [0, 1].map(|class| explainer.grad_cam(&image, Some(class)).unwrap().coarse.values);
    assert!(no.iter().zip(&yes).all(|(no, yes)| *no == 0.0 || *yes == 0.0), "{no:?} {yes:?}");
    assert!(no.iter().chain(&yes).any(|x| *x > 0.0));
    let predicted = explainer.grad_cam(&image, None).unwrap();
    assert_eq!(predicted.class, predicted.prediction.class);
}

/// Each square, drawn into the image by hand with the mean that normalisation takes away, goes through [`Model::classify`].
#[test]
fn occlusion_is_the_drop_of_the_probability_by_each_square() {
    let (size, patch, stride, mean) = ((75, 80), 40, 25, 100u8);
    let means = Tensor::new(&[1, size.0, size.1], vec![f32::from(mean); size.0 * size.1]).unwrap();
    let file = Weights::from_tensors([("mean", &means)].into_iter()).unwrap();
    let normalize = Normalize::Mean(MeanImage::read(&file, "mean").unwrap());
    let preprocess = Preprocess { normalize, fit: Fit::Pad, ..sized(size) };
    let (weights, picture) = (random(7, 3), image(size.0, size.1));
    let device = Device::open("cpu", Some(2)).unwrap();
    let options = ModelOptions { preprocess: Some(preprocess.clone()), ..ModelOptions::default() };
    let mut model = Model::new(&weights, &device, &options).unwrap();
    let whole = model.classify(&picture).unwrap();
    let class = (whole.class + 1) % 3;

    let pixels = pixels(size.0, size.1);
    let (mut sums, mut counts) = (vec![0.0f64; size.0 * size.1], vec![0.0f64; size.0 * size.1]);
    let mut drops = Vec::new();
    for top in [0, 25, 35] {
        for left in [0, 25, 40] {
            let mut hidden = pixels.clone();
            let inside = |i: usize| {
                let (y, x) = (i / size.1, i % size.1);
                (top..top + patch).contains(&y) && (left..left + patch).contains(&x)
            };
            (0..size.0 * size.1).filter(|i| inside(*i)).for_each(|i| hidden[3 * i..3 * i + 3].fill(mean));
            let hidden = Image::from_pixels(size.0, size.1, 3, &hidden).unwrap();
            let drop = whole.probabilities[class] - model.classify(&hidden).unwrap().probabilities[class];
            drops.push(drop);
            for i in (0..size.0 * size.1).filter(|i| inside(*i)) {
                sums[i] += f64::from(drop);
                counts[i] += 1.0;
            }
        }
    }
    let expected: Vec<f32> = sums.iter().zip(counts).map(|(sum, count)| (sum / count) as f32).collect();

    let mut explainer = explainer(&weights, Some("Mixed_6e"), preprocess).unwrap();
    let mut heard = Vec::new();
    let explanation = explainer
        .occlusion_watched(&picture, Some(class), (patch, stride), &mut |done, all| heard.push((done, all)))
        .unwrap();
    assert_eq!(heard, [(8, 9), (9, 9)]);
    assert_eq!(explanation.prediction, whole);
    assert_eq!((explanation.method, explanation.class), (Method::Occlusion, class));
    // The batch must not change a bit, nor the way a pixel came into the input.
    assert_eq!(explanation.coarse, Map { height: 3, width: 3, values: drops });
    assert_eq!(explanation.map, Map { height: size.0, width: size.1, values: expected });
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let weights = random(8, 2);
    let says = |layer: Option<&str>, size, text: &str| {
        let error = explainer(&weights, layer, sized(size)).err().unwrap();
        assert!(matches!(error, Error::Argument(_)) && error.to_string().contains(text), "{error}");
    };
    says(Some("Mixed_9z"), (107, 107), "Conv2d_1a_3x3, ");
    says(Some("fc"), (107, 107), "single pixel");
    says(Some("Mixed_5b.pool"), (107, 107), "Mixed_7c");
    says(Some("input"), (107, 107), "Mixed_7c");
    says(Some("Mixed_7c"), (75, 75), "name Mixed_6e (3×3)");
    let mut small = explainer(&weights, None, sized((75, 80))).unwrap();
    assert_eq!(small.layer(), "Mixed_6e");
    let image = image(75, 80);
    assert!(matches!(small.grad_cam(&image, Some(2)), Err(Error::Argument(_))));
    for (patch, stride) in [(0, 1), (76, 1), (32, 0), (32, 33)] {
        assert!(matches!(small.occlusion(&image, None, patch, stride), Err(Error::Argument(_))));
    }
    assert_eq!(explainer(&weights, None, sized((107, 107))).unwrap().layer(), "Mixed_7c");

    let device = Device::open("cpu", Some(1)).unwrap();
    let options = Options { gradient: Some("Mixed_7c".into()), ..Options::new(1, device.target()) };
    let mut engine =
        Engine::new(Program::lower(&network((75, 75), 2), &options).unwrap(), &weights, &device).unwrap();
    assert!(matches!(engine.run(1), Err(Error::Argument(_))), "without factors");
    assert!(matches!(engine.run_gradient(1, &[1.0]), Err(Error::Shape { .. })));
    assert!(matches!(engine.run_gradient(2, &[1.0; 4]), Err(Error::Shape { .. })));
    assert!(engine.output("grad.Mixed_7b", 1).is_err());
}

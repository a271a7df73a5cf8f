//! Crops and finished values in the layout of the first convolution.

use super::*;
use crate::data::{Fit, Image, MeanImage, Normalize, Preprocess};
use crate::program::testing::Maker;
use crate::program::{Crop, Layout, Samples};

#[test]
fn images_are_packed_in_column_pairs() {
    for (device, (h, w)) in devices().into_iter().flat_map(|d| [(d.clone(), (5, 8)), (d, (6, 9))]) {
        if device.target().layout != Layout::Blocked8 {
            continue;
        }
        let shape = MapShape { c: 3, h, w };
        let input = Input::new(2, shape);
        let program = Maker::packing(&device.target(), shape).finish(2);
        let weights = Weights::random(1, &program.network.parameters()).unwrap();
        let ours = run(&device, &program, &weights, &input, &["packed"]);
        compare(&device, "pack", &ours[0], shape, |n, c, h, w| {
            input.get(n, c, h as isize, w as isize).unwrap()
        });
    }
}

/// An image of `channels`, of 8 bits or of 16.
fn picture(height: usize, width: usize, channels: usize, deep: bool) -> Image {
    let values = (0..height * width * channels).map(|i| (i * 7919 + 13) % 65_521);
    match deep {
        true => {
            let samples: Vec<u16> = values.map(|v| v as u16).collect();
            Image::from_pixels_u16(height, width, channels, &samples).unwrap()
        }
        false => {
            let samples: Vec<u8> = values.map(|v| (v % 256) as u8).collect();
            Image::from_pixels(height, width, channels, &samples).unwrap()
        }
    }
}

#[test]
fn crops_are_padded_and_normalised_to_the_same_bits_on_every_device() {
    let size = (11, 15);
    let mean = |channels: usize| {
        let values: Vec<f32> = (0..channels * 11 * 15).map(|i| 127.0 + 100.0 * value(i)).collect();
        let tensor = crate::Tensor::new(&[channels, 11, 15], values).unwrap();
        let file = Weights::from_tensors([("mean", &tensor)].into_iter()).unwrap();
        Normalize::Mean(MeanImage::read(&file, "mean").unwrap())
    };
    let kinds = [Normalize::Tf, Normalize::Imagenet, Normalize::None, mean(1), mean(3)];
    // Smaller, as large, of odd rests, larger; 8 and 16 bits.
    let images = [(4, 7, 1, false), (11, 15, 3, false), (5, 15, 3, true), (23, 9, 1, false), (1, 1, 1, true)];
    let images = images.map(|(h, w, channels, deep)| picture(h, w, channels, deep));
    for (device, normalize) in devices().into_iter().flat_map(|d| kinds.clone().map(|kind| (d.clone(), kind)))
    {
        for fit in [Fit::Pad, Fit::ResizePad] {
            let preprocess =
                Preprocess { size, fit, normalize: normalize.clone(), standardize: fit == Fit::ResizePad };
            let shape = MapShape { c: 3, h: size.0, w: size.1 };
            let program =
                Maker::crops(&device.target(), shape, normalize.normalization()).finish(images.len());
            let weights = Weights::random(1, &program.network.parameters()).unwrap();
            let mut engine = Engine::new(program, &weights, &device).unwrap();
            let mut expected = vec![0.0; images.len() * shape.elements()];
            let (mut room, maps) = (Vec::new(), expected.chunks_exact_mut(shape.elements()));
            for (i, (image, map)) in images.iter().zip(maps).enumerate() {
                preprocess.apply(image, map).unwrap();
                engine.put_crop(i, &preprocess.crop(image, &mut room).unwrap()).unwrap();
            }
            engine.run(images.len()).unwrap();
            let ours = engine.output("ready", images.len()).unwrap();
            let what = format!("{device}, {}, {fit}", normalize.name());
            assert!(ours.data().iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{what}");

            // Finished values are taken as they are.
            let values =
                Crop { height: 11, width: 15, channels: 3, samples: Samples::Values(&expected[..495]) };
            engine.put_crop(0, &values).unwrap();
            engine.run(1).unwrap();
            assert_eq!(engine.output("ready", 1).unwrap().data(), &expected[..495], "{what}");
        }
    }
}

#[test]
fn crops_that_do_not_fit_are_refused() {
    let shape = MapShape { c: 3, h: 5, w: 6 };
    for device in devices() {
        let program = Maker::crops(&device.target(), shape, Normalize::Tf.normalization()).finish(2);
        let weights = Weights::random(1, &program.network.parameters()).unwrap();
        let mut engine = Engine::new(program, &weights, &device).unwrap();
        let bytes = [0; 36];
        let mut put = |image, height, width, channels, count: usize| {
            let samples = Samples::Bytes(&bytes[..count]);
            engine.put_crop(image, &Crop { height, width, channels, samples }).is_ok()
        };
        assert!(put(0, 5, 6, 1, 30) && put(1, 1, 1, 3, 3));
        for (image, height, width, channels, count) in [
            (2, 5, 6, 1, 30),
            (0, 6, 6, 1, 36),
            (0, 5, 7, 1, 35),
            (0, 0, 6, 1, 0),
            (0, 3, 3, 2, 18),
            (0, 3, 3, 3, 26),
        ] {
            assert!(
                !put(image, height, width, channels, count),
                "{image}, {height}×{width}×{channels}, {count}"
            );
        }
    }
}

#[test]
fn crops_stay_until_others_come_and_wrong_headers_harm_nobody() {
    let network = Network::inception_v3((75, 75), 1, AvgPoolPadding::Include).unwrap();
    let weights = Weights::random(3, &network.parameters()).unwrap();
    for device in devices() {
        let input = crate::program::Input::Crops(Normalize::Tf.normalization());
        let options = crate::program::Options { input, ..crate::program::Options::new(1, device.target()) };
        let mut engine = Engine::new(Program::lower(&network, &options).unwrap(), &weights, &device).unwrap();
        let pixels: Vec<u8> = (0..40 * 30).map(|i| (i % 251) as u8).collect();
        let crop = Crop { height: 40, width: 30, channels: 1, samples: Samples::Bytes(&pixels) };
        engine.put_crop(0, &crop).unwrap();
        let mut logits = [[f32::NAN]; 2];
        for logit in &mut logits {
            engine.run(1).unwrap();
            engine.logits(1, logit).unwrap();
        }
        assert!(logits[0][0].is_finite() && logits[0] == logits[1], "{device}: {logits:?}");
        for header in [[75, 75, 1 << 20, 0], [u32::MAX, 5, 1, 1], [1 << 30, 1 << 30, 3, 7], [0, 0, 0, 0]] {
            let memory: &mut [u32] = bytemuck::cast_slice_mut(engine.input());
            memory[..4].copy_from_slice(&header);
            engine.run(1).unwrap();
        }
    }
}

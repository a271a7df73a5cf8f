//! Batches: in order, the same for any number of threads, and their mean image.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)] // a test may panic

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nodal::data::train::{Augmentation, Batch, Dataset, Images, Loader, LoaderOptions};
use nodal::data::{Fit, MEAN_TENSOR, MeanImage, Normalize, Preprocess};
use nodal::{Image, Tensor, Weights};

fn crops() -> Dataset {
    Dataset::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crops")).unwrap()
}

fn preprocess() -> Preprocess {
    Preprocess { size: (75, 81), ..Preprocess::default() }
}

fn options(threads: usize) -> LoaderOptions {
    let augmentation: Augmentation = "hflip=0.5,vflip=0.5,rotate=180@0.8,noise=5@0.5".parse().unwrap();
    LoaderOptions { batch: 7, seed: 3, threads, augmentation, ..LoaderOptions::default() }
}

struct Made {
    index: usize,
    bits: Vec<u32>,
    labels: Vec<usize>,
    samples: Vec<usize>,
}

fn made(batch: nodal::Result<Batch>) -> Made {
    let batch = batch.unwrap();
    let bits = batch.inputs.iter().map(|x| x.to_bits()).collect();
    Made { index: batch.index, bits, labels: batch.labels.clone(), samples: batch.samples.clone() }
}

#[test]
fn batches_are_the_same_for_any_number_of_threads() {
    let data = crops();
    let part: Vec<usize> = (0..320).step_by(7).collect();
    let mut first: Option<Vec<Made>> = None;
    for (threads, ahead, limit) in [(1, 1, usize::MAX), (2, 1, 0), (3, 4, 50_000), (5, 2, usize::MAX)] {
        let images = Arc::new(Images::open(&data, limit, threads).unwrap());
        let options = LoaderOptions { ahead, ..options(threads) };
        let loader = Loader::new(&data, &images, &part, &preprocess(), options).unwrap();
        let all: Vec<Made> = loader.epoch(4, 0).unwrap().map(made).collect();
        assert_eq!(all.len(), loader.batches());
        assert!(all.iter().enumerate().all(|(i, batch)| batch.index == i));
        match &first {
            None => first = Some(all),
            Some(first) => {
                for (a, b) in first.iter().zip(&all) {
                    assert!(
                        (a.bits == b.bits) && (&a.samples, &a.labels) == (&b.samples, &b.labels),
                        "{threads} threads, batch {}",
                        a.index
                    );
                }
            }
        }
    }
}

#[test]
fn an_epoch_has_each_image_once_in_an_order_of_its_own() {
    let data = crops();
    let images = Arc::new(Images::open(&data, usize::MAX, 2).unwrap());
    let part: Vec<usize> = (100..130).collect();
    let order = |options: LoaderOptions, epoch: u64| -> Vec<usize> {
        let loader = Loader::new(&data, &images, &part, &preprocess(), options).unwrap();
        loader.epoch(epoch, 0).unwrap().flat_map(|batch| made(batch).samples).collect()
    };
    let mut orders = BTreeSet::new();
    for (seed, epoch) in [(3, 0), (3, 1), (3, 2), (4, 0)] {
        let order = order(LoaderOptions { seed, ..options(1) }, epoch);
        let mut sorted = order.clone();
        sorted.sort();
        assert_eq!(sorted, part);
        orders.insert(order);
    }
    assert_eq!(orders.len(), 4);
    assert_eq!(order(LoaderOptions { shuffle: false, ..options(1) }, 5), part);
    let dropped = order(LoaderOptions { drop_last: true, ..options(1) }, 1);
    assert_eq!(dropped, order(options(1), 1)[..28]);
}

#[test]
fn inputs_are_the_images_with_their_labels() {
    let data = crops();
    let images = Arc::new(Images::open(&data, usize::MAX, 2).unwrap());
    let augmentation = Augmentation::default();
    let plain = LoaderOptions { augmentation, ..options(2) };
    let (part, preprocess) = ((0..320).step_by(5).collect::<Vec<_>>(), preprocess());
    let loader = Loader::new(&data, &images, &part, &preprocess, plain).unwrap();
    for batch in loader.epoch(0, 0).unwrap() {
        let batch = batch.unwrap();
        let length = 3 * 75 * 81;
        assert_eq!(batch.inputs.len(), length * batch.samples.len());
        for (i, &sample) in batch.samples.iter().enumerate() {
            assert_eq!(batch.labels[i], data.samples()[sample].label);
            let mut expected = vec![f32::NAN; length];
            preprocess.apply(&Image::open(&data.samples()[sample].image).unwrap(), &mut expected).unwrap();
            assert!(batch.inputs[i * length..][..length] == expected);
        }
    }
}

#[test]
fn augmentation_differs_from_epoch_to_epoch_and_not_with_the_part() {
    let data = crops();
    let images = Arc::new(Images::open(&data, usize::MAX, 2).unwrap());
    let of = |part: &[usize], epoch| {
        let options = LoaderOptions { shuffle: false, ..options(2) };
        let loader = Loader::new(&data, &images, part, &preprocess(), options).unwrap();
        made(loader.epoch(epoch, 0).unwrap().next().unwrap()).bits
    };
    let length = 3 * 75 * 81;
    assert!(of(&[5, 6], 0) != of(&[5, 6], 1));
    assert!(of(&[5, 6], 0)[length..] == of(&[6], 0));
}

#[test]
fn an_epoch_starts_at_any_batch() {
    let data = crops();
    let images = Arc::new(Images::open(&data, usize::MAX, 2).unwrap());
    let part: Vec<usize> = (60..100).collect();
    let loader = Loader::new(&data, &images, &part, &preprocess(), options(2)).unwrap();
    let whole: Vec<Made> = loader.epoch(2, 0).unwrap().map(made).collect();
    assert_eq!(whole.len(), 6);
    for first in 0..=6 {
        let rest: Vec<Made> = loader.epoch(2, first).unwrap().map(made).collect();
        assert_eq!(rest.len(), 6 - first);
        assert!(rest.iter().zip(&whole[first..]).all(|(a, b)| a.index == b.index && a.bits == b.bits));
    }
    assert!(loader.epoch(2, 7).is_err());
}

#[test]
fn a_dropped_epoch_ends_its_threads() {
    let data = crops();
    let images = Arc::new(Images::open(&data, usize::MAX, 2).unwrap());
    let part: Vec<usize> = (0..320).collect();
    for taken in [0, 1, 3] {
        let loader = Loader::new(&data, &images, &part, &preprocess(), options(3)).unwrap();
        let mut epoch = loader.epoch(0, 0).unwrap();
        for _ in 0..taken {
            epoch.next().unwrap().unwrap();
        }
        // What the thread holds goes with it.
        drop(loader);
        assert_eq!(Arc::strong_count(&images), 2);
        drop(epoch);
        assert_eq!(Arc::strong_count(&images), 1);
    }
}

#[test]
fn waiting_is_counted() {
    let data = crops();
    let images = Arc::new(Images::open(&data, 0, 2).unwrap());
    let part: Vec<usize> = (0..60).collect();
    let loader = Loader::new(&data, &images, &part, &preprocess(), options(1)).unwrap();
    let mut epoch = loader.epoch(0, 0).unwrap();
    assert_eq!(epoch.waited(), Duration::ZERO);
    epoch.next().unwrap().unwrap();
    let first = epoch.waited();
    assert!(first > Duration::ZERO);
    // The others are made meanwhile; taking a finished one takes no time to speak of, on a machine with much else to do at one of
    // several tries.
    let waited: Vec<Duration> = (0..4)
        .map(|_| {
            std::thread::sleep(Duration::from_secs(1));
            let before = epoch.waited();
            epoch.next().unwrap().unwrap();
            epoch.waited() - before
        })
        .collect();
    assert!(waited.iter().any(|waited| *waited < Duration::from_millis(100)), "waited {waited:?}");
}

#[test]
fn an_image_that_vanishes_is_named_and_ends_the_epoch() {
    let folder = tempfile::tempdir().unwrap();
    for (class, name) in [("a", "1.png"), ("a", "2.png"), ("b", "1.png"), ("b", "2.png")] {
        std::fs::create_dir_all(folder.path().join(class)).unwrap();
        let crop = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grey.png");
        std::fs::copy(crop, folder.path().join(class).join(name)).unwrap();
    }
    let data = Dataset::open(folder.path()).unwrap();
    let images = Arc::new(Images::open(&data, 0, 1).unwrap());
    std::fs::remove_file(folder.path().join("b/1.png")).unwrap();
    std::fs::write(folder.path().join("b/2.png"), "").unwrap();
    for threads in [1, 2, 3] {
        let options = LoaderOptions { batch: 2, shuffle: false, threads, ..LoaderOptions::default() };
        let loader = Loader::new(&data, &images, &[0, 1, 2, 3, 0], &preprocess(), options).unwrap();
        let mut epoch = loader.epoch(0, 0).unwrap();
        assert!(epoch.next().unwrap().is_ok());
        let message = epoch.next().unwrap().err().unwrap().to_string();
        assert!(message.contains("b/1.png: cannot read"), "{message}");
        assert!(epoch.next().is_none());
    }
}

#[test]
fn what_makes_no_batch_is_refused() {
    let data = crops();
    let images = Arc::new(Images::open(&data, 0, 2).unwrap());
    let refused = |part: &[usize], preprocess: Preprocess, change: fn(&mut LoaderOptions)| {
        let mut options = options(1);
        change(&mut options);
        Loader::new(&data, &images, part, &preprocess, options).err().unwrap().to_string()
    };
    let none: fn(&mut LoaderOptions) = |_| {};
    assert!(refused(&[], preprocess(), none).contains("0 images do not fill a batch of 1"));
    assert!(refused(&[320], preprocess(), none).contains("beyond the 320"));
    assert!(
        refused(&[1], preprocess(), |o| o.drop_last = true).contains("1 images do not fill a batch of 7")
    );
    let zeros: [fn(&mut LoaderOptions); 3] = [|o| o.batch = 0, |o| o.threads = 0, |o| o.ahead = 0];
    for change in zeros {
        assert!(refused(&[1], preprocess(), change).contains("each is at least 1"));
    }
    for size in [(0, 5), (5, 0), (usize::MAX, 5)] {
        refused(&[1], Preprocess { size, ..Preprocess::default() }, none);
    }
    let mean = MeanImage::of(&Preprocess { size: (5, 6), ..preprocess() }, [images.get(0)]).unwrap();
    let preprocess = Preprocess { normalize: Normalize::Mean(mean), ..preprocess() };
    assert_eq!(refused(&[1], preprocess, none), "mean image: expected 75×81, got 5×6");
}

#[test]
fn the_mean_image_is_the_mean_of_padded_images() {
    let data = crops();
    let train = &data.split().unwrap().train;
    let opened = |i: &usize| Image::open(&data.samples()[*i].image);
    for (fit, standardize) in [(Fit::Pad, false), (Fit::Pad, true), (Fit::Resize, false)] {
        let preprocess = Preprocess { fit, standardize, ..preprocess() };
        let mean = MeanImage::of(&preprocess, train.iter().map(opened)).unwrap();
        assert_eq!(mean.shape(), [1, 75, 81]);
        let values = Preprocess { normalize: Normalize::None, ..preprocess };
        let mut sums = vec![0.0f64; 3 * 75 * 81];
        let mut input = vec![0.0; sums.len()];
        for i in train {
            values.apply(&opened(i).unwrap(), &mut input).unwrap();
            sums.iter_mut().zip(&input).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        for (ours, sum) in mean.values().iter().zip(&sums) {
            assert_eq!(*ours, (sum / train.len() as f64) as f32);
        }
        assert!(mean.values().iter().any(|x| *x > 50.0));
    }
}

#[test]
fn a_colour_image_makes_a_mean_of_three_channels() {
    let grey = Image::from_pixels(1, 2, 1, &[10, 20]).unwrap();
    let colour = Image::from_pixels(2, 2, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]).unwrap();
    let preprocess = Preprocess { size: (2, 2), ..Preprocess::default() };
    let mean = MeanImage::of(&preprocess, [Ok(&grey), Ok(&colour)]).unwrap();
    assert_eq!(mean.shape(), [3, 2, 2]);
    let expected = [5.5, 12.0, 3.5, 5.0, 6.0, 12.5, 4.0, 5.5, 6.5, 13.0, 4.5, 6.0];
    assert_eq!(mean.values(), expected);
    assert!(MeanImage::of::<Image>(&preprocess, []).is_err());
    let empty = Preprocess { size: (0, 2), ..Preprocess::default() };
    assert!(MeanImage::of(&empty, [Ok(&grey)]).is_err());
}

#[test]
fn a_mean_image_goes_with_the_weights() {
    let data = crops();
    let part = &data.split().unwrap().train[..20];
    let base = Preprocess { standardize: true, ..preprocess() };
    let mean = MeanImage::of(&base, part.iter().map(|&i| Image::open(&data.samples()[i].image))).unwrap();
    let preprocess = Preprocess { normalize: Normalize::Mean(mean), ..base };
    let tensor = preprocess.mean().unwrap().unwrap();
    let bias = Tensor::zeros(&[1]);
    let tensors = [("fc.bias", &bias), (MEAN_TENSOR, &tensor)];
    let mut weights = Weights::from_tensors(tensors.into_iter()).unwrap();
    preprocess.note(&mut weights);
    let folder = tempfile::tempdir().unwrap();
    for name in ["w.safetensors", "w.pth"] {
        let path = folder.path().join(name);
        weights.save(&path).unwrap();
        assert_eq!(Preprocess::of_weights(&Weights::open(&path).unwrap()).unwrap(), preprocess, "{name}");
    }
    assert!(Preprocess::default().mean().unwrap().is_none());
}

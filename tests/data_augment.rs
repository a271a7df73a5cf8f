//! Augmentation against the plain formula on whole padded inputs.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)] // a test may panic

use nodal::Image;
use nodal::data::train::{Augmentation, Fill, Room, Transform};
use nodal::data::{Fit, Normalize, Preprocess};

fn image(h: usize, w: usize, channels: usize) -> Image {
    let pixels: Vec<u8> = (0..h * w * channels).map(|i| (i * 37 % 211 + 40) as u8).collect();
    Image::from_pixels(h, w, channels, &pixels).unwrap()
}

fn plain(size: (usize, usize), fit: Fit) -> Preprocess {
    Preprocess { size, fit, normalize: Normalize::None, standardize: false }
}

fn apply(transform: &Transform, preprocess: &Preprocess, image: &Image) -> Vec<f32> {
    let mut out = vec![f32::NAN; 3 * preprocess.size.0 * preprocess.size.1];
    transform.apply(preprocess, image, &mut Room::default(), &mut out).unwrap();
    out
}

/// `image` fitted and not augmented.
fn fitted(preprocess: &Preprocess, image: &Image) -> Vec<f32> {
    let mut out = vec![f32::NAN; 3 * preprocess.size.0 * preprocess.size.1];
    preprocess.apply(image, &mut out).unwrap();
    out
}

fn turned(degrees: f64, fill: Fill) -> Transform {
    Transform { degrees, fill, ..Transform::default() }
}

/// The value of `map` at (y, x), zero outside.
fn pixel(map: &[f32], (h, w): (usize, usize), y: f64, x: f64) -> f64 {
    let inside = (0.0..h as f64).contains(&y) && (0.0..w as f64).contains(&x);
    if inside { f64::from(map[y as usize * w + x as usize]) } else { 0.0 }
}

/// `maps` turned about the middle, bilinear, zeros from outside: the formula, in float64, pixel by pixel.
fn naive(maps: &[f32], (h, w): (usize, usize), degrees: f64) -> Vec<f64> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (cy, cx) = ((h as f64 - 1.0) / 2.0, (w as f64 - 1.0) / 2.0);
    let mut out = Vec::new();
    for map in maps.chunks_exact(h * w) {
        for row in 0..h {
            for column in 0..w {
                let (dy, dx) = (row as f64 - cy, column as f64 - cx);
                let (y, x) = (cy + sin * dx + cos * dy, cx + cos * dx - sin * dy);
                let (y0, x0) = (y.floor(), x.floor());
                let (b, a) = (y - y0, x - x0);
                let p = |dy: f64, dx: f64| pixel(map, (h, w), y0 + dy, x0 + dx);
                out.push(
                    (1.0 - b) * ((1.0 - a) * p(0.0, 0.0) + a * p(0.0, 1.0))
                        + b * ((1.0 - a) * p(1.0, 0.0) + a * p(1.0, 1.0)),
                );
            }
        }
    }
    out
}

/// An image's size, the input's, and how the one gets into the other.
type Case = ((usize, usize), (usize, usize), Fit);

const CASES: [Case; 7] = [
    ((7, 12), (31, 30), Fit::Pad),
    ((12, 7), (30, 31), Fit::Pad),
    ((1, 1), (9, 8), Fit::Pad),
    ((1, 20), (24, 21), Fit::Pad),
    ((29, 20), (30, 23), Fit::Pad), // corners leave the input
    ((11, 14), (20, 17), Fit::Resize),
    ((40, 20), (20, 30), Fit::ResizePad),
];

#[test]
fn a_rotation_is_the_formula_on_the_padded_input() {
    for (from, size, fit) in CASES {
        for channels in [1, 3] {
            let (image, preprocess) = (image(from.0, from.1, channels), plain(size, fit));
            let whole = fitted(&preprocess, &image);
            for degrees in [-180.0, -133.7, -90.0, -12.0, 1e-3, 30.0, 45.0, 89.9, 90.0, 179.0, 270.0, 361.0] {
                let ours = apply(&turned(degrees, Fill::Zero), &preprocess, &image);
                for (i, (a, b)) in ours.iter().zip(naive(&whole, size, degrees)).enumerate() {
                    // Weights and two products are rounded to float32 at values up to 255; a coordinate's error of 1e-14 counts
                    // where it crosses a pixel at full contrast, and is far below.
                    assert!(
                        (f64::from(*a) - b).abs() <= 1e-4,
                        "{from:?} in {size:?}, {degrees}°, {i}: {a} and {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn quarter_turns_are_exact() {
    let side = 25;
    for (h, w, channels) in [(8, 13, 1), (25, 4, 3), (25, 25, 1)] {
        let (image, preprocess) = (image(h, w, channels), plain((side, side), Fit::Pad));
        let whole = fitted(&preprocess, &image);
        for (degrees, from) in [
            (0.0, (|y, x, _| (y, x)) as fn(usize, usize, usize) -> (usize, usize)),
            (90.0, |y, x, n| (x, n - y)), // the right edge becomes the top
            (180.0, |y, x, n| (n - y, n - x)),
            (270.0, |y, x, n| (n - x, y)),
            (-90.0, |y, x, n| (n - x, y)),
            (360.0, |y, x, _| (y, x)),
        ] {
            let ours = apply(&turned(degrees, Fill::Zero), &preprocess, &image);
            for (i, value) in ours.iter().enumerate() {
                let (y, x) = from(i / side % side, i % side, side - 1);
                assert_eq!(*value, whole[(i / side / side * side + y) * side + x], "{degrees}° at {i}");
            }
        }
    }
}

#[test]
fn flips_mirror_the_padded_input() {
    for (from, size, fit) in CASES {
        for channels in [1, 3] {
            let (image, preprocess) = (image(from.0, from.1, channels), plain(size, fit));
            let (whole, (h, w)) = (fitted(&preprocess, &image), size);
            for (hflip, vflip) in [(true, false), (false, true), (true, true)] {
                let ours = apply(&Transform { hflip, vflip, ..Transform::default() }, &preprocess, &image);
                for (i, value) in ours.iter().enumerate() {
                    let (c, y, x) = (i / w / h, i / w % h, i % w);
                    let (y, x) = (if vflip { h - 1 - y } else { y }, if hflip { w - 1 - x } else { x });
                    assert_eq!(*value, whole[(c * h + y) * w + x], "{from:?} in {size:?} at {i}");
                }
            }
        }
    }
}

#[test]
fn flips_come_before_the_rotation() {
    let (image, preprocess) = (image(8, 13, 1), plain((25, 25), Fit::Pad));
    let both = Transform { hflip: true, degrees: 90.0, ..Transform::default() };
    let (ours, whole) = (apply(&both, &preprocess, &image), fitted(&preprocess, &image));
    for (i, value) in ours.iter().take(625).enumerate() {
        // Flipped, the left edge becomes the top: a reflection about the diagonal.
        assert_eq!(*value, whole[i % 25 * 25 + i / 25]);
    }
}

#[test]
fn edge_keeps_the_crops_outline_and_repeats_its_edge() {
    let preprocess = plain((20, 21), Fit::Pad);
    let flat = Image::from_pixels(7, 12, 1, &[99; 84]).unwrap();
    for degrees in [10.0, 45.0, 90.0] {
        let ours = apply(&turned(degrees, Fill::Edge), &preprocess, &flat);
        assert_eq!(ours, fitted(&preprocess, &flat), "a flat crop stays as it is");
    }
    // A crop of columns turned by 90° has rows; those beyond the source's width repeat its first and last column.
    let columns: Vec<u8> = (0..5 * 9).map(|i| (10 + i % 9) as u8).collect();
    let image = Image::from_pixels(5, 9, 1, &columns).unwrap();
    let preprocess = plain((5, 9), Fit::Pad);
    let ours = apply(&turned(90.0, Fill::Edge), &preprocess, &image);
    for (row, values) in ours[..45].chunks_exact(9).enumerate() {
        assert_eq!(values, [(16 - row) as f32; 9], "row {row}");
    }
    let rows: Vec<u8> = (0..5 * 9).map(|i| (10 + i / 9) as u8).collect();
    let image = Image::from_pixels(5, 9, 1, &rows).unwrap();
    let ours = apply(&turned(90.0, Fill::Edge), &preprocess, &image);
    assert_eq!(ours[..9], [10.0, 10.0, 10.0, 11.0, 12.0, 13.0, 14.0, 14.0, 14.0]);
    let flipped = Transform { hflip: true, fill: Fill::Edge, ..Transform::default() };
    let placed = plain((5, 12), Fit::Pad);
    let image = Image::from_pixels(5, 9, 1, &columns).unwrap();
    assert_eq!(
        apply(&flipped, &placed, &image)[..12],
        [0., 18., 17., 16., 15., 14., 13., 12., 11., 10., 0., 0.]
    );
}

/// Noise alone, of exactly `std`.
fn noisy(seed: u64, sample: usize, std: f32) -> Transform {
    let drawn = "noise=5".parse::<Augmentation>().unwrap().draw(seed, 0, sample);
    Transform { noise_std: std, ..drawn }
}

#[test]
fn noise_has_its_deviation_and_stays_off_the_padding() {
    let grey = Image::from_pixels(100, 101, 1, &[128; 10_100]).unwrap();
    let preprocess = plain((120, 130), Fit::Pad);
    let whole = fitted(&preprocess, &grey);
    for std in [0.5, 5.0, 20.0] {
        let ours = apply(&noisy(3, 7, std), &preprocess, &grey);
        let map = 120 * 130;
        assert!(ours[..map] == ours[map..2 * map] && ours[..map] == ours[2 * map..], "grey stays grey");
        let differences: Vec<f64> = ours[..map]
            .iter()
            .zip(&whole)
            .filter(|(_, before)| **before != 0.0)
            .map(|(a, b)| f64::from(a - b) / f64::from(std))
            .collect();
        assert_eq!(differences.len(), 10_100);
        let mean = differences.iter().sum::<f64>() / 10_100.0;
        let variance = differences.iter().map(|d| d * d).sum::<f64>() / 10_100.0;
        // Five standard errors: 5 / √10,100 and 5 · √(2 / 10,100).
        assert!(mean.abs() <= 0.05 && (variance - 1.0).abs() <= 0.071, "{mean} {variance}");
        let neighbours = differences.windows(2).map(|d| d[0] * d[1]).sum::<f64>() / 10_100.0;
        assert!(neighbours.abs() <= 0.05, "{neighbours}");
        assert!(ours.iter().zip(&whole).all(|(a, b)| *b != 0.0 || *a == 0.0), "padding has no noise");
    }
}

#[test]
fn noise_is_bounded_and_by_channel_and_by_image() {
    let preprocess = plain((10, 10), Fit::Pad);
    let colour = Image::from_pixels(10, 10, 3, &[128; 300]).unwrap();
    let [a, b] = [noisy(1, 1, 9.0), noisy(1, 2, 9.0)].map(|noise| apply(&noise, &preprocess, &colour));
    assert!(a[..100] != a[100..200] && a[..100] != a[200..] && a != b);
    let bright = Image::from_pixels(10, 10, 1, &[250; 100]).unwrap();
    let ours = apply(&noisy(1, 1, 200.0), &preprocess, &bright);
    assert!(ours.iter().all(|x| (0.0..=255.0).contains(x)));
    assert!(ours.contains(&0.0) && ours.contains(&255.0));
}

#[test]
fn noise_follows_a_turned_crop_and_leaves_the_corners() {
    let preprocess = plain((60, 60), Fit::Pad);
    let grey = Image::from_pixels(30, 30, 1, &[128; 900]).unwrap();
    let plain = apply(&turned(45.0, Fill::Zero), &preprocess, &grey);
    let ours = apply(&Transform { degrees: 45.0, ..noisy(1, 1, 3.0) }, &preprocess, &grey);
    for (i, (a, b)) in ours.iter().zip(&plain).take(3600).enumerate() {
        // Half and more of a pixel lies in the crop, or none of it.
        assert!(*b != 0.0 || *a == 0.0, "at {i}: noise beside the crop");
        assert!(*b < 128.0 || a != b, "at {i}: no noise inside");
    }
}

#[test]
fn nothing_to_do_gives_the_bits_of_preprocessing() {
    let mut room = Room::default();
    for (from, size, fit) in CASES {
        for (channels, standardize) in [(1, false), (3, true)] {
            for normalize in [Normalize::Tf, Normalize::Imagenet] {
                let image = image(from.0, from.1, channels);
                let preprocess = Preprocess { size, fit, normalize, standardize };
                let mut out = vec![f32::NAN; 3 * size.0 * size.1];
                // Memory of other images does not matter.
                Transform::default().apply(&preprocess, &image, &mut room, &mut out).unwrap();
                let expected = fitted(&preprocess, &image);
                assert!(
                    out.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{from:?} in {size:?}"
                );
            }
        }
    }
}

#[test]
fn memory_of_other_images_changes_nothing() {
    let all: Augmentation = "hflip=0.5,vflip=0.5,rotate=180@0.7,noise=5@0.5".parse().unwrap();
    let (preprocess, mut room) = (plain((31, 30), Fit::Pad), Room::default());
    for i in 0..40 {
        let image = image(1 + i * 7 % 29, 1 + i * 11 % 28, [1, 3][i % 2]);
        let transform = all.draw(5, 0, i);
        let mut out = vec![f32::NAN; 3 * 31 * 30];
        transform.apply(&preprocess, &image, &mut room, &mut out).unwrap();
        assert_eq!(out, apply(&transform, &preprocess, &image), "image {i}");
    }
}

#[test]
fn an_input_of_another_length_is_refused() {
    let image = image(3, 4, 1);
    let preprocess = plain((5, 6), Fit::Pad);
    assert!(Transform::default().apply(&preprocess, &image, &mut Room::default(), &mut [0.0; 89]).is_err());
}

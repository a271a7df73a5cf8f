//! Images against Pillow: `tests/data/make_images.py` writes the files and what Pillow reads from them.
#![allow(clippy::unwrap_used)] // a test may panic

use std::path::{Path, PathBuf};

use nodal::data::{Fit, Normalize, Preprocess};
use nodal::{Image, Weights};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn expected() -> Weights {
    Weights::open(&folder().join("expected.safetensors")).unwrap()
}

/// Largest difference between planar `ours` [C, H, W] and `theirs` [H, W, C or 1]: grey stands for C equal channels.
fn worst(ours: &[f32], theirs: &[f32], [h, w, c]: [usize; 3]) -> f32 {
    let channels = theirs.len() / (h * w);
    let difference = |i: usize| ours[i % c * h * w + i / c] - theirs[i / c * channels + i % c % channels];
    // A NaN is the worst.
    let worse = |worst: f32, d: f32| if d > worst || d.is_nan() { d } else { worst };
    (0..h * w * c).map(|i| difference(i).abs()).fold(0.0, worse)
}

#[test]
fn every_format_decodes_as_pillow_decodes_it() {
    let expected = expected();
    let names: Vec<&str> = expected.names().filter(|n| n.starts_with("decode.")).collect();
    assert!(names.len() >= 28);
    for name in names {
        let image = Image::open(&folder().join(&name["decode.".len()..])).unwrap();
        let shape = [image.height(), image.width(), image.channels()];
        // A bitmap of grey levels is one of colours from a palette of greys.
        let compared = if name.ends_with(".bmp") { 2 } else { 3 };
        assert_eq!(shape[..compared], expected.shape(name).unwrap()[..compared], "{name}");
        // A colour JPEG leaves the last bit of chroma upsampling open; the others are exact.
        let tolerance = if name.ends_with("rgb.jpg") { 1.0 } else { 1e-4 };
        let worst = worst(&image.values(), &expected.f32(name).unwrap(), shape);
        assert!(worst <= tolerance, "{name}: differs by {worst} of 255");
    }
}

#[test]
fn resizing_is_within_two_levels_of_pillows() {
    let expected = expected();
    let names: Vec<&str> = expected.names().filter(|n| n.starts_with("resize.")).collect();
    assert!(names.len() >= 15);
    for name in names {
        let (file, size) = name["resize.".len()..].rsplit_once('.').unwrap();
        let (h, w) = nodal::data::parse_size(size).unwrap();
        let image = Image::open(&folder().join(file)).unwrap();
        let mut out = vec![0.0; 3 * h * w];
        let preprocess =
            Preprocess { size: (h, w), fit: Fit::Resize, normalize: Normalize::None, standardize: false };
        preprocess.apply(&image, &mut out).unwrap();
        let worst = worst(&out, &expected.f32(name).unwrap(), [h, w, image.channels()]);
        // Pillow rounds to whole levels after each of the two passes.
        assert!(worst <= 2.0, "{name}: differs by {worst} of 255");
    }
}

#[test]
fn resizing_without_rounding_is_pillows_arithmetic() {
    let expected = expected();
    let names: Vec<&str> = expected.names().filter(|n| n.starts_with("exact.")).collect();
    assert!(names.len() >= 15);
    for name in names {
        let (file, size) = name["exact.".len()..].rsplit_once('.').unwrap();
        let (h, w) = nodal::data::parse_size(size).unwrap();
        let image = Image::open(&folder().join(file)).unwrap();
        let mut out = vec![f32::NAN; 3 * h * w];
        let preprocess =
            Preprocess { size: (h, w), fit: Fit::Resize, normalize: Normalize::None, standardize: false };
        preprocess.apply(&image, &mut out).unwrap();
        let worst = worst(&out, &expected.f32(name).unwrap(), [h, w, image.channels()]);
        // Weights and sums are rounded to float32 here, in double there: some units of 255 · 2⁻²⁴ over two passes.
        assert!(worst <= 2e-4, "{name}: differs by {worst} of 255");
    }
}

#[test]
fn a_padded_input_has_the_bits_of_the_plain_formula() {
    let expected = expected();
    let names: Vec<&str> = expected.names().filter(|n| n.starts_with("input.")).collect();
    assert_eq!(names.len(), 6);
    for name in names {
        let (normalize, file) = name["input.".len()..].split_once('.').unwrap();
        let normalize = Normalize::parse(normalize).unwrap();
        let image = Image::open(&folder().join(file)).unwrap();
        // Whatever stood there before is overwritten.
        let mut out = vec![f32::NAN; 3 * 32 * 39];
        Preprocess { size: (32, 39), fit: Fit::Pad, normalize, standardize: false }
            .apply(&image, &mut out)
            .unwrap();
        for (i, (ours, theirs)) in out.iter().zip(expected.f32(name).unwrap().iter()).enumerate() {
            assert_eq!(ours.to_bits(), theirs.to_bits(), "{name} at {i}: {ours} and {theirs}");
        }
    }
}

#[test]
fn pixels_in_memory_are_checked_and_keep_16_bits() {
    let refused = |h, w, c, count| Image::from_pixels(h, w, c, &vec![0; count]).unwrap_err().to_string();
    for (h, w, c, count) in
        [(2, 3, 1, 5), (2, 3, 2, 12), (0, 3, 1, 0), (usize::MAX, 2, 3, 6), (1, 32_769, 1, 32_769)]
    {
        assert!(refused(h, w, c, count).starts_with("pixels: expected"), "{h}×{w}×{c}");
    }
    let deep = Image::from_pixels_u16(1, 2, 3, &[0, 257, 65535, 1, 2, 128 * 257 + 64]).unwrap();
    assert_eq!(deep.values(), [0.0, 1.0 / 257.0, 1.0, 2.0 / 257.0, 255.0, 128.0 + 64.0 / 257.0]);
}

#[test]
fn an_input_of_another_size_is_refused() {
    let image = Image::from_pixels(2, 3, 1, &[7; 6]).unwrap();
    for (size, length) in [((0, 4), 0), ((4, 0), 0), ((4, 5), 59), ((usize::MAX, 3), 3)] {
        let preprocess = Preprocess { size, ..Preprocess::default() };
        assert!(preprocess.apply(&image, &mut vec![0.0; length]).is_err(), "{size:?} into {length}");
    }
}

#[test]
fn changed_bytes_never_panic() {
    for name in [
        "grey.jpg",
        "rgb.jpg",
        "progressive.jpg",
        "palette.png",
        "interlaced.png",
        "deep.tif",
        "lzw.tif",
        "rgb.bmp",
    ] {
        let whole = std::fs::read(folder().join(name)).unwrap();
        for at in (0..whole.len()).step_by(3) {
            for value in [0, 0x7f, 0xff, whole[at] ^ 0x10] {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Err(error) = Image::from_bytes(Path::new(name), &changed) {
                    let message = error.to_string();
                    assert!(message.starts_with(name) && !message.contains('\n'), "{message}");
                }
            }
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for name in ["grey.jpg", "rgb.jpg", "grey.png", "deep.tif", "rgb.bmp"] {
        let whole = std::fs::read(folder().join(name)).unwrap();
        // A PNG or TIFF ends in bytes that no pixel needs.
        for length in (0..whole.len() - whole.len() / 4).step_by(7) {
            assert!(Image::from_bytes(Path::new(name), &whole[..length]).is_err(), "{name} cut at {length}");
        }
    }
}

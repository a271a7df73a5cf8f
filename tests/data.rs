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
    (0..h * w * c).map(|i| difference(i).abs()).fold(0.0, f32::max)
}

#[test]
fn every_format_decodes_as_pillow_decodes_it() {
    let expected = expected();
    let names: Vec<&str> = expected.names().filter(|n| n.starts_with("decode.")).collect();
    assert!(names.len() >= 14);
    for name in names {
        let image = Image::open(&folder().join(&name["decode.".len()..])).unwrap();
        let shape = [image.height(), image.width(), image.channels()];
        // A bitmap of grey levels is one of colours from a palette of greys.
        let compared = if name.ends_with("grey.bmp") { 2 } else { 3 };
        assert_eq!(shape[..compared], expected.shape(name).unwrap()[..compared], "{name}");
        // A colour JPEG leaves the last bit of chroma upsampling open; the others are exact.
        let tolerance = if name.ends_with("rgb.jpg") { 1.0 } else { 1e-4 };
        let worst = worst(image.values(), &expected.f32(name).unwrap(), shape);
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
        let preprocess = Preprocess { size: (h, w), fit: Fit::Resize, normalize: Normalize::None };
        preprocess.apply(&image, &mut out).unwrap();
        let worst = worst(&out, &expected.f32(name).unwrap(), [h, w, image.channels()]);
        // Pillow rounds to whole levels after each of the two passes.
        assert!(worst <= 2.0, "{name}: differs by {worst} of 255");
    }
}

#[test]
fn changed_bytes_never_panic() {
    for name in ["grey.jpg", "rgb.jpg", "palette.png", "deep.tif", "rgb.bmp"] {
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

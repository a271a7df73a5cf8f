//! Takes a crop's own brightness and contrast away: y = 127.5 + 42.5 · (x − m) / s, bounded to 0 and 255, with the mean m and the
//! standard deviation s of all pixels and channels of the crop as it lies in the input, padding left out.
//!
//! The bounds are three standard deviations away, so that a burnt-in mark of a few pixels cannot take the range from the rest, and
//! values stay on the scale of pixels: noise, mean images and normalisation mean the same as without. A crop whose deviation is
//! below a thousandth of a grey level has no contrast to speak of and becomes 127.5 throughout.
//!
//! Sums are taken in float64, by channel, row and column, so that every way to an input gives the same bits.

use super::fit::Frame;

/// What the mean becomes.
const MIDDLE: f64 = 127.5;
/// What a standard deviation becomes.
const SPREAD: f64 = 42.5;
/// Deviation below which a crop counts as flat, in grey levels.
const FLAT: f64 = 1e-3;

/// Standardises what lies in `frame` of the first `channels` maps of `maps`, maps of `size`.
pub(super) fn standardize(channels: usize, frame: Frame, size: (usize, usize), maps: &mut [f32]) {
    let maps = &mut maps[..channels * size.0 * size.1];
    let count = (channels * frame.height * frame.width) as f64;
    let sum = |term: &dyn Fn(f64) -> f64| -> f64 {
        let maps = maps.chunks_exact(size.0 * size.1);
        let rows = maps.flat_map(|map| map.chunks_exact(size.1).skip(frame.top).take(frame.height));
        rows.flat_map(|row| &row[frame.left..][..frame.width]).map(|&x| term(f64::from(x))).sum()
    };
    let mean = sum(&|x| x) / count;
    let deviation = (sum(&|x| (x - mean) * (x - mean)) / count).sqrt();
    let scale = if deviation < FLAT { 0.0 } else { SPREAD / deviation };
    for map in maps.chunks_exact_mut(size.0 * size.1) {
        for row in map.chunks_exact_mut(size.1).skip(frame.top).take(frame.height) {
            for x in &mut row[frame.left..][..frame.width] {
                *x = (MIDDLE + scale * (f64::from(*x) - mean)).clamp(0.0, 255.0) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Fit, Image, Normalize, Preprocess};
    use crate::program::Samples;

    fn standardized(image: &Image, size: (usize, usize)) -> Vec<f32> {
        let mut out = vec![f32::NAN; 3 * size.0 * size.1];
        let preprocess = Preprocess { size, fit: Fit::Pad, normalize: Normalize::None, standardize: true };
        preprocess.apply(image, &mut out).unwrap();
        out
    }

    #[test]
    fn four_pixels_by_hand() {
        // Mean 4, deviation √((9 + 1 + 1 + 9) / 4) = √5.
        let image = Image::from_pixels(2, 2, 1, &[1, 3, 5, 7]).unwrap();
        let out = standardized(&image, (2, 2));
        for (x, y) in [1.0f64, 3.0, 5.0, 7.0].into_iter().zip(&out) {
            let expected = 127.5 + 42.5 * (x - 4.0) / 5.0f64.sqrt();
            assert!((f64::from(*y) - expected).abs() <= 1e-5, "{out:?}");
        }
        assert_eq!(out[..4], out[8..], "grey goes to all channels");
    }

    #[test]
    fn brightness_and_contrast_make_no_difference_and_padding_stays_zero() {
        let pixels: Vec<u8> = (0..7 * 5).map(|i| (i * 37 % 50) as u8).collect();
        let other: Vec<u8> = pixels.iter().map(|x| 13 + 4 * x).collect();
        let [a, b] =
            [pixels, other].map(|p| standardized(&Image::from_pixels(7, 5, 1, &p).unwrap(), (9, 10)));
        // Rounded to float32 once, at values up to 255.
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 2e-5), "{a:?} {b:?}");
        assert!(a[..10].iter().chain(&a[10..12]).all(|x| *x == 0.0), "{a:?}");
        assert!(a[12] > 0.0);
    }

    #[test]
    fn a_flat_crop_is_grey_and_a_mark_is_bounded() {
        for value in [0, 1, 12_345, 65_535] {
            let flat = Image::from_pixels_u16(3, 7, 3, &[value; 63]).unwrap();
            assert_eq!(standardized(&flat, (3, 7)), [127.5; 63]);
        }
        let mut pixels = [100u8; 400];
        pixels[7] = 255;
        let out = standardized(&Image::from_pixels(20, 20, 1, &pixels).unwrap(), (20, 20));
        assert_eq!(out[7], 255.0);
        assert!(out[8] < 127.5 && out[8] > 120.0);
    }

    #[test]
    fn a_crop_for_a_device_has_the_same_pixels() {
        let pixels: Vec<u8> = (0..11 * 14 * 3).map(|i| (i * 31 % 251) as u8).collect();
        let image = Image::from_pixels(11, 14, 3, &pixels).unwrap();
        for (size, fit) in [((13, 17), Fit::Pad), ((8, 9), Fit::Pad), ((20, 20), Fit::ResizePad)] {
            let preprocess = Preprocess { size, fit, normalize: Normalize::None, standardize: true };
            let mut out = vec![f32::NAN; 3 * size.0 * size.1];
            preprocess.apply(&image, &mut out).unwrap();
            let mut room = vec![7.0; 5];
            let crop = preprocess.crop(&image, &mut room).unwrap();
            let Samples::Pixels(samples) = crop.samples else { panic!("bytes cannot be standardised") };
            let (top, left) = ((size.0 - crop.height) / 2, (size.1 - crop.width) / 2);
            for (i, sample) in samples.iter().enumerate() {
                let (c, y, x) = (i / crop.width / crop.height, i / crop.width % crop.height, i % crop.width);
                let there = out[(c * size.0 + top + y) * size.1 + left + x];
                assert_eq!(there.to_bits(), sample.to_bits(), "{fit} at {i}");
            }
        }
    }
}

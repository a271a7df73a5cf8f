//! What is done to pixel values x from 0 to 255.
//!
//! `tf`: x / 127.5 − 1, what torchvision's Inception-v3 weights expect (its `transform_input` undoes the ImageNet
//! normalisation). `imagenet`: (x / 255 − mean) / std by channel, torchvision's constants. `mean:FILE`: (x − mean) / 127.5
//! with an image of means. `none`: x.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fit::Frame;
use crate::error::{Error, Result};
use crate::program::{Mean, Normalization};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// torchvision's `transforms.Normalize` for ImageNet, by channel R, G, B.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// What is done to pixel values.
#[derive(Clone, Debug, PartialEq)]
pub enum Normalize {
    /// x / 127.5 − 1.
    Tf,
    /// (x / 255 − mean) / std.
    Imagenet,
    /// (x − mean) / 127.5.
    Mean(MeanImage),
    /// x.
    None,
}

/// The mean of fitted training images, [3, H, W] or [1, H, W], from 0 to 255.
#[derive(Clone, Debug)]
pub struct MeanImage {
    shape: [usize; 3],
    values: Arc<[f32]>,
    file: Option<PathBuf>,
}

/// The same means are the same image, wherever they were read.
impl PartialEq for MeanImage {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.values == other.values
    }
}

impl MeanImage {
    /// The tensor called `name` of `file`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing, has not 1 or 3 channels, or values outside 0 to 255.
    pub fn read(file: &Weights, name: &str) -> Result<Self> {
        let values = file.f32(name)?;
        let shape = file.shape(name).unwrap_or_default();
        let &[channels @ (1 | 3), h, w] = shape else {
            let problem = format!("expected shape [3, H, W] or [1, H, W], got {shape:?}");
            return Err(Error::tensor(file.path(), name, problem));
        };
        if let Some(bad) = values.iter().find(|x| !(0.0..=255.0).contains(*x)) {
            let problem = format!("holds {bad}; a mean image has values from 0 to 255");
            return Err(Error::tensor(file.path(), name, problem));
        }
        let file = Some(file.path().to_path_buf());
        Ok(MeanImage { shape: [channels, h, w], values: values.into(), file })
    }
}

impl MeanImage {
    /// Channels (1 or 3), height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The file it was read from, if it was.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The means, [C, H, W].
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same as a tensor, as [`MeanImage::read`] takes it.
    ///
    /// # Errors
    /// Those of [`Tensor::new`].
    pub fn tensor(&self) -> Result<Tensor> {
        Tensor::new(&self.shape, self.values.to_vec())
    }

    /// `values` [C, H, W] from 0 to 255.
    #[cfg(feature = "train")]
    pub(super) fn new(shape: [usize; 3], values: Vec<f32>) -> Self {
        MeanImage { shape, values: values.into(), file: None }
    }
}

impl Normalize {
    /// The normalisation called `text`: `tf`, `imagenet`, `none`, or `mean:FILE` with a safetensors file that has a
    /// tensor `mean`.
    ///
    /// # Errors
    /// [`Error::Argument`] for another name; those of [`Weights::open`] and [`MeanImage::read`] for the file.
    pub fn parse(text: &str) -> Result<Self> {
        match (text, text.strip_prefix("mean:")) {
            ("tf", _) => Ok(Normalize::Tf),
            ("imagenet", _) => Ok(Normalize::Imagenet),
            ("none", _) => Ok(Normalize::None),
            (_, Some(file)) => {
                Ok(Normalize::Mean(MeanImage::read(&Weights::open(Path::new(file))?, "mean")?))
            }
            _ => Err(Error::Argument(format!(
                "normalize is `tf`, `imagenet`, `mean:FILE` or `none`, not `{text}`"
            ))),
        }
    }

    /// The name without a file.
    pub fn name(&self) -> &'static str {
        match self {
            Normalize::Tf => "tf",
            Normalize::Imagenet => "imagenet",
            Normalize::Mean(_) => "mean",
            Normalize::None => "none",
        }
    }

    /// The same as a program's step.
    pub fn normalization(&self) -> Normalization {
        let of = |divisor, mean, scale| Normalization { divisor, mean: Mean::Channels(mean), scale };
        match self {
            Normalize::Tf => of(127.5, [1.0; 3], [1.0; 3]),
            Normalize::Imagenet => of(255.0, IMAGENET_MEAN, IMAGENET_STD),
            Normalize::None => of(1.0, [0.0; 3], [1.0; 3]),
            Normalize::Mean(mean) => Normalization {
                divisor: 1.0,
                mean: Mean::Image { channels: mean.shape[0], values: mean.values.clone() },
                scale: [127.5; 3],
            },
        }
    }

    /// # Errors
    /// [`Error::Shape`] for a mean image of another size.
    pub(super) fn check_size(&self, size: (usize, usize)) -> Result<()> {
        match self {
            Normalize::Mean(mean) if mean.shape[1..] != [size.0, size.1] => Err(Error::Shape {
                what: "mean image".into(),
                expected: format!("{}×{}", size.0, size.1),
                got: format!("{}×{}", mean.shape[1], mean.shape[2]),
            }),
            _ => Ok(()),
        }
    }

    /// Normalises `maps`, [3, H, W], in place: pixels in `frame`, and zeros everywhere else, whatever stands there.
    pub(super) fn apply(&self, frame: Frame, (h, w): (usize, usize), maps: &mut [f32]) {
        for (c, map) in maps.chunks_exact_mut(h * w).enumerate() {
            for (row, values) in map.chunks_exact_mut(w).enumerate() {
                if !(frame.top..frame.top + frame.height).contains(&row) {
                    self.fill(c, row * w, values);
                    continue;
                }
                let (left, values) = values.split_at_mut(frame.left);
                let (pixels, right) = values.split_at_mut(frame.width);
                self.fill(c, row * w, left);
                self.convert(c, row * w + frame.left, pixels);
                self.fill(c, row * w + frame.left + frame.width, right);
            }
        }
    }

    /// Normalises `x`, values of channel `c` from place `at` of its map on.
    fn convert(&self, c: usize, at: usize, x: &mut [f32]) {
        match self {
            Normalize::None => {}
            Normalize::Tf => x.iter_mut().for_each(|x| *x = *x / 127.5 - 1.0),
            Normalize::Imagenet => {
                let (mean, std) = (IMAGENET_MEAN[c], IMAGENET_STD[c]);
                x.iter_mut().for_each(|x| *x = (*x / 255.0 - mean) / std);
            }
            Normalize::Mean(mean) => {
                let [channels, h, w] = mean.shape;
                let mean = &mean.values[c % channels * h * w + at..];
                x.iter_mut().zip(mean).for_each(|(x, mean)| *x = (*x - *mean) / 127.5);
            }
        }
    }

    /// As [`Normalize::convert`] for pixels of value 0.
    fn fill(&self, c: usize, at: usize, x: &mut [f32]) {
        let mut zero = [0.0];
        match self {
            Normalize::Mean(_) => {
                x.fill(0.0);
                self.convert(c, at, x);
            }
            _ => {
                self.convert(c, at, &mut zero);
                x.fill(zero[0]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Fit, Image, Preprocess};

    fn apply(normalize: Normalize, channels: usize, pixels: &[u8]) -> Vec<f32> {
        let image = Image::from_pixels(1, 2, channels, pixels).unwrap();
        let mut out = vec![f32::NAN; 6];
        Preprocess { size: (1, 2), fit: Fit::Pad, normalize, standardize: false }
            .apply(&image, &mut out)
            .unwrap();
        out
    }

    #[test]
    fn each_formula_by_hand() {
        assert_eq!(apply(Normalize::Tf, 1, &[0, 255]), [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0]);
        assert_eq!(apply(Normalize::None, 3, &[1, 2, 3, 4, 5, 6]), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let expected = [(0.2f32 - 0.485) / 0.229, (1.0 - 0.456) / 0.224, (0.0 - 0.406) / 0.225];
        let got = apply(Normalize::Imagenet, 3, &[51, 255, 0, 51, 255, 0]);
        for c in 0..3 {
            assert!((got[2 * c] - expected[c]).abs() <= 1e-6, "{got:?}");
        }
    }

    #[test]
    fn the_mean_image_is_subtracted_pixel_by_pixel() {
        let mean = MeanImage { shape: [1, 1, 2], values: vec![127.5, 0.0].into(), file: None };
        assert_eq!(apply(Normalize::Mean(mean), 1, &[255, 51]), [1.0, 0.4, 1.0, 0.4, 1.0, 0.4]);
        let mean = MeanImage { shape: [3, 2, 2], values: vec![0.0; 12].into(), file: None };
        let image = Image::from_pixels(1, 2, 1, &[1, 2]).unwrap();
        let preprocess =
            Preprocess { size: (1, 2), fit: Fit::Pad, normalize: Normalize::Mean(mean), standardize: false };
        let error = preprocess.apply(&image, &mut [0.0; 6]).unwrap_err().to_string();
        assert_eq!(error, "mean image: expected 1×2, got 2×2");
    }

    #[test]
    fn what_is_no_mean_image_is_refused() {
        for (shape, values, says) in [
            (&[2, 1, 2][..], vec![0.0; 4], "expected shape [3, H, W] or [1, H, W], got [2, 1, 2]"),
            (&[1, 2], vec![0.0; 2], "expected shape"),
            (&[1, 1, 2], vec![0.0, 255.5], "holds 255.5; a mean image has values from 0 to 255"),
            (&[1, 1, 2], vec![-0.1, 3.0], "holds -0.1;"),
            (&[1, 1, 2], vec![f32::NAN, 3.0], "holds NaN;"),
        ] {
            let tensor = crate::Tensor::new(shape, values).unwrap();
            let file = Weights::from_tensors([("mean", &tensor)].into_iter()).unwrap();
            let message = MeanImage::read(&file, "mean").unwrap_err().to_string();
            assert!(message.contains("`mean`") && message.contains(says), "{message}");
        }
        let tensor = crate::Tensor::new(&[3, 1, 2], vec![0.0, 255.0, 1.0, 2.0, 3.0, 4.5]).unwrap();
        let file = Weights::from_tensors([("mean", &tensor)].into_iter()).unwrap();
        assert_eq!(MeanImage::read(&file, "mean").unwrap().shape, [3, 1, 2]);
        assert!(MeanImage::read(&file, "other").is_err());
    }
}

//! The library's face: weights in, a probability per image out.
//!
//! A [`Model`] owns all memory that classifying needs, and the threads of its device; it prints nothing and keeps
//! nothing global. One model serves one thread; make several for several.

use crate::data::{Image, Preprocess, class_names};
use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::network::{AvgPoolPadding, Network};
use crate::program::{Crop, Input, Options, Program, Samples};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// How a [`Model`] is made. What is `None` comes from the weights' metadata, and failing that from the default named.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Images a run takes at most; more are run in turns. Default 1.
    pub batch: usize,
    /// How an image becomes an input. Default: padded to 299×299, x / 127.5 − 1.
    pub preprocess: Option<Preprocess>,
    /// How average pools treat their padding. Default: include, as torchvision.
    pub avg_pool_padding: Option<AvgPoolPadding>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions { batch: 1, preprocess: None, avg_pool_padding: None }
    }
}

/// What the network says of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Index of the most probable class in [`Model::classes`].
    pub class: usize,
    /// A probability for each of [`Model::classes`]; they sum to 1.
    pub probabilities: Vec<f32>,
}

/// A network with its weights on a device, ready to classify.
pub struct Model {
    engine: Engine,
    preprocess: Preprocess,
    /// Pixels of an image that must be scaled.
    room: Vec<f32>,
    classes: Vec<String>,
    logits: Vec<f32>,
    probabilities: Vec<f32>,
}

impl Model {
    /// Puts `weights` on `device`. They are not needed afterwards.
    ///
    /// # Errors
    /// [`Error::Tensor`] for weights that are not Inception-v3's, [`Error::Argument`] or [`Error::Format`] for
    /// options or metadata out of range, [`Error::Device`] or [`Error::Memory`] when the device cannot take them.
    pub fn new(weights: &Weights, device: &Device, options: &ModelOptions) -> Result<Self> {
        let (preprocess, padding) = given_or_own(weights, &options.preprocess, options.avg_pool_padding)?;
        let outputs = outputs_of(weights)?;
        let network = Network::inception_v3(preprocess.size, outputs, padding)?;
        let target = device.target();
        // A GPU pads and normalises by itself: less travels to it.
        let input = match target.gpu.is_some() {
            true => Input::Crops(preprocess.normalize.normalization()),
            false => Input::Values,
        };
        let program = Program::lower(&network, &Options { input, ..Options::new(options.batch, target) })?;
        Ok(Model {
            engine: Engine::new(program, weights, device)?,
            preprocess,
            room: Vec::new(),
            classes: class_names(weights, outputs)?,
            logits: vec![0.0; options.batch * outputs],
            probabilities: vec![0.0; options.batch * outputs.max(2)],
        })
    }

    /// Names of the classes; two where the network has one logit, the second being the one it votes for.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How an image becomes an input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// The engine underneath.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Classifies one image.
    ///
    /// # Errors
    /// As [`Model::classify_batch`].
    pub fn classify(&mut self, image: &Image) -> Result<Prediction> {
        let mut all = self.classify_batch(std::slice::from_ref(image))?;
        all.pop().ok_or_else(|| Error::Argument("no image to classify".into()))
    }

    /// Classifies images, as many at a time as the model's batch.
    ///
    /// # Errors
    /// [`Error::Image`] for an image that does not fit the preprocessing, [`Error::Device`] when the device fails
    /// or the network's output is not finite.
    pub fn classify_batch(&mut self, images: &[Image]) -> Result<Vec<Prediction>> {
        let batch = self.engine.program().options.batch;
        let mut predictions = Vec::with_capacity(images.len());
        for turn in images.chunks(batch) {
            self.put(turn)?;
            predictions.extend(self.run_fitted(turn.len())?);
        }
        Ok(predictions)
    }

    /// Makes `images` the engine's input, the first of them its first image.
    ///
    /// # Errors
    /// [`Error::Shape`] for more images than the model's batch, [`Error::Image`] for one that does not fit the preprocessing.
    pub fn put(&mut self, images: &[Image]) -> Result<()> {
        let (h, w) = self.preprocess.size;
        let batch = self.engine.program().options.batch;
        if images.len() > batch {
            let (expected, got) = (format!("at most {batch}"), images.len().to_string());
            return Err(Error::Shape { what: "number of images".into(), expected, got });
        }
        if self.engine.program().options.input != Input::Values {
            for (i, image) in images.iter().enumerate() {
                self.engine.put_crop(i, &self.preprocess.crop(image, &mut self.room)?)?;
            }
            return Ok(());
        }
        for (image, input) in images.iter().zip(self.engine.input().chunks_exact_mut(3 * h * w)) {
            self.preprocess.apply(image, input)?;
        }
        Ok(())
    }

    /// Classifies the first `images` images that already lie in the engine's input.
    ///
    /// # Errors
    /// [`Error::Shape`] for more images than the model's batch; [`Error::Device`] as [`Model::classify_batch`].
    pub fn run_fitted(&mut self, images: usize) -> Result<Vec<Prediction>> {
        self.forward(images)?;
        let classes = self.probabilities.len() / self.engine.program().options.batch;
        self.engine.probabilities(images, &mut self.probabilities[..images * classes])?;
        let outputs = self.logits.len() / self.engine.program().options.batch;
        let probabilities = self.probabilities.chunks_exact(classes);
        self.logits[..images * outputs]
            .chunks_exact(outputs)
            .zip(probabilities)
            .map(|(x, p)| prediction(x, p))
            .collect()
    }

    /// Logits [N, K] of raw inputs [N, 3, H, W] that are already fitted and normalised; N at most the model's batch.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, [`Error::Device`] when the device fails.
    pub fn logits(&mut self, input: &Tensor) -> Result<Tensor> {
        let (h, w) = self.preprocess.size;
        let batch = self.engine.program().options.batch;
        let images = input.shape().first().copied().unwrap_or(0);
        if input.shape() != [images, 3, h, w] || !(1..=batch).contains(&images) {
            return Err(Error::Shape {
                what: "input".into(),
                expected: format!("[1 to {batch}, 3, {h}, {w}]"),
                got: format!("{:?}", input.shape()),
            });
        }
        self.put_values(input.data())?;
        self.forward(images)?;
        let outputs = self.logits.len() / batch;
        Tensor::new(&[images, outputs], self.logits[..images * outputs].to_vec())
    }

    /// Makes `values`, at most the model's batch of inputs [3, H, W] that are fitted and normalised, the engine's input.
    pub(crate) fn put_values(&mut self, values: &[f32]) -> Result<()> {
        if self.engine.program().options.input == Input::Values {
            self.engine.input()[..values.len()].copy_from_slice(values);
            return Ok(());
        }
        let (height, width) = self.preprocess.size;
        for (i, values) in values.chunks_exact(3 * height * width).enumerate() {
            let samples = Samples::Values(values);
            self.engine.put_crop(i, &Crop { height, width, channels: 3, samples })?;
        }
        Ok(())
    }

    fn forward(&mut self, images: usize) -> Result<()> {
        self.engine.run(images)?;
        let outputs = self.logits.len() / self.engine.program().options.batch;
        self.engine.logits(images, &mut self.logits[..images * outputs])
    }
}

/// How images become inputs and average pools treat their padding: as given, else as `weights` say.
pub(crate) fn given_or_own(
    weights: &Weights,
    preprocess: &Option<Preprocess>,
    padding: Option<AvgPoolPadding>,
) -> Result<(Preprocess, AvgPoolPadding)> {
    let preprocess = match preprocess {
        Some(preprocess) => preprocess.clone(),
        None => Preprocess::of_weights(weights)?,
    };
    Ok((preprocess, padding.map_or_else(|| avg_pool_padding_of(weights), Ok)?))
}

/// The metadata key under which weights say how their average pools treat the padding.
pub const AVG_POOL_PADDING_KEY: &str = "avg_pool_padding";

/// How the average pools of `weights` treat their padding: what its metadata says, or torchvision's way.
///
/// # Errors
/// [`Error::Format`] for metadata that says neither `include` nor `exclude`.
pub fn avg_pool_padding_of(weights: &Weights) -> Result<AvgPoolPadding> {
    match weights.metadata().get(AVG_POOL_PADDING_KEY) {
        Some(text) => {
            text.parse().map_err(|e: Error| Error::format(weights.path(), format!("metadata: {e}")))
        }
        None => Ok(AvgPoolPadding::default()),
    }
}

/// Number of outputs of the last layer in `weights`.
///
/// # Errors
/// [`Error::Tensor`] when there is no last layer, or none of Inception-v3's.
pub fn outputs_of(weights: &Weights) -> Result<usize> {
    match weights.shape("fc.weight") {
        Some(&[k, crate::network::FEATURES]) => Ok(k),
        Some(shape) => {
            let expected = crate::network::FEATURES;
            Err(Error::tensor(
                weights.path(),
                "fc.weight",
                format!(
                    "expected shape [K, {expected}], got {shape:?}: these are not the weights of an Inception-v3"
                ),
            ))
        }
        None => Err(Error::tensor(
            weights.path(),
            "fc.weight",
            "missing: these are not the weights of an Inception-v3",
        )),
    }
}

/// The class of the highest probability, the first of equal ones.
fn prediction(logits: &[f32], probabilities: &[f32]) -> Result<Prediction> {
    if let Some(bad) = logits.iter().find(|x| !x.is_finite()) {
        let problem =
            format!("the network's output is {bad}: weights and preprocessing do not belong together");
        return Err(Error::Device { device: "output".into(), problem });
    }
    let better = |best: usize, k: usize| if probabilities[k] > probabilities[best] { k } else { best };
    let class = (0..probabilities.len()).fold(0, better);
    Ok(Prediction { class, probabilities: probabilities.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_is_not_finite_is_an_error() {
        let p = [0.5, 0.5];
        assert!(prediction(&[f32::NAN], &p).is_err() && prediction(&[0.0, f32::INFINITY], &p).is_err());
    }
}

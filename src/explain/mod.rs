//! Heat maps of what decided: Grad-CAM from any layer, and occlusion.
//!
//! [`Explainer::grad_cam`] weights a layer's channels A_k by how much the logit y of a class grows with them: α_k is the mean over pixels
//! of ∂y/∂A_k, the map max(0, Σ_k α_k·A_k). Source: Selvaraju et al., "Grad-CAM", 2017 (arXiv 1610.02391), section 3. Of a network
//! with one logit the second class has that logit, the first class its negative.
//!
//! [`Explainer::occlusion`] hides one square of the input after the other and notes how much less probable the class becomes. Source:
//! Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014 (arXiv 1311.2901), section 4.2.
//!
//! Neither says that a decision is right, nor that it is right for the right reason. Left out: gradients by pixels, guided
//! backpropagation.

mod grad_cam;
mod map;
mod occlusion;
mod picture;

pub use map::Map;
pub use picture::{colour, save_png};

use image::RgbImage;

use crate::data::{Image, Preprocess};
use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::model::{Model, ModelOptions, Prediction, given_or_own, outputs_of};
use crate::network::{AvgPoolPadding, Network, Op};
use crate::program::{Options, Program};
use crate::weights::Weights;

/// How an [`Explainer`] is made. What is `None` comes from the weights' metadata or from the default named.
#[derive(Clone, Debug)]
pub struct ExplainOptions {
    /// The layer whose channels are weighted, by torchvision's name: a convolution, a block or a maximum pool. Default: `Mixed_7c`, or
    /// where an input is so small that this is one pixel, the last block of more.
    pub layer: Option<String>,
    /// How an image becomes an input, as in [`ModelOptions`].
    pub preprocess: Option<Preprocess>,
    /// How average pools treat their padding, as in [`ModelOptions`].
    pub avg_pool_padding: Option<AvgPoolPadding>,
    /// Occluded inputs that a run takes at most. Default 8.
    pub batch: usize,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        ExplainOptions { layer: None, preprocess: None, avg_pool_padding: None, batch: 8 }
    }
}

/// How a map came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// [`Explainer::grad_cam`].
    GradCam,
    /// [`Explainer::occlusion`].
    Occlusion,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Method::GradCam => "grad-cam",
            Method::Occlusion => "occlusion",
        })
    }
}

/// What decided on one image.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What the network says of the image.
    pub prediction: Prediction,
    /// The class that is explained, an index in [`Explainer::classes`].
    pub class: usize,
    /// How the maps came about.
    pub method: Method,
    /// Of Grad-CAM the map at the layer's size; of occlusion the drop of the class's probability by each square, a row of squares a row.
    pub coarse: Map,
    /// At the input's size: of Grad-CAM the same map, scaled bilinearly; of occlusion the mean drop over the squares that hide a pixel.
    pub map: Map,
    /// What the network saw: the image fitted to the input, before normalisation.
    pub crop: RgbImage,
}

/// A network on a device, ready to explain; it owns its memory and its device's threads.
pub struct Explainer {
    model: Model,
    /// Forward, and backward to the layer, for one image.
    gradient: Engine,
    layer: String,
    /// Room for one input.
    input: Vec<f32>,
}

impl Explainer {
    /// Puts `weights` on `device`, once to classify and once for gradients. They are not needed afterwards.
    ///
    /// # Errors
    /// As [`Model::new`]; [`Error::Argument`] for a layer that the network lacks, that has no map, or one of a single pixel.
    pub fn new(weights: &Weights, device: &Device, options: &ExplainOptions) -> Result<Self> {
        let (preprocess, padding) = given_or_own(weights, &options.preprocess, options.avg_pool_padding)?;
        let network = Network::inception_v3(preprocess.size, outputs_of(weights)?, padding)?;
        let layer = layer(&network, options.layer.as_deref())?;
        let gradient = Options { gradient: Some(layer.clone()), ..Options::new(1, device.target()) };
        let gradient = Engine::new(Program::lower(&network, &gradient)?, weights, device)?;
        let (h, w) = preprocess.size;
        let model = ModelOptions {
            batch: options.batch,
            preprocess: Some(preprocess),
            avg_pool_padding: Some(padding),
        };
        let model = Model::new(weights, device, &model)?;
        Ok(Explainer { model, gradient, layer, input: vec![0.0; 3 * h * w] })
    }

    /// Names of the classes, as [`Model::classes`].
    pub fn classes(&self) -> &[String] {
        self.model.classes()
    }

    /// The layer from which [`Explainer::grad_cam`] takes its map.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// How an image becomes an input.
    pub fn preprocess(&self) -> &Preprocess {
        self.model.preprocess()
    }

    /// How many squares [`Explainer::occlusion`] hides one after the other.
    ///
    /// # Errors
    /// [`Error::Argument`] for `patch` and `stride` that it refuses.
    pub fn squares(&self, patch: usize, stride: usize) -> Result<usize> {
        Ok(occlusion::Squares::new(self.model.preprocess().size, patch, stride)?.places().count())
    }

    /// What speaks for `class`, by default the predicted one, by the gradient.
    ///
    /// # Errors
    /// [`Error::Argument`] for a class that there is not; [`Error::Image`] for an image that does not fit the preprocessing;
    /// [`Error::Device`] when the device fails or the network's output or the gradient is not finite.
    pub fn grad_cam(&mut self, image: &Image, class: Option<usize>) -> Result<Explanation> {
        let (prediction, class) = self.predict(image, class)?;
        let (h, w) = self.model.preprocess().size;
        self.gradient.input().copy_from_slice(&self.input);
        let dy = logit_factors(self.gradient.program().network.classes, class);
        self.gradient.run_gradient(1, &dy)?;
        let output = self.gradient.output(&self.layer, 1)?;
        let gradient = self.gradient.output(&format!("grad.{}", self.layer), 1)?;
        let coarse = grad_cam::map(&output, &gradient)?;
        let map = coarse.scaled(h, w);
        Ok(Explanation { prediction, class, method: Method::GradCam, coarse, map, crop: self.crop(image)? })
    }

    /// What speaks for `class`, by default the predicted one, by hiding squares of `patch` pixels, `stride` pixels apart; the last of a
    /// row and of a column ends where the input ends. A hidden pixel has the value that normalisation maps to 0, the mean of what the
    /// network was made for (without normalisation 127.5).
    ///
    /// # Errors
    /// As [`Explainer::grad_cam`]; [`Error::Argument`] for a square without pixels or larger than the input, and for a stride that is 0
    /// or leaves pixels out.
    pub fn occlusion(
        &mut self,
        image: &Image,
        class: Option<usize>,
        patch: usize,
        stride: usize,
    ) -> Result<Explanation> {
        self.occlusion_watched(image, class, (patch, stride), &mut |_, _| {})
    }

    /// As [`Explainer::occlusion`]; `watch` hears how many of how many squares are done.
    ///
    /// # Errors
    /// As [`Explainer::occlusion`].
    pub fn occlusion_watched(
        &mut self,
        image: &Image,
        class: Option<usize>,
        (patch, stride): (usize, usize),
        watch: &mut dyn FnMut(usize, usize),
    ) -> Result<Explanation> {
        let squares = occlusion::Squares::new(self.model.preprocess().size, patch, stride)?;
        let (prediction, class) = self.predict(image, class)?;
        let whole = f64::from(prediction.probabilities[class]);
        let hidden = occlusion::hidden(&self.model.preprocess().normalize);
        let batch = self.model.engine().program().options.batch;
        let all: Vec<(usize, usize)> = squares.places().collect();
        let mut drops = Vec::with_capacity(all.len());
        for turn in all.chunks(batch) {
            let mut inputs = Vec::with_capacity(turn.len() * self.input.len());
            for place in turn {
                let first = inputs.len();
                inputs.extend_from_slice(&self.input);
                squares.hide(*place, hidden, &mut inputs[first..]);
            }
            self.model.put_values(&inputs)?;
            let predictions = self.model.run_fitted(turn.len())?;
            drops.extend(predictions.iter().map(|p| (whole - f64::from(p.probabilities[class])) as f32));
            watch(drops.len(), all.len());
        }
        let map = squares.mean(&drops);
        let coarse = squares.grid(drops);
        Ok(Explanation { prediction, class, method: Method::Occlusion, coarse, map, crop: self.crop(image)? })
    }

    /// The prediction for `image`, whose input is then in its room, and the class to explain.
    fn predict(&mut self, image: &Image, class: Option<usize>) -> Result<(Prediction, usize)> {
        let classes = self.model.classes().len();
        if let Some(class) = class.filter(|&class| class >= classes) {
            return Err(Error::Argument(format!(
                "there is no class number {class}: the network has {classes}, from 0 on"
            )));
        }
        self.model.preprocess().apply(image, &mut self.input)?;
        self.model.put_values(&self.input)?;
        let prediction = self.model.run_fitted(1)?.pop();
        let prediction = prediction.ok_or_else(|| Error::Argument("no image to explain".into()))?;
        let class = class.unwrap_or(prediction.class);
        Ok((prediction, class))
    }

    /// `image` as it lies in the input, in pixels.
    fn crop(&self, image: &Image) -> Result<RgbImage> {
        picture::fitted(image, self.model.preprocess())
    }
}

/// The layer called `name`, or the default one, if it has a map that shows places.
fn layer(network: &Network, name: Option<&str>) -> Result<String> {
    let pixels = |layer: &crate::network::Layer| layer.output.h * layer.output.w;
    let last = network.layers.iter().rfind(|layer| layer.op == Op::Concat && pixels(layer) > 1);
    let last =
        last.ok_or_else(|| Error::Argument("no block of the network has more than one pixel".into()))?;
    match name.and_then(|name| network.layer(name)) {
        Some(layer) if pixels(layer) <= 1 => {
            let ((h, w), at) = (network.size, last.output);
            Err(Error::Argument(format!(
                "{} has a single pixel where the input has {h}×{w}, which shows no place: name {} ({}×{}) or a layer before it",
                layer.name, last.name, at.h, at.w
            )))
        }
        // One that is not there is refused with the names of those that are, when the program is made.
        _ => Ok(name.unwrap_or(&last.name).to_string()),
    }
}

/// dy for the logit of `class` alone, of a network with `outputs` logits.
fn logit_factors(outputs: usize, class: usize) -> Vec<f32> {
    match outputs {
        1 => vec![if class == 1 { 1.0 } else { -1.0 }],
        _ => (0..outputs).map(|k| if k == class { 1.0 } else { 0.0 }).collect(),
    }
}

//! Batch norm in inference as one scale and one shift a channel, folded into the convolution before it.
//!
//! y = γ·(x − μ)/√(σ² + ε) + β = s·x + b with s = γ/√(σ² + ε) and b = β − μ·s, so that the filter becomes s·W and b a
//! bias. Taken in float64, rounded once. Source: Ioffe and Szegedy, 2015 (arXiv 1502.03167), section 3.1.

use std::borrow::Cow;

use super::{Conv2d, ConvPart, Filters};
use crate::error::Result;
use crate::network::BATCH_NORM_EPS;
use crate::weights::Weights;

/// A batch norm's four vectors, one value a channel.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// γ, torchvision's `bn.weight`.
    pub weight: &'a [f32],
    /// β, torchvision's `bn.bias`.
    pub bias: &'a [f32],
    /// μ over the training set.
    pub running_mean: &'a [f32],
    /// σ² over the training set.
    pub running_var: &'a [f32],
}

/// A batch norm as s·x + b.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedBatchNorm {
    /// s, for the filters.
    pub scale: Vec<f64>,
    /// b, behind them.
    pub bias: Vec<f32>,
}

impl BatchNorm<'_> {
    /// Scale and shift of each channel.
    pub fn fold(&self) -> FoldedBatchNorm {
        let mut folded = FoldedBatchNorm { scale: Vec::new(), bias: Vec::new() };
        for k in 0..self.weight.len() {
            let scale = f64::from(self.weight[k]) / (f64::from(self.running_var[k]) + BATCH_NORM_EPS).sqrt();
            folded.scale.push(scale);
            folded.bias.push((f64::from(self.bias[k]) - f64::from(self.running_mean[k]) * scale) as f32);
        }
        folded
    }
}

impl FoldedBatchNorm {
    /// That of `layer`, by its tensors `LAYER.bn.*` in `weights`.
    ///
    /// # Errors
    /// As [`Weights::f32`].
    pub fn of(weights: &Weights, layer: &str) -> Result<Self> {
        let tensor = |name: &str| weights.f32(&format!("{layer}.bn.{name}"));
        let (weight, bias) = (tensor("weight")?, tensor("bias")?);
        let (running_mean, running_var) = (tensor("running_mean")?, tensor("running_var")?);
        let statistics = BatchNorm {
            weight: &weight,
            bias: &bias,
            running_mean: &running_mean,
            running_var: &running_var,
        };
        Ok(statistics.fold())
    }
}

impl Conv2d {
    /// The filters `[K,C,R,S]` of each part, where they come from `weights`, with the scale that is still to be multiplied in and the bias
    /// that follows.
    ///
    /// # Errors
    /// As [`Weights::f32`].
    pub fn fixed_filters<'w>(&self, weights: &'w Weights) -> Result<Vec<(Cow<'w, [f32]>, FoldedBatchNorm)>> {
        let plain = |channels| FoldedBatchNorm { scale: vec![1.0; channels], bias: vec![0.0; channels] };
        if let Filters::FoldedTransposed(own) = &self.filters {
            return Ok(vec![(Cow::Owned(own.filters(self, weights)?), plain(self.output_channels()))]);
        }
        let part = |part: &ConvPart| {
            let folded = match self.filters == Filters::Folded {
                true => FoldedBatchNorm::of(weights, &part.layer)?,
                false => plain(part.output.channels),
            };
            Ok((weights.f32(&format!("{}.conv.weight", part.layer))?, folded))
        };
        self.parts.iter().map(part).collect()
    }
}

//! What weights were trained with travels with them: size, fit, standardising and normalisation of the input, names of the classes.

use std::collections::HashSet;

use super::{MeanImage, Normalize, Preprocess};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// Metadata key of the class names, a JSON array of strings.
pub const CLASSES_KEY: &str = "classes";
/// The tensor that holds the mean image.
pub const MEAN_TENSOR: &str = "preprocess.mean";

const SIZE_KEY: &str = "preprocess.size";
const FIT_KEY: &str = "preprocess.fit";
const NORMALIZE_KEY: &str = "preprocess.normalize";
const STANDARDIZE_KEY: &str = "preprocess.standardize";

impl Preprocess {
    /// How `weights` were trained: what their metadata says, and the default for what it leaves out.
    ///
    /// # Errors
    /// [`Error::Format`] for metadata out of range, [`Error::Tensor`] for a broken mean image.
    pub fn of_weights(weights: &Weights) -> Result<Self> {
        let wrong = |e: Error| Error::format(weights.path(), format!("metadata: {e}"));
        let mut preprocess = Preprocess::default();
        let get = |key: &str| weights.metadata().get(key).map(String::as_str);
        if let Some(text) = get(SIZE_KEY) {
            preprocess.size = parse_size(text).map_err(wrong)?;
        }
        if let Some(text) = get(FIT_KEY) {
            preprocess.fit = text.parse().map_err(wrong)?;
        }
        if let Some(text) = get(STANDARDIZE_KEY) {
            let problem = || Error::Argument(format!("standardize is `true` or `false`, not `{text}`"));
            preprocess.standardize = text.parse().map_err(|_| wrong(problem()))?;
        }
        preprocess.normalize = match get(NORMALIZE_KEY) {
            Some("mean") => Normalize::Mean(MeanImage::read(weights, MEAN_TENSOR)?),
            // A path in a foreign file is not followed.
            Some(text @ ("tf" | "imagenet" | "none")) => Normalize::parse(text).map_err(wrong)?,
            Some(text) => {
                return Err(Error::format(weights.path(), format!("metadata: no normalisation `{text}`")));
            }
            None => preprocess.normalize,
        };
        Ok(preprocess)
    }

    /// Notes in the metadata of `weights` how they were trained. The mean image, if any, is a tensor and not noted here:
    /// [`Preprocess::mean`].
    pub fn note(&self, weights: &mut Weights) {
        weights.set_metadata(SIZE_KEY, &format!("{}x{}", self.size.0, self.size.1));
        weights.set_metadata(FIT_KEY, &self.fit.to_string());
        weights.set_metadata(NORMALIZE_KEY, self.normalize.name());
        weights.set_metadata(STANDARDIZE_KEY, &self.standardize.to_string());
    }
}

impl Preprocess {
    /// The tensor that belongs beside the network's as [`MEAN_TENSOR`], where a mean image is subtracted.
    ///
    /// # Errors
    /// Those of [`MeanImage::tensor`].
    pub fn mean(&self) -> Result<Option<Tensor>> {
        match &self.normalize {
            Normalize::Mean(mean) => mean.tensor().map(Some),
            _ => Ok(None),
        }
    }
}

/// `299` or `HxW`, as in `224x299`, height first.
///
/// # Errors
/// [`Error::Argument`] for anything else.
pub fn parse_size(text: &str) -> Result<(usize, usize)> {
    let (h, w) = text.split_once('x').unwrap_or((text, text));
    match (h.parse(), w.parse()) {
        (Ok(h), Ok(w)) => Ok((h, w)),
        _ => Err(Error::Argument(format!("a size is `299` or HxW such as `224x299`, not `{text}`"))),
    }
}

/// Names of the classes that `outputs` logits tell apart: what the metadata of `weights` says, or `negative` and
/// `positive` for one logit, and numbers for several.
///
/// # Errors
/// [`Error::Format`] when the metadata names too few or too many, or one twice.
pub fn class_names(weights: &Weights, outputs: usize) -> Result<Vec<String>> {
    let count = if outputs == 1 { 2 } else { outputs };
    let Some(json) = weights.metadata().get(CLASSES_KEY) else {
        return Ok(match outputs {
            1 => vec!["negative".into(), "positive".into()],
            _ => (0..outputs).map(|k| format!("class {k}")).collect(),
        });
    };
    let wrong =
        |problem: String| Error::format(weights.path(), format!("metadata `{CLASSES_KEY}`: {problem}"));
    let names: Vec<String> =
        serde_json::from_str(json).map_err(|_| wrong("is no JSON array of names".to_string()))?;
    let distinct: HashSet<&String> = names.iter().collect();
    if names.len() != count || distinct.len() != count {
        return Err(wrong(format!("expected {count} different names, got {}", names.len())));
    }
    Ok(names)
}

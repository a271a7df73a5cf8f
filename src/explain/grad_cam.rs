//! The map of Grad-CAM: max(0, Σ_k α_k·A_k), α_k the mean of the gradient of channel k over its pixels. Sums are taken in float64.

use super::Map;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The map of a layer's `output` A [1, C, H, W] by the `gradient` of the same shape.
///
/// # Errors
/// [`Error::Device`] for a value that is not finite.
pub(super) fn map(output: &Tensor, gradient: &Tensor) -> Result<Map> {
    let &[_, _, height, width] = output.shape() else {
        return Err(Error::Argument("Grad-CAM needs a layer's map [1, C, H, W]".into()));
    };
    let pixels = height * width;
    let mut sums = vec![0.0f64; pixels];
    for (a, g) in output.data().chunks_exact(pixels).zip(gradient.data().chunks_exact(pixels)) {
        let alpha = g.iter().map(|&g| f64::from(g)).sum::<f64>() / pixels as f64;
        sums.iter_mut().zip(a).for_each(|(sum, &a)| *sum += alpha * f64::from(a));
    }
    if let Some(bad) = sums.iter().find(|sum| !sum.is_finite()) {
        let problem = format!("the gradient is {bad}: weights and preprocessing do not belong together");
        return Err(Error::Device { device: "output".into(), problem });
    }
    Ok(Map { height, width, values: sums.into_iter().map(|sum| sum.max(0.0) as f32).collect() })
}

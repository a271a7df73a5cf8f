//! A dense float32 tensor in host memory: what enters and leaves the engine.

use crate::error::{Error, Result};

/// Row-major float32 values with their shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// A tensor of `shape` over `data`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the product of `shape` is not `data.len()`.
    pub fn new(shape: &[usize], data: Vec<f32>) -> Result<Self> {
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if elements != Some(data.len()) {
            return Err(Error::Shape {
                what: "tensor".into(),
                expected: format!("{shape:?}"),
                got: format!("{} values", data.len()),
            });
        }
        Ok(Tensor { shape: shape.to_vec(), data })
    }

    /// A tensor of `shape` filled with zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Tensor { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }

    /// Extent of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, last dimension fastest.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, last dimension fastest.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values, without the shape.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

//! nodal: Inception-v3 for small medical image crops.

pub mod error;
pub mod tensor;

pub use error::{Error, Result};
pub use tensor::Tensor;

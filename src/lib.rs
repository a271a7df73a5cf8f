//! nodal: Inception-v3 for small medical image crops.

pub mod error;
pub mod network;
pub mod program;
pub mod tensor;

pub use error::{Error, Result};
pub use tensor::Tensor;

//! nodal: Inception-v3 for small medical image crops.

pub mod error;
mod files;
pub mod tensor;

pub mod network;

pub mod weights;

pub mod program;

pub mod device;

pub mod data;
pub mod model;
pub mod reference;

pub use data::Image;
pub use device::Device;
pub use error::{Error, Result};
pub use model::{Model, ModelOptions, Prediction};
pub use tensor::Tensor;
pub use weights::Weights;

//! nodal: Inception-v3 for small medical image crops, on kernels of its own.
//!
//! Open weights, pick a device, classify:
//!
//! ```
//! use nodal::{Device, Image, Model, ModelOptions, Weights};
//! # use nodal::network::{AvgPoolPadding, Network};
//! # let network = Network::inception_v3((75, 75), 1, AvgPoolPadding::Include)?;
//! # let folder = tempfile::tempdir()?;
//! # let (file, crop) = (folder.path().join("w.safetensors"), "examples/crops/val/grass/grass-000.jpg");
//! # Weights::random(1, &network.parameters())?.save(&file)?;
//! let weights = Weights::open(&file)?;
//! let mut model = Model::new(&weights, &Device::open("auto", None)?, &ModelOptions::default())?;
//! let prediction = model.classify(&Image::open(crop.as_ref())?)?;
//! println!("{}: {:?}", model.classes()[prediction.class], prediction.probabilities);
//! # assert!((prediction.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Model::classify_batch`] takes images, [`Model::logits`] a raw tensor, and [`Model::run_fitted`] whatever lies in the
//! engine's own input. A model takes all its memory when it is made, starts only the threads its [`Device`] was opened
//! with, and prints nothing. Errors are [`Error`]s whose text is one sentence.
//!
//! Modules, in the order in which data passes through them:

pub mod error;
pub mod files;
pub mod tensor;

pub mod network;

pub mod weights;

pub mod program;

#[cfg(any(feature = "cuda", feature = "sim"))]
pub mod kernels;

pub mod device;

pub mod data;
#[cfg(feature = "explain")]
pub mod explain;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod model;
#[cfg(feature = "train")]
pub mod phantom;
#[cfg(feature = "train")]
pub mod plot;
pub mod reference;
#[cfg(feature = "train")]
pub mod train;

pub use data::Image;
pub use device::Device;
pub use error::{Error, Result};
pub use model::{Model, ModelOptions, Prediction};
pub use tensor::Tensor;
pub use weights::Weights;

//! Training data, without a device: what `nodal train` reads and in which order and shape.
//!
//! A [`Dataset`] is images with their classes; a [`Split`] says which of them teach and which validate; [`Images`] holds the decoded
//! crops; [`MeanImage::of`](super::MeanImage::of) is taken over the training part; a [`Loader`] hands out batches, augmented by an
//! [`Augmentation`], made ahead on threads of its own.
//!
//! **Invariant:** all that is random is a function of the seed and of what it is drawn for (class, epoch, image), never of the
//! order in which it is drawn: the number of threads and a training that is resumed change nothing.

mod augment;
mod batch;
mod dataset;
mod digest;
mod images;
mod loader;
mod mean;
pub(crate) mod random;
mod rotate;
mod split;
mod split_file;
mod strata;
mod transform;

pub use augment::{Augmentation, Noise, Rotation};
pub use batch::Batch;
pub use dataset::{Dataset, Labelled};
pub use images::Images;
pub use loader::{Epoch, Loader, LoaderOptions};
pub use rotate::Fill;
pub use split::Split;
pub use strata::SplitBy;
pub use transform::{Room, Transform};

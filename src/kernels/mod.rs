//! Launches of our own CUDA kernels, as plain data: which kernel, how many blocks of how many threads, which parameters.
//!
//! Each file of `kernels/` has its launcher here, under the same name; a launcher checks shapes and limits, packs the
//! weights its kernels read and fills the one struct that they take. The devices `cuda` and `sim` run the same launches;
//! nothing here knows either.

mod batch_norm;
mod card;
mod conv2d;
mod conv2d_backward_weight;
mod crop;
mod dropout;
mod elementwise;
mod elementwise_backward;
mod embedded;
mod launch;
mod linear;
mod linear_backward;
mod loss;
mod model;
mod pack;
mod pack_filters;
mod parameters;
mod pool2d;
mod pool2d_backward;
mod sgd;
mod softmax;
mod train;

pub use card::{CARDS, Card, fma_per_clock};
pub use conv2d::TILES;
pub use conv2d_backward_weight::WEIGHT_TILES;
pub use embedded::{Image, ImageKind, Resources, images, resources};
pub use launch::{Kernel, Launch, Launches, Pointer, Region, Relocation};
pub use model::{Bound, Estimate, Work, estimate};

/// All kernels.
pub fn all() -> Vec<Kernel> {
    let pools = [pool2d::MAX, pool2d::AVERAGE, pool2d::GLOBAL_AVERAGE];
    let elementwise = [elementwise::BATCH_NORM, elementwise::RELU, elementwise::CONCAT];
    let convolutions = TILES.map(conv2d::kernel);
    let filter_gradients = WEIGHT_TILES.map(conv2d_backward_weight::kernel);
    [
        &convolutions[..],
        &filter_gradients,
        &[pack_filters::PACK_FILTERS],
        &elementwise,
        &[linear::LINEAR, softmax::SOFTMAX, pack::COLUMN_PAIRS, crop::CROP],
        &pools,
        &[batch_norm::STATS, batch_norm::NORMALIZE, batch_norm::SUMS, batch_norm::DATA],
        &[elementwise_backward::RELU, elementwise_backward::CONCAT],
        &[pool2d_backward::MAX, pool2d_backward::AVERAGE, pool2d_backward::GLOBAL_AVERAGE],
        &[linear_backward::LINEAR_BACKWARD, dropout::DROPOUT, loss::LOSS, sgd::NORM, sgd::UPDATE],
    ]
    .concat()
}

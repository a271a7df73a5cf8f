//! Training of the last layer alone: what comes before it gives the same features for an image in every epoch, so that they are taken
//! once, and the network that learns is the last layer over them.

use crate::data::train::Loader;
use crate::device::{Device, Engine};
use crate::error::Result;
use crate::network::{FEATURES, Network};
use crate::program::{Keep, Options, Program};
use crate::weights::Weights;

/// Images that pass through the network at a time: every layer's map is kept.
const BATCH: usize = 8;

/// The features of images, by sample.
pub(super) struct Features {
    values: Vec<Option<Box<[f32]>>>,
}

impl Features {
    /// Those of all images of `loaders`, whose samples are below `count`; `None` when `stop` said so meanwhile.
    pub fn of(
        network: &Network,
        weights: &Weights,
        device: &Device,
        loaders: &[Loader],
        count: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Self>> {
        let program = Program::lower(network, &features_options(device))?;
        let mut engine = Engine::new(program, weights, device)?;
        let mut values: Vec<Option<Box<[f32]>>> = vec![None; count];
        for loader in loaders {
            for batch in loader.epoch(0, 0)? {
                let batch = batch?;
                if stop() {
                    return Ok(None);
                }
                let length = batch.inputs.len() / batch.labels.len();
                for (inputs, samples) in batch.inputs.chunks(BATCH * length).zip(batch.samples.chunks(BATCH))
                {
                    engine.input()[..inputs.len()].copy_from_slice(inputs);
                    engine.run(samples.len())?;
                    let all = engine.output("avgpool", samples.len())?;
                    for (&sample, own) in samples.iter().zip(all.data().chunks_exact(FEATURES)) {
                        values[sample] = Some(own.into());
                    }
                }
            }
        }
        Ok(Some(Features { values }))
    }

    /// Puts those of `samples` into an engine's input, one behind the other.
    pub fn put(&self, samples: &[usize], input: &mut [f32]) {
        for (&sample, room) in samples.iter().zip(input.chunks_exact_mut(FEATURES)) {
            match &self.values[sample] {
                Some(own) => room.copy_from_slice(own),
                None => room.fill(f32::NAN),
            }
        }
    }
}

/// How the network that gives features is lowered.
pub(super) fn features_options(device: &Device) -> Options {
    Options { keep: Keep::Layers, ..Options::new(BATCH, device.target()) }
}

/// Whether all that learns of `network` stands behind what `freeze` freezes.
pub(super) fn last_layer_alone(network: &Network, freeze: usize) -> bool {
    freeze == network.convolutions().count()
}

/// The weights of the last layer among `weights`.
pub(super) fn head_of(weights: &Weights) -> Result<Weights> {
    let own: Result<Vec<_>> = ["fc.weight", "fc.bias"]
        .into_iter()
        .map(|name| {
            let shape = weights.shape(name).unwrap_or_default().to_vec();
            Ok((name, crate::tensor::Tensor::new(&shape, weights.f32(name)?.into_owned())?))
        })
        .collect();
    Weights::from_tensors(own?.iter().map(|(name, tensor)| (*name, tensor)))
}

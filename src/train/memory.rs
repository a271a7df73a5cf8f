//! The program of a training step, and whether a device has room for it.

use super::config::Config;
use super::features::features_options;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::program::{Options, Program, Training};

/// The program of a step: of the whole network, or of its last layer where only that learns.
pub(super) fn training_program(network: &Network, config: &Config, device: &Device) -> Result<Program> {
    let lower = |batch: usize| {
        let training = Some(config.hyper.training());
        match config.features()? {
            true => {
                let training = training.map(|training| Training { freeze: 0, ..training });
                let options = Options { training, ..Options::new(batch, device.target()) };
                Program::lower(&network.last_layer(), &options)
            }
            false => Program::lower(network, &Options { training, ..Options::new(batch, device.target()) }),
        }
    };
    // Beside it stand the network that validates, or before it the one that gives the features.
    let beside = |batch: usize| -> Result<usize> {
        let options = Options::new(batch, device.target());
        let own = match config.features()? {
            true => Program::lower(network, &features_options(device))?,
            false => Program::lower(network, &options)?,
        };
        Ok(own.arena_bytes)
    };
    let needed = |batch: usize| Ok::<_, Error>(lower(batch)?.arena_bytes + beside(batch)?);
    let (program, available) = (lower(config.hyper.batch)?, device.memory_bytes().unwrap_or(usize::MAX));
    let own = program.arena_bytes + beside(config.hyper.batch)?;
    if own <= available {
        return Ok(program);
    }
    // The largest that fits lies in between; 0 where not even one image does.
    let (mut fits, mut too_many) = (0, config.hyper.batch);
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        match needed(middle).is_ok_and(|needed| needed <= available) {
            true => fits = middle,
            false => too_many = middle,
        }
    }
    let (needed, there) = (own as f64 / 1e9, available as f64 / 1e9);
    Err(Error::Argument(format!(
        "training with a batch of {} takes {needed:.1} GB, validation beside it included, and {device} has {there:.1} GB: {}",
        config.hyper.batch,
        match fits {
            0 => "choose a smaller --size, or freeze more".to_string(),
            fits => format!("--batch {fits} is the largest that fits"),
        }
    )))
}

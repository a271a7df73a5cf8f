//! `nodal convert`: from .pth to .safetensors and back.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::network::open_weights;

#[derive(Args)]
pub struct Options {
    /// Weights to read: .safetensors, .pth in either form, or a run's folder for its best ones
    input: PathBuf,
    /// File to write; its extension, .safetensors or .pth, picks the format
    output: PathBuf,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    super::check_output(&options.output)?;
    let weights = open_weights(&options.input)?;
    weights.save(&options.output)?;
    super::print(&format!("{}: {} tensors\n", options.output.display(), weights.names().count()))?;
    Ok(ExitCode::SUCCESS)
}

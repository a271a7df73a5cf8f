//! `nodal init`: reproducible random weights.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use nodal::data::{CLASSES_KEY, Preprocess, class_names};
use nodal::network::{AvgPoolPadding, Network};
use nodal::{Error, Weights};

#[derive(Args)]
pub struct Options {
    /// The same seed gives the same weights on every machine
    #[arg(long, value_name = "S")]
    seed: u64,
    /// Outputs of the last layer; 1 is one logit for two classes
    #[arg(long, default_value_t = 1, value_name = "K")]
    classes: usize,
    /// Names of the classes, two for one logit [default: negative,positive, or class 0, class 1, …]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    class_names: Vec<String>,
    /// With an auxiliary head, which `nodal train --aux-weight` can use
    #[arg(long)]
    aux_logits: bool,
    /// Input size the weights are for: 299 or HxW
    #[arg(long, default_value = "299", value_parser = super::parse_size, value_name = "SIZE")]
    size: (usize, usize),
    /// File to write, .safetensors or .pth
    #[arg(short, long, value_name = "W")]
    output: PathBuf,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    super::check_output(&options.output)?;
    let network = Network::inception_v3(options.size, options.classes, AvgPoolPadding::Include)?;
    let network = network.with_auxiliary_head(options.aux_logits)?;
    let mut weights = Weights::random(options.seed, &network.parameters())?;
    Preprocess { size: options.size, ..Preprocess::default() }.note(&mut weights);
    if !options.class_names.is_empty() {
        weights.set_metadata(CLASSES_KEY, &serde_json::json!(options.class_names).to_string());
        let problem = |_| {
            let (classes, given) = (options.classes, options.class_names.len());
            let needed = if classes == 1 { 2 } else { classes };
            Error::Argument(format!(
                "--class-names: --classes {classes} needs {needed} different names, got {given}"
            ))
        };
        class_names(&weights, options.classes).map_err(problem)?;
    }
    weights.save(&options.output)?;
    let (count, output) = (network.parameter_count(), options.output.display());
    super::print(&format!(
        "{output}: {count} parameters, {} output{}, seed {}\n",
        options.classes,
        if options.classes == 1 { "" } else { "s" },
        options.seed
    ))?;
    Ok(ExitCode::SUCCESS)
}

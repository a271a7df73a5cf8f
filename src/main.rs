//! The command line: what each command does stands in `cli/`, one file a command.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Inception-v3 for small medical image crops, on kernels of its own.
#[derive(Parser)]
#[command(version, about, max_term_width = 110, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "A first walk:
  nodal init --seed 1 -o weights.safetensors  # random weights: what they say means nothing
  nodal predict --weights weights.safetensors examples/crops/val
  nodal bench --weights weights.safetensors";

#[derive(Subcommand)]
enum Command {
    /// What can run here, and which kernels are embedded
    Devices(cli::devices::Options),
    /// Write reproducible random weights
    Init(cli::init::Options),
    /// Convert weights between .pth and .safetensors
    Convert(cli::convert::Options),
    /// Show the program that would run, step by step
    Plan(cli::plan::Options),
    /// Classify crops: a probability for each
    Predict(cli::predict::Options),
    /// Draw what decided: heat maps over crops
    Explain(cli::explain::Options),
    /// Fine-tune a network on crops
    Train(Box<cli::train::Options>),
    /// Train every combination of options over folds or seeds, and compare
    Sweep(Box<cli::sweep::Options>),
    /// Judge predictions: metrics with intervals, per image, node and patient
    Evaluate(cli::evaluate::Options),
    /// Judge readers: metrics, kappa, AUC against AUC and against the network
    Readers(cli::readers::Options),
    /// The table of clinical features: t test, chi-square, Fisher
    Cohort(cli::cohort::Options),
    /// Write a study's figures, tables and worst errors as one HTML page
    Report(Box<cli::report::Options>),
    /// Make phantom crops: no clinical evidence
    Phantom(cli::phantom::Options),
    /// Compare every layer with a libtorch reference
    Verify(cli::verify::Options),
    /// Measure the latency per node and per layer
    Bench(cli::bench::Options),
    /// Find by trying how each launch is cut best on a device
    #[cfg(any(feature = "cuda", feature = "sim"))]
    Tune(cli::tune::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Devices(options) => cli::devices::run(&options),
        Command::Init(options) => cli::init::run(&options),
        Command::Convert(options) => cli::convert::run(&options),
        Command::Plan(options) => cli::plan::run(&options),
        Command::Predict(options) => cli::predict::run(&options),
        Command::Explain(options) => cli::explain::run(&options),
        Command::Train(options) => cli::train::run(&options),
        Command::Sweep(options) => cli::sweep::run(&options),
        Command::Evaluate(options) => cli::evaluate::run(&options),
        Command::Readers(options) => cli::readers::run(&options),
        Command::Cohort(options) => cli::cohort::run(&options),
        Command::Report(options) => cli::report::run(&options),
        Command::Phantom(options) => cli::phantom::run(&options),
        Command::Verify(options) => cli::verify::run(&options),
        Command::Bench(options) => cli::bench::run(&options),
        #[cfg(any(feature = "cuda", feature = "sim"))]
        Command::Tune(options) => cli::tune::run(&options),
    };
    done.unwrap_or_else(|error| {
        eprintln!("nodal: {error:#}");
        ExitCode::FAILURE
    })
}

//! `nodal readers`: how good readers are, how far they agree, and how they stand against the network.

pub mod calls;
mod judge;
pub mod pairs;
pub mod report;

pub use report::p_value;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use nodal::metrics::Confidence;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// The network's predictions of the same cases: a CSV as `nodal evaluate` takes, by `case` or `image`
    #[arg(long, value_name = "PREDICTIONS.csv")]
    predictions: Option<PathBuf>,
    /// Judge only the cases that are among the predictions
    #[arg(long, requires = "predictions")]
    shared: bool,
    /// The network calls a case positive from this probability on
    #[arg(long, default_value_t = 0.5, requires = "predictions", value_name = "P")]
    threshold: f64,
    /// The network's positive class [default: the second; positive or 1 where `probability` is alone]
    #[arg(long, requires = "predictions", value_name = "CLASS")]
    positive: Option<String>,
    /// How sure intervals are
    #[arg(long, default_value_t = 0.95, value_name = "LEVEL")]
    confidence: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A CSV of calls, of criteria or of counts
    #[arg(value_name = "READERS.csv")]
    data: PathBuf,
}

const HELP: &str = "\
READERS.csv has the columns reader and label (1 or 0, positive or negative) and one of:
  case, call: what the reader called each case
  case, irregular_border, heterogeneous_signal, round_shape and, where known, short_axis_mm: what the reader saw (1 or 0, yes \
or no); the call follows by rule
  call, count: how many cases were called so, where only counts are published
A column `reading` tells several readings of one reader apart.

Rules: without the short axis, at least two criteria. With it, below 5 mm all three, from 5 to 9 mm at least two; above 9 mm \
the paper's text asks all three, while the guideline it cites calls every node of 9 mm or more suspicious: both are shown.

An AUC of calls is (sensitivity + specificity) / 2. Readings of the same cases are compared in pairs: Cohen's kappa, DeLong's \
paired test of the AUCs, McNemar's exact test of who is right, all as if cases were independent.

A prediction is of a case when its name is the case or, as a path, ends with it.";

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let confidence = Confidence::new(options.confidence)?;
    let mut readings = calls::open(&options.data)?;
    if let Some(path) = &options.predictions {
        if !(0.0..=1.0).contains(&options.threshold) {
            anyhow::bail!("--threshold {}: a probability lies between 0 and 1", options.threshold);
        }
        let network = calls::Network::of_predictions(path, options.positive.as_deref(), options.threshold)?;
        let own = network.beside(&mut readings, options.shared)?;
        readings.push(own);
    }
    let pairs = pairs::all(&readings)?;
    let output = match options.json {
        true => format!("{:#}\n", report::as_json(&readings, &pairs, confidence)?),
        false => report::as_tables(&readings, &pairs, confidence)?,
    };
    super::print(&output)?;
    Ok(ExitCode::SUCCESS)
}

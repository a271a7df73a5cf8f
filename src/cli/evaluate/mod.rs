//! `nodal evaluate`: how good predictions are, per image, per node and per patient.

pub mod cases;
pub mod pool;
pub mod report;
mod several;
pub mod study;
mod two;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use nodal::train::RunFolder;
use serde_json::{Value, json};

use super::network::NetworkOptions;
use cases::Cases;
use report::Section;
use study::{Judging, Study};

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// Weights, .safetensors or .pth, or a run; without them DATA is a run or a CSV of predictions
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    judging: Judging,
    /// Print JSON, curves included
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, a line for each metric
    #[arg(long)]
    csv: bool,
    /// Write a page with figures and tables too, as `nodal report` does; of a run with its training and split
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// A folder with a sub-folder for each class, a CSV, or a run's folder
    #[arg(value_name = "DATA|RUN|PREDICTIONS.csv")]
    data: PathBuf,
}

const HELP: &str = "\
With --weights DATA is a folder with one sub-folder for each class, or a CSV with the columns image and label and, where \
known, node, patient and view. A run alone stands for its validation part and the weights of its best epoch. A CSV without \
--weights has predictions: it is one with the column label and either `probability` (of the positive class) \
or a column for each class; node and patient where known. `nodal predict --csv` writes such a file where its crops \
have labels.

Intervals: exact (Clopper-Pearson) and Wilson for shares, DeLong for the AUC, all as if cases were independent, which the \
images of one node are not; and a bootstrap that draws patients or nodes as a whole. A node has the mean, the maximum or the \
vote of its images; a patient is positive where a node is, and has the largest probability among the nodes; of several classes patients have none. A threshold that \
--cutoff chooses on the data it is judged on flatters.";

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    options.judging.check()?;
    if let Some(path) = &options.report {
        super::report::check(path, "--report")?;
    }
    let study = options.judging.study(open(options)?)?;
    let sections = study.sections()?;
    let output = match (options.json, options.csv) {
        (true, _) => format!("{:#}\n", as_json(options, &study, &sections)),
        (_, true) => report::as_csv(&sections)?,
        _ => report::as_tables(&sections, study.confidence),
    };
    if let Some(path) = &options.report {
        let (data, weights) = (options.data.as_path(), options.weights.as_deref());
        let of = super::report::Evaluated { data, weights, network: &options.network };
        super::report::of_study(path, of, study, sections)?;
    }
    super::print(&output)?;
    Ok(ExitCode::SUCCESS)
}

/// The sections with what they were made by.
fn as_json(options: &Options, study: &Study, sections: &[Section]) -> Value {
    let mut value = report::as_json(sections);
    value["pool"] = study.pool.to_possible_value().map_or(Value::Null, |pool| pool.get_name().into());
    value["confidence"] = study.confidence.level().into();
    let (resamples, seed) = options.judging.resamples();
    value["bootstrap"] = json!({"resamples": resamples, "seed": seed});
    value
}

fn open(options: &Options) -> anyhow::Result<Cases> {
    let data = &options.data;
    let is_run = RunFolder::open(data).is_ok();
    if let (None, false, Some(name)) = (&options.weights, is_run, options.network.given()) {
        anyhow::bail!(
            "{name} counts only where a network runs: name its weights with --weights, or leave it out"
        );
    }
    let cases = match &options.weights {
        Some(_) if is_run => {
            anyhow::bail!("{}: is a run, which has its own weights: leave --weights out", data.display())
        }
        Some(weights) => cases::of_network(data, weights, &options.network)?,
        None if is_run => cases::of_run(data, &options.network)?,
        None if data.is_dir() => {
            anyhow::bail!(
                "{}: is a folder and no run: name the weights to classify it with --weights",
                data.display()
            )
        }
        None => cases::of_predictions(data, options.judging.positive(), true)?,
    };
    need_two(&cases, data)?;
    Ok(cases)
}

/// Refuses the cases of `data` when they are of one class.
pub fn need_two(cases: &Cases, data: &Path) -> anyhow::Result<()> {
    let label = cases.cases[0].label;
    if cases.cases.iter().all(|case| case.label == label) {
        let class = label.map_or("", |label| cases.classes[label].as_str());
        anyhow::bail!(
            "{}: every label is `{class}`: metrics need cases of at least two classes",
            data.display()
        );
    }
    Ok(())
}

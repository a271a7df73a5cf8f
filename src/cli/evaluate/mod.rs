//! `nodal evaluate`: how good predictions are, per image, per node and per patient.

pub mod cases;
mod pool;
pub mod report;
mod several;
mod two;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use nodal::metrics::{Bootstrap, Confidence, Cutoff};
use nodal::train::RunFolder;
use serde_json::{Value, json};

use super::network::NetworkOptions;
use cases::Cases;
use pool::Pool;
use report::Section;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// Weights, .safetensors or .pth, or a run; without them DATA is a run or a CSV of predictions
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkOptions,
    /// How the views of a node become one
    #[arg(long, value_enum, default_value = "mean", value_name = "HOW")]
    pool: Pool,
    /// The class that counts as positive, of two [default: the second; positive or 1 where `probability` is alone]
    #[arg(long, value_name = "CLASS")]
    positive: Option<String>,
    /// Call positive from this probability on, of two classes [default: 0.5]
    #[arg(long, value_name = "P")]
    threshold: Option<f64>,
    /// Choose the threshold on these data: youden, sensitivity=0.95 or specificity=0.95
    #[arg(long, conflicts_with = "threshold", value_name = "HOW")]
    cutoff: Option<Cutoff>,
    /// How sure intervals are
    #[arg(long, default_value_t = 0.95, value_name = "LEVEL")]
    confidence: f64,
    /// Resamples of the bootstrap, which draws whole patients, else nodes, else images, of two classes; 0 leaves it out
    /// [default: 1000]
    #[arg(long, value_name = "N")]
    bootstrap: Option<usize>,
    /// Seed of the bootstrap [default: 1]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Print JSON, curves included
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, a line for each metric
    #[arg(long)]
    csv: bool,
    /// A folder with a sub-folder for each class, a CSV, or a run's folder
    #[arg(value_name = "DATA|RUN|PREDICTIONS.csv")]
    data: PathBuf,
}

const HELP: &str = "\
With --weights DATA is a folder with one sub-folder for each class, or a CSV with the columns image and label and, where \
known, node, patient and view. A run alone stands for its validation part and the weights of its best epoch. A CSV without \
--weights has predictions: it is one with the column label and either `probability` (of the positive class) \
or a column for each class; node and patient where known. What `nodal predict --csv` writes is such a file once a column \
label is added.

Intervals: exact (Clopper-Pearson) and Wilson for shares, DeLong for the AUC, all as if cases were independent, which the \
images of one node are not; and a bootstrap that draws patients or nodes as a whole. A node has the mean, the maximum or the \
vote of its images; a patient is positive where a node is, and has the largest probability among the nodes. A threshold that \
--cutoff chooses on the data it is judged on flatters.";

impl Options {
    /// Resamples of the bootstrap, and their seed.
    fn resamples(&self) -> (usize, u64) {
        (self.bootstrap.unwrap_or(1000), self.seed.unwrap_or(1))
    }

    /// The first given option that has no effect on more than two classes.
    fn for_two_classes(&self) -> Option<&'static str> {
        let given = [
            ("--threshold", self.threshold.is_some()),
            ("--bootstrap", self.bootstrap.is_some()),
            ("--seed", self.seed.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let threshold = options.threshold.unwrap_or(0.5);
    let (resamples, seed) = options.resamples();
    if !(0.0..=1.0).contains(&threshold) {
        anyhow::bail!("--threshold {threshold}: a probability lies between 0 and 1");
    }
    let confidence = Confidence::new(options.confidence)?;
    let study = Study {
        data: open(options)?,
        positive: 0,
        pool: options.pool,
        cutoff: options.cutoff.unwrap_or(Cutoff::Threshold(threshold)),
        confidence,
        bootstrap: (resamples > 0).then_some(Bootstrap { resamples, seed, confidence }),
    };
    let two = study.data.classes.len() == 2;
    let sections = match study.data.classes.len() {
        2 => {
            let positive = positive(options, &study.data)?;
            two::sections(&Study { positive, ..study })?
        }
        _ if options.cutoff.is_some() || options.positive.is_some() => {
            let classes = study.data.classes.join(", ");
            anyhow::bail!("--cutoff and --positive are for two classes, not for {classes}");
        }
        _ => match options.for_two_classes() {
            Some(name) => {
                anyhow::bail!("{name} is for two classes, not for {}", study.data.classes.join(", "))
            }
            None => several::sections(&study)?,
        },
    };
    let output = match (options.json, options.csv) {
        (true, _) => format!("{:#}\n", as_json(options, &sections, two)),
        (_, true) => report::as_csv(&sections)?,
        _ => report::as_tables(&sections, confidence),
    };
    super::print(&output)?;
    Ok(ExitCode::SUCCESS)
}

/// The sections with what they were made by.
fn as_json(options: &Options, sections: &[Section], two: bool) -> Value {
    let mut value = report::as_json(sections);
    value["pool"] = options.pool.to_possible_value().map_or(Value::Null, |pool| pool.get_name().into());
    value["confidence"] = options.confidence.into();
    value["bootstrap"] = match two {
        true => {
            let (resamples, seed) = options.resamples();
            json!({"resamples": resamples, "seed": seed})
        }
        false => Value::Null,
    };
    value
}

/// What is judged, and how.
struct Study {
    data: Cases,
    /// The positive class, of two.
    positive: usize,
    pool: Pool,
    cutoff: Cutoff,
    confidence: Confidence,
    bootstrap: Option<Bootstrap>,
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
        None => cases::of_predictions(data, options.positive.as_deref(), true)?,
    };
    let label = cases.cases[0].label;
    if cases.cases.iter().all(|case| case.label == label) {
        let class = label.map_or("", |label| cases.classes[label].as_str());
        anyhow::bail!(
            "{}: every label is `{class}`: metrics need cases of at least two classes",
            data.display()
        );
    }
    Ok(cases)
}

fn positive(options: &Options, data: &Cases) -> anyhow::Result<usize> {
    let Some(name) = &options.positive else { return Ok(1) };
    let classes = data.classes.join(", ");
    let found = data.classes.iter().position(|class| class == name);
    found.ok_or_else(|| anyhow::anyhow!("--positive {name}: is none of the classes {classes}"))
}

//! `nodal phantom`: made crops with a known rule behind their labels, and the tables of a study of them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use nodal::phantom;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// The same seed gives the same files on every machine
    #[arg(long, value_name = "S")]
    seed: u64,
    /// How many patients, each with one to three nodes of three views
    #[arg(long, default_value_t = 40, value_name = "N")]
    patients: u64,
    /// The largest crop, height first; the smallest is 21x20
    #[arg(long, default_value = "111x102", value_parser = super::parse_size, value_name = "SIZE")]
    size: (usize, usize),
    /// Folder to make
    #[arg(value_name = "OUT")]
    out: PathBuf,
}

const HELP: &str = "\
No patient stands behind a phantom, and nothing clinical follows from one.

OUT gets images/, nodes.csv (for train, predict, evaluate), readers.csv, cohort.csv, phantom-rule.csv (the rule's own \
probabilities, as predictions), phantom.json and a README.md that states the rule, the readers' errors and the Bayes accuracy.";

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    super::check_output(&options.out)?;
    let Options { seed, patients, size, out } = options;
    let asked = phantom::Options { seed: *seed, patients: *patients, largest: *size };
    let made = phantom::make(out, &asked)?;
    super::print(&format!(
        "{}: {} crops of {} phantom nodes ({} positive) in {} phantom patients, seed {seed}: no clinical evidence\n\
         Bayes accuracy of a node's numbers: {:.1} % by the rule, {:.1} % for these nodes\n",
        out.display(),
        made.images,
        made.nodes,
        made.positive,
        made.patients,
        100.0 * made.population_accuracy,
        100.0 * made.bayes_accuracy
    ))?;
    Ok(ExitCode::SUCCESS)
}

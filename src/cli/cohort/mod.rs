//! `nodal cohort`: clinical features of two groups, or more, with the tests a paper prints beside them.

pub mod features;
pub mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// The column that names each row's group
    #[arg(long, default_value = "group", value_name = "COLUMN")]
    group: String,
    /// Columns of numbers that are names of categories all the same
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    categories: Vec<String>,
    /// Columns that are no features; patient, node, image and case are none anyway
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    ignore: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A CSV with one row a patient or node, or with counts
    #[arg(value_name = "COHORT.csv")]
    data: PathBuf,
}

const HELP: &str = "\
COHORT.csv has one row a patient or node, a column with its group, and a column for each feature. Numbers are compared by the \
t test (pooled and Welch); anything else, and numbers of two values, by chi-square (with Yates' correction where both have \
two values) and Fisher's exact test. Empty fields are left out.

Where only figures are published, the columns are feature, group and count, with either level (the count of a category) or \
mean and sd (the moments of count values):
  feature,level,group,count,mean,sd
  gender,male,LN-,56,,
  age,,LN-,83,56.4,11.3";

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let cohort = features::open(&options.data, &options.group, &options.categories, &options.ignore)?;
    let output = match options.json {
        true => format!("{:#}\n", report::as_json(&cohort)),
        false => report::as_table(&cohort),
    };
    super::print(&output)?;
    Ok(ExitCode::SUCCESS)
}

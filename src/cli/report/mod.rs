//! `nodal report`: a study as one page, for those who read no code.
//!
//! It computes nothing of its own: what `evaluate`, `readers`, `cohort` and `sweep` find is laid out as one HTML file with its
//! figures and crops inside, which asks no other file and no network for anything. The same inputs give the same bytes.

mod content;
mod data;
mod errors;
mod glance;
mod html;
mod output;
mod page;
mod picture;
mod readers;
mod repeat;
mod results;
mod seen;
mod several;
mod sources;
mod sweep;
mod terms;
mod training;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use nodal::files::write_whole;

use super::evaluate::report::Section;
use super::evaluate::study::{Judging, Study};
use super::network::NetworkOptions;
pub use content::Evaluated;
use content::{Content, ERRORS};
pub use output::check;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// Predictions, as `nodal evaluate` takes them, instead of a run's network over its validation part
    #[arg(long, value_name = "PREDICTIONS.csv")]
    predictions: Option<PathBuf>,
    /// Radiologists' calls, criteria or counts, as `nodal readers` takes them
    #[arg(long, value_name = "READERS.csv")]
    readers: Option<PathBuf>,
    /// Clinical features, as `nodal cohort` takes them
    #[arg(long, value_name = "COHORT.csv")]
    cohort: Option<PathBuf>,
    /// The column that names each row's group in the cohort
    #[arg(long, default_value = "group", requires = "cohort", value_name = "COLUMN")]
    group: String,
    /// The folder of a sweep
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<PathBuf>,
    /// Where the predictions' crops lie: a folder, or a CSV beside them [default: as the predictions name them, also from
    /// their own folder on]
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// How many of the worst errors are shown
    #[arg(long, default_value_t = ERRORS, value_name = "N")]
    errors: usize,
    /// What stands above the page
    #[arg(long, default_value = "Study report", value_name = "TEXT")]
    title: String,
    /// The page to write
    #[arg(long, short, value_name = "FILE.html")]
    out: PathBuf,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    judging: Judging,
    /// A run's folder: its training, and its validation part through the weights of its best epoch
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,
}

const HELP: &str = "\
Every part is left out whose input is not given. The page is one HTML file with its figures and crops inside: it opens anywhere, \
asks no network for anything, and prints. It holds the names of nodes and patients as the inputs have them, and the paths of \
this machine's files, absolute ones of a run's data and weights: look before you pass it on.

Readers' cases are called as the images are, or as their paths end. Where the network has predictions of some of these cases \
alone, readers and network are compared on those.

  nodal report run --readers readers.csv --cohort cohort.csv -o report.html";

impl Options {
    /// The first given option that is of no use where no network is judged.
    fn of_judging(&self) -> Option<&'static str> {
        let own = [("--errors", self.errors != ERRORS), ("--data", self.data.is_some())];
        let own = own.into_iter().find(|(_, given)| *given).map(|(name, _)| name);
        self.judging.given(self.readers.is_some()).or(own)
    }
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    check(&options.out, "-o")?;
    options.judging.check()?;
    let content = Content::of(options)?;
    write(&options.out, &content)?;
    super::print(&format!("{}\n", options.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of what `nodal evaluate` judged.
pub fn of_study(out: &Path, of: Evaluated, study: Study, sections: Vec<Section>) -> anyhow::Result<()> {
    write(out, &Content::of_study(out, of, study, sections)?)
}

fn write(out: &Path, content: &Content) -> anyhow::Result<()> {
    let page = page::page(content)?.into_string();
    Ok(write_whole(out, |writer| writer.write_all(page.as_bytes()))?)
}

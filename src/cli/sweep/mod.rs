//! `nodal sweep`: many training runs over one set of data, and which configuration validates best.

mod options;
mod plan;
pub mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use clap::Args;
use nodal::train::End;
use nodal::train::sweep::{State, SweepFolder};

use super::train::INTERRUPTED;
use super::train::watch::{Screen, stop_on_ctrl_c};
use options::{Lists, Passed};
use plan::Planned;
pub use plan::quoted;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// A folder with a sub-folder of images for each class, or a CSV, as for `nodal train`
    #[arg(value_name = "DATA", required_unless_present = "collect")]
    data: Option<PathBuf>,
    /// The weights that every run begins with, or a run's folder for its best ones
    #[arg(long, value_name = "W", required_unless_present = "collect")]
    weights: Option<PathBuf>,
    /// The folder of all runs and their summary
    #[arg(long, short, value_name = "SWEEP", required_unless_present = "collect")]
    out: Option<PathBuf>,
    #[command(flatten)]
    lists: Lists,
    /// Print the commands that are left to run, one a line, and run none
    #[arg(long, conflicts_with = "collect")]
    list: bool,
    /// Summarize the runs that lie in this folder, whoever made them
    #[arg(long, value_name = "SWEEP", conflicts_with_all = ["data", "weights", "out"])]
    collect: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long, requires = "collect")]
    json: bool,
    #[command(flatten)]
    passed: Passed,
}

const HELP: &str = "\
Every combination of the values is a run for each seed and fold, in SWEEP/freeze-3_fold-2 and so on. The same command again \
goes on where the last one ended. On several machines:
  nodal sweep data --weights w.pth --out sweep --freeze 0,1,2,3,5,7,9 --folds 5 --list > commands
  parallel -j 4 < commands                        # or, in a Slurm array: sed -n ${SLURM_ARRAY_TASK_ID}p commands | sh
  nodal sweep --collect sweep";

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &options.collect {
        if let Some(given) = options.lists.given().or_else(|| options.passed.given()) {
            anyhow::bail!("--collect reads runs that are there: leave {given} out");
        }
        return summarize(&SweepFolder::open(folder)?, options.json);
    }
    let (Some(data), Some(weights), Some(out)) = (&options.data, &options.weights, &options.out) else {
        anyhow::bail!("nodal sweep needs DATA, --weights and --out, or --collect");
    };
    super::check_output(out)?;
    let runs = plan::runs(data, weights, out, &options.lists, &options.passed)?;
    // A sweep of other options in the same folder is refused before long checks.
    let about = plan::about(data, weights, &options.lists, &options.passed)?;
    let there = SweepFolder::find(out, &about)?;
    let state = |run: &Planned| there.as_ref().map_or(Ok(State::Absent), |folder| folder.state(&run.name));
    for run in &runs {
        if state(run)? == State::Absent {
            run.check()?;
        }
    }
    let folder = SweepFolder::make(out, &about)?;
    match options.list {
        true => list(&folder, &runs),
        false => go(&folder, &runs),
    }
}

fn list(folder: &SweepFolder, runs: &[Planned]) -> anyhow::Result<ExitCode> {
    for run in runs {
        if let Some(arguments) = run.arguments(folder.state(&run.name)?) {
            super::print(&format!("nodal {}\n", quoted(&arguments)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs what is left, one after the other, then summarizes.
fn go(folder: &SweepFolder, runs: &[Planned]) -> anyhow::Result<ExitCode> {
    let stop = stop_on_ctrl_c()?;
    let mut failed: Vec<&str> = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        if stop.load(SeqCst) {
            return stopped(run);
        }
        let place = format!("[{}/{}] {}", i + 1, runs.len(), run.name);
        let Some(arguments) = run.arguments(folder.state(&run.name)?) else {
            super::print(&format!("{place}: finished\n"))?;
            continue;
        };
        super::print(&format!("{place}: nodal {}\n", quoted(&arguments)))?;
        match one(&arguments, &stop) {
            Ok(End::Finished(_)) => {}
            Ok(End::Stopped { .. }) => return stopped(run),
            Err(error) => {
                eprintln!("nodal: {}: {error:#}", run.name);
                failed.push(&run.name);
            }
        }
    }
    let code = match failed.len() == runs.len() {
        true => ExitCode::FAILURE,
        false => summarize(folder, false)?,
    };
    match failed[..] {
        [] => Ok(code),
        _ => anyhow::bail!("{} of {} runs failed: {}", failed.len(), runs.len(), failed.join(", ")),
    }
}

/// Does what `nodal` does with these arguments.
fn one(arguments: &[String], stop: &Arc<AtomicBool>) -> anyhow::Result<End> {
    let (job, device) = options::train(arguments)?.job()?;
    if let Some(leak) = job.leak() {
        eprintln!("nodal: {leak}");
    }
    Ok(job.run(&device, &mut Screen::new(&job, &device, stop.clone())?)?)
}

fn stopped(run: &Planned) -> anyhow::Result<ExitCode> {
    let again: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    super::print(&format!("stopped at {}; go on with: nodal {}\n", run.name, quoted(&again)))?;
    Ok(ExitCode::from(INTERRUPTED))
}

fn summarize(folder: &SweepFolder, json: bool) -> anyhow::Result<ExitCode> {
    let summary = folder.summarize()?;
    match json {
        true => super::print_json(&summary.json())?,
        false => super::print(&report::as_text(&summary, &folder.run("")))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A path as an argument.
fn word(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| anyhow::anyhow!("{}: its name is no Unicode: rename it", path.display()))
}

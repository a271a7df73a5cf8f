//! `nodal train`: fine-tunes a network on crops, in a run folder that can be taken up again.

pub mod options;
pub mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use nodal::Device;
use nodal::train::{End, Job};

use options::Learning;
use watch::{Screen, stop_on_ctrl_c};

#[derive(Args)]
pub struct Options {
    /// A folder with a sub-folder of images for each class, such folders below train/ and val/, or a CSV with the columns image
    /// and label, and perhaps node, patient, view
    #[arg(value_name = "DATA", required_unless_present = "resume")]
    data: Option<PathBuf>,
    /// The weights to begin with, or a run's folder for its best ones; a last layer for other classes is made anew
    #[arg(long, value_name = "W", required_unless_present = "resume")]
    weights: Option<PathBuf>,
    /// The run's folder, which must not be there yet
    #[arg(long, short, value_name = "RUN", required_unless_present = "resume")]
    out: Option<PathBuf>,
    /// Take up the run in this folder where its checkpoint stands, with its own options
    #[arg(long, value_name = "RUN", conflicts_with_all = ["data", "weights", "out"])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    device: super::DeviceOptions,
    #[command(flatten)]
    learning: Learning,
}

/// What a shell gives a command that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

impl Options {
    /// The run that was asked for, begun or taken up again, and where it runs.
    pub fn job(&self) -> anyhow::Result<(Job, Device)> {
        let threads = threads();
        match (&self.resume, &self.data, &self.weights, &self.out) {
            (Some(run), ..) => {
                if let Some(given) = self.learning.given() {
                    anyhow::bail!("--resume goes on with the run's own options: leave {given} out");
                }
                #[cfg(any(feature = "cuda", feature = "sim"))]
                self.device.refuse("--resume, which goes on with the run's own table", &["--tuning"])?;
                let job = Job::resume(run, threads)?;
                // A card is found by its number, which may have changed.
                let own = &job.config().device;
                let device = self.device.open_or(if own.starts_with("cuda") { "cuda" } else { own })?;
                #[cfg(any(feature = "cuda", feature = "sim"))]
                let device = match &job.config().tuning {
                    // Another card has other kernels.
                    Some(tuning) if tuning.card == device.card() => device.tuned(tuning.clone())?,
                    _ => device,
                };
                if device.identity() != job.config().device {
                    let (own, other) = (&job.config().device, device.identity());
                    eprintln!(
                        "nodal: the run began on {own} and goes on on {other}: its last bits will differ"
                    );
                }
                Ok((job, device))
            }
            (None, Some(data), Some(weights), Some(out)) => {
                super::check_output(out)?;
                let device = self.device.open()?;
                let begin = self.learning.begin(data, weights)?;
                Ok((Job::begin(begin, out, &device, threads)?, device))
            }
            _ => anyhow::bail!(INCOMPLETE),
        }
    }

    /// Whether that run can begin; nothing is written.
    pub fn check(&self) -> anyhow::Result<()> {
        let (Some(data), Some(weights)) = (&self.data, &self.weights) else { anyhow::bail!(INCOMPLETE) };
        Ok(Job::check(self.learning.begin(data, weights)?, &self.device.open()?, threads())?)
    }
}

const INCOMPLETE: &str = "nodal train needs DATA, --weights and --out, or --resume";

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let stop = stop_on_ctrl_c()?;
    let (job, device) = options.job()?;
    for note in [job.left_out(), job.leak()].into_iter().flatten() {
        eprintln!("nodal: {note}");
    }
    let mut screen = Screen::new(&job, &device, stop)?;
    let end = job.run(&device, &mut screen)?;
    let folder = job.folder().path().display();
    super::print(&match end {
        End::Finished(Some(best)) => {
            let roc = if job.folder().file("roc.svg").exists() { " and roc.svg" } else { "" };
            format!(
                "best epoch {}, AUC {:.3}: {folder}/weights-best.safetensors; the last weights are weights-last.safetensors, curves \
                 loss.svg{roc}\n",
                best.epoch + 1,
                best.auc
            )
        }
        End::Finished(None) => format!("{folder}/weights-last.safetensors\n"),
        End::Stopped { epoch, .. } if epoch == job.config().hyper.epochs => format!(
            "stopped after the last epoch, before statistics were taken anew; go on with: nodal train --resume {folder}\n"
        ),
        End::Stopped { epoch, batch } => format!(
            "stopped in epoch {} after {batch} of {} steps; go on with: nodal train --resume {folder}\n",
            epoch + 1,
            job.steps_per_epoch()
        ),
    })?;
    Ok(if matches!(end, End::Stopped { .. }) { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

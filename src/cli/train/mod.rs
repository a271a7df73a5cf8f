//! `nodal train`: fine-tunes a network on crops, in a run folder that can be taken up again.

mod options;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use nodal::Device;
use nodal::train::{End, Job};

use options::Learning;
use watch::Screen;

#[derive(Args)]
pub struct Options {
    /// A folder with a sub-folder of images for each class, such folders below train/ and val/, or a CSV with the columns image
    /// and label, and perhaps node, patient, view
    #[arg(value_name = "DATA", required_unless_present = "resume")]
    data: Option<PathBuf>,
    /// The weights to begin with; a last layer for other classes is made anew
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
const INTERRUPTED: u8 = 130;

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let (job, device) = match (&options.resume, &options.data, &options.weights, &options.out) {
        (Some(run), ..) => {
            if let Some(given) = options.learning.given() {
                anyhow::bail!("--resume goes on with the run's own options: leave {given} out");
            }
            let job = Job::resume(run, threads)?;
            let device = match options.device.is_given() {
                true => options.device.open()?,
                false => Device::open(&job.config().device, None)?,
            };
            if device.identity() != job.config().device {
                let (own, other) = (&job.config().device, device.identity());
                eprintln!("nodal: the run began on {own} and goes on on {other}: its last bits will differ");
            }
            (job, device)
        }
        (None, Some(data), Some(weights), Some(out)) => {
            super::check_output(out)?;
            let device = options.device.open()?;
            let begin = options.learning.begin(data, weights)?;
            (Job::begin(begin, out, &device, threads)?, device)
        }
        _ => anyhow::bail!("nodal train needs DATA, --weights and --out, or --resume"),
    };
    if let Some(leak) = job.leak() {
        eprintln!("nodal: {leak}");
    }
    let mut screen = Screen::new(&job)?;
    let end = job.run(&device, &mut screen)?;
    let folder = job.folder().path().display();
    super::print(&match end {
        End::Finished(Some(best)) => format!(
            "best epoch {}, AUC {:.3}: {folder}/weights-best.safetensors; the last weights are weights-last.safetensors, curves \
             loss.svg and roc.svg\n",
            best.epoch + 1,
            best.auc
        ),
        End::Finished(None) => format!("{folder}/weights-last.safetensors\n"),
        End::Stopped { epoch, batch } => format!(
            "stopped in epoch {} after {batch} of {} steps; go on with: nodal train --resume {folder}\n",
            epoch + 1,
            job.steps_per_epoch()
        ),
    })?;
    Ok(if matches!(end, End::Stopped { .. }) { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

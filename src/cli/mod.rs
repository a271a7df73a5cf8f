//! One file a command; here what they share: options, output, tables.

pub mod bench;
pub mod cohort;
pub mod convert;
pub mod devices;
pub mod evaluate;
pub mod explain;
mod grid;
pub mod init;
mod network;
pub mod phantom;
pub mod plan;
pub mod predict;
pub mod readers;
pub mod report;
mod sheet;
pub mod sweep;
pub mod train;
#[cfg(any(feature = "cuda", feature = "sim"))]
pub mod tune;
pub mod verify;

use std::io::{ErrorKind, Write};
use std::path::Path;
#[cfg(any(feature = "cuda", feature = "sim"))]
use std::path::PathBuf;

use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use nodal::Device;

/// Where to run.
#[derive(Args)]
pub struct DeviceOptions {
    /// auto (the first card that can be used, else the cpu), cpu, cpu:avx512, cpu:avx2, cpu:portable, cuda, cuda:1, sim or
    /// sim:CARD
    #[arg(long, default_value = "auto", value_name = "D")]
    device: String,
    /// Threads of the cpu and sim devices [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The card that the sim device chooses kernels for [default: gtx-1080-ti]
    #[arg(long, value_name = "CARD")]
    card: Option<String>,
    /// Cuts of launches that `nodal tune` found, for cuda and sim
    #[cfg(any(feature = "cuda", feature = "sim"))]
    #[arg(long, value_name = "FILE")]
    tuning: Option<PathBuf>,
    /// What the sim device looks after: fast (bounds, shared memory) or all
    #[arg(long, value_name = "C")]
    checks: Option<SimChecks>,
    /// Run a cuda device step by step, without a CUDA graph: slower, and a fault names its kernel
    #[arg(long)]
    no_graph: bool,
}

/// What the simulator looks after.
#[derive(Clone, Copy, clap::ValueEnum)]
enum SimChecks {
    /// Bounds and shared memory
    Fast,
    /// Unwritten words and races in global memory too
    All,
}

impl DeviceOptions {
    /// The device that was asked for, `other` where that was left to nodal.
    pub fn open_or(&self, other: &str) -> anyhow::Result<Device> {
        match self.device.as_str() {
            "auto" if self.card.is_none() && self.checks.is_none() && !self.no_graph && !self.is_tuned() => {
                Ok(Device::open(other, self.threads)?)
            }
            _ => self.open(),
        }
    }

    /// The device that was asked for.
    pub fn open(&self) -> anyhow::Result<Device> {
        let sim = self.device == "sim" || self.device.starts_with("sim:");
        match (&self.card, self.checks) {
            (Some(card), _) if self.device.starts_with("sim:") => {
                anyhow::bail!(
                    "--device {} names a card, and so does --card {card}: leave one out",
                    self.device
                )
            }
            (Some(_), _) if !sim => {
                anyhow::bail!("--card belongs to --device sim: add that, or leave it out")
            }
            (_, Some(_)) if !sim => {
                anyhow::bail!("--checks belongs to --device sim: add that, or leave it out")
            }
            _ => {}
        }
        let name = match &self.card {
            Some(card) => format!("sim:{card}"),
            None => self.device.clone(),
        };
        let mut device = Device::open(&name, self.threads)?;
        #[cfg(feature = "cuda")]
        if let ("auto", Device::Cpu { .. }, Some(error)) =
            (name.as_str(), &device, nodal::device::cuda::unusable())
        {
            eprintln!("nodal: {error}; going on with the cpu");
        }
        match &mut device {
            _ if !self.no_graph => {}
            #[cfg(feature = "cuda")]
            Device::Cuda { graph, .. } => *graph = false,
            other => anyhow::bail!("--no-graph belongs to --device cuda, not to {other}"),
        }
        #[cfg(feature = "sim")]
        if let (Device::Sim { checks, .. }, Some(SimChecks::All)) = (&mut device, self.checks) {
            *checks = nodal::device::Checks::All;
        }
        #[cfg(any(feature = "cuda", feature = "sim"))]
        if let Some(path) = &self.tuning {
            device = device.tuned(nodal::program::Tuning::open(path)?)?;
        }
        Ok(device)
    }

    /// Whether a tuning table was given.
    fn is_tuned(&self) -> bool {
        #[cfg(any(feature = "cuda", feature = "sim"))]
        return self.tuning.is_some();
        #[cfg(not(any(feature = "cuda", feature = "sim")))]
        false
    }

    /// Whether a device was asked for.
    pub fn is_given(&self) -> bool {
        self.device != "auto"
    }

    /// Refuses the options called `named` where they would not count for `what`.
    ///
    /// # Errors
    /// For the first of them that was given.
    #[cfg(any(feature = "cuda", feature = "sim"))]
    pub fn refuse(&self, what: &str, named: &[&str]) -> anyhow::Result<()> {
        let given = [
            ("--checks", self.checks.is_some()),
            ("--tuning", self.tuning.is_some()),
            ("--no-graph", self.no_graph),
        ];
        match given.iter().find(|(name, given)| *given && named.contains(name)) {
            Some((name, _)) => anyhow::bail!("{name} does not count for {what}: leave it out"),
            None => Ok(()),
        }
    }
}

/// Whether a file can be written at `path` as far as its folder tells: asked before long work.
///
/// # Errors
/// When there is no such folder.
pub fn check_output(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            anyhow::bail!("{}: the folder {} does not exist: create it", path.display(), folder.display())
        }
        _ => Ok(()),
    }
}

/// `299` or `224x299`, height first.
pub fn parse_size(text: &str) -> nodal::Result<(usize, usize)> {
    nodal::data::parse_size(text)
}

/// Writes to standard output. A reader that has gone, as in `nodal plan | head`, is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("standard output: cannot write: {e}"))
        }
        _ => Ok(()),
    }
}

/// Writes JSON to standard output.
pub fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

/// A float32 in as few digits as tell it from its neighbours.
pub fn number(value: f32) -> serde_json::Value {
    value.to_string().parse::<f64>().map_or(serde_json::Value::Null, serde_json::Value::from)
}

/// A table with `header`, its columns from `numbers` on aligned to the right.
pub fn table(header: &[&str], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A table's text without blanks at the ends of lines.
pub fn text(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

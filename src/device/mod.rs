//! *Where* a program runs. A device turns the steps of a [program](crate::program) into work on its own memory; what it gives back
//! are host tensors.

#[cfg(feature = "cpu")]
pub mod cpu;
mod engine;

pub use engine::Engine;

use std::time::Duration;

use crate::error::{Error, Result};
use crate::program::{Target, View};

/// Runs one program on one device: what each device implements, and all that [`Engine`] needs of it.
pub(crate) trait Executor: Send {
    /// The whole batch of input images, N·3·H·W; filled by the caller before each run, since a run may overwrite it.
    fn input(&mut self) -> &mut [f32];

    /// Runs all steps on the first `images` images of the input.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    fn run(&mut self, images: usize) -> Result<()>;

    /// As [`Executor::run`], one step after the other, and writes each step's time to `times`.
    ///
    /// # Errors
    /// As [`Executor::run`].
    fn run_timed(&mut self, images: usize, times: &mut Vec<Duration>) -> Result<()>;

    /// Copies what `view` holds for the first `images` images to `out`, N·C·H·W.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    fn read(&self, view: View, images: usize, out: &mut [f32]) -> Result<()>;
}

/// A device by choice, not yet in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu {
        /// Threads that compute, the caller's own included.
        threads: usize,
        /// Instruction set by name: `avx512`, `avx2`, `portable`; the best there is when `None`.
        isa: Option<String>,
    },
}

impl Device {
    /// The device called `name`: `auto`, `cpu`, `cpu:avx2`, `cuda`, `cuda:1`, `sim`; `threads` counts for the CPU and
    /// is all cores when `None`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name that is none of these or no thread; [`Error::Device`] for a device that this
    /// build or this machine lacks.
    pub fn open(name: &str, threads: Option<usize>) -> Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let (kind, which) = name.split_once(':').map_or((name, None), |(kind, which)| (kind, Some(which)));
        let absent = |problem: &str| Error::Device { device: name.to_string(), problem: problem.to_string() };
        match (kind, which) {
            ("auto", None) | ("cpu", _) => {
                let threads = threads.unwrap_or_else(cores);
                if !(1..=1024).contains(&threads) {
                    return Err(Error::Argument(format!("{threads} threads: give a number from 1 to 1024")));
                }
                Ok(Device::Cpu { threads, isa: which.map(str::to_string) })
            }
            ("cuda" | "sim", _) => Err(absent("this build has no kernels for it; use --device cpu")),
            _ => Err(Error::Argument(format!(
                "no device is called `{name}`; there are auto, cpu, cuda, cuda:1, sim"
            ))),
        }
    }

    /// What a program must know to be lowered for this device.
    pub fn target(&self) -> Target {
        match self {
            Device::Cpu { .. } => Target::cpu(),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Cpu { isa: Some(isa), .. } => write!(f, "cpu:{isa}"),
            Device::Cpu { isa: None, .. } => f.write_str("cpu"),
        }
    }
}

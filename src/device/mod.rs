//! *Where* a program runs. A device turns the steps of a [program](crate::program) into work on its own memory; what it gives back
//! are host tensors.

#[cfg(test)]
mod conv_train_tests;
#[cfg(feature = "cpu")]
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod engine;
#[cfg(test)]
mod fusion_tests;
mod gradient;
#[cfg(feature = "sim")]
mod sim;
#[cfg(test)]
mod tests;
mod train;
#[cfg(test)]
#[cfg(feature = "cpu")]
mod train_step_tests;
#[cfg(test)]
mod train_tests;
#[cfg(any(feature = "cuda", feature = "sim"))]
mod tune;

pub use engine::Engine;
#[cfg(feature = "sim")]
pub use sim::{Modelled, ProgramModel, model};
pub use train::StepResult;
#[cfg(any(feature = "cuda", feature = "sim"))]
pub use tune::tune;

use std::time::Duration;

use crate::error::{Error, Result};
#[cfg(feature = "sim")]
use crate::kernels::Card;
#[cfg(any(feature = "cuda", feature = "sim"))]
use crate::program::Gpu;
#[cfg(any(feature = "cuda", feature = "sim"))]
use crate::program::Tuning;
use crate::program::{BufferId, Target, View};

/// Runs one program on one device: what each device implements, and all that [`Engine`] needs of it.
pub(crate) trait Executor: Send {
    /// The whole batch of the program's input, in the layout of its buffer; filled by the caller before each run, since a run may overwrite it.
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

    /// Copies `values` into a buffer in which they lie as they are, from its value number `first` on.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    fn write(&mut self, buffer: BufferId, first: usize, values: &[f32]) -> Result<()>;
}

/// A device by choice, not yet in use.
#[derive(Clone, Debug, PartialEq)]
pub enum Device {
    /// The processor.
    Cpu {
        /// Threads that compute, the caller's own included.
        threads: usize,
        /// Instruction set by name: `avx512`, `avx2`, `portable`; the best there is when `None`.
        isa: Option<String>,
    },
    /// A CUDA card.
    #[cfg(feature = "cuda")]
    Cuda {
        /// Its number, by the driver's order.
        index: usize,
        /// Whether a run replays a CUDA graph; without, steps run one by one and a fault is told with its kernel.
        graph: bool,
        /// What the driver said of it when it was opened.
        properties: cuda::Properties,
        /// How launches are cut, where that was found by trying.
        tuning: Option<Tuning>,
    },
    /// The SIMT simulator.
    #[cfg(feature = "sim")]
    Sim {
        /// The card that programs are cut for.
        card: Card,
        /// What is looked after beside bounds.
        checks: Checks,
        /// Threads that simulate thread blocks.
        threads: usize,
        /// How launches are cut, where that was found by trying.
        tuning: Option<Tuning>,
    },
}

/// What the simulator looks after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checks {
    /// Bounds and alignment of every access; races and unwritten words in shared memory; divergent barriers.
    #[default]
    Fast,
    /// Unwritten words and races between thread blocks in global memory too, and all counters.
    All,
}

impl Device {
    /// The device called `name`: `auto`, `cpu`, `cpu:avx2`, `cuda`, `cuda:1`, `sim`, `sim:h200` (cut for that card);
    /// `threads` counts for the CPU and the simulator and is all cores when `None`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name that is none of these or no thread; [`Error::Device`] for a device that this
    /// build or this machine lacks.
    pub fn open(name: &str, threads: Option<usize>) -> Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let (kind, which) = name.split_once(':').map_or((name, None), |(kind, which)| (kind, Some(which)));
        #[cfg(not(all(feature = "cuda", feature = "sim")))]
        let absent = |problem: &str| Error::Device { device: name.to_string(), problem: problem.to_string() };
        let threads = threads.unwrap_or_else(cores);
        if !(1..=1024).contains(&threads) {
            return Err(Error::Argument(format!("{threads} threads: give a number from 1 to 1024")));
        }
        match (kind, which) {
            ("auto", None) => Device::automatic(threads),
            #[cfg(feature = "cuda")]
            ("cuda", which) => {
                let unknown =
                    |_| Error::Argument(format!("`{name}` is no CUDA device: write cuda or cuda:1"));
                let index = which.map_or(Ok(0), str::parse).map_err(unknown)?;
                Ok(Device::Cuda { index, graph: true, properties: cuda::device(index)?, tuning: None })
            }
            ("cpu", _) => Ok(Device::Cpu { threads, isa: which.map(str::to_string) }),
            #[cfg(feature = "sim")]
            ("sim", card) => {
                let card = card.map_or(Ok(crate::kernels::CARDS[0]), Card::named)?;
                Ok(Device::Sim { card, checks: Checks::Fast, threads, tuning: None })
            }
            #[cfg(not(feature = "cuda"))]
            ("cuda", _) => Err(absent(
                "this build of nodal has no CUDA: build it with --features cuda, or use --device cpu",
            )),
            #[cfg(not(feature = "sim"))]
            ("sim", _) => Err(absent("this build of nodal has no simulator: build it with --features sim")),
            _ => Err(Error::Argument(format!(
                "no device is called `{name}`; there are auto, cpu, cuda, cuda:1, sim"
            ))),
        }
    }

    /// This device with launches cut as `found` says.
    ///
    /// # Errors
    /// [`Error::Argument`] for a table of another card, or a device that cuts its work itself.
    #[cfg(any(feature = "cuda", feature = "sim"))]
    pub fn tuned(mut self, found: Tuning) -> Result<Self> {
        let card = self.card();
        match &mut self {
            Device::Cpu { .. } => {
                return Err(Error::Argument("the cpu cuts its work itself: it takes no tuning table".into()));
            }
            _ if found.card != card => {
                let problem = format!(
                    "the tuning table is for {}, not for {card}: make one with `nodal tune`",
                    found.card
                );
                return Err(Error::Argument(problem));
            }
            #[cfg(feature = "cuda")]
            Device::Cuda { tuning, .. } => *tuning = Some(found),
            #[cfg(feature = "sim")]
            Device::Sim { tuning, .. } => *tuning = Some(found),
        }
        Ok(self)
    }

    /// The card's name; of the CPU its kind.
    pub fn card(&self) -> String {
        match self {
            Device::Cpu { .. } => "cpu".into(),
            #[cfg(feature = "cuda")]
            Device::Cuda { properties, .. } => properties.name.clone(),
            #[cfg(feature = "sim")]
            Device::Sim { card, .. } => format!("sim:{}", card.name),
        }
    }

    /// The first CUDA card that can be used, else the processor; in a build without the latter, why there is no card.
    fn automatic(threads: usize) -> Result<Self> {
        #[cfg(feature = "cuda")]
        match cuda::first() {
            Some((index, properties)) => {
                return Ok(Device::Cuda { index, graph: true, properties, tuning: None });
            }
            None if cfg!(feature = "cpu") => {}
            None => {
                return Ok(Device::Cuda {
                    index: 0,
                    graph: true,
                    properties: cuda::device(0)?,
                    tuning: None,
                });
            }
        }
        Ok(Device::Cpu { threads, isa: None })
    }

    /// As [`Display`](std::fmt::Display), with the instruction set or card that decides the last bits of a result.
    pub fn identity(&self) -> String {
        match self {
            #[cfg(feature = "cpu")]
            Device::Cpu { isa: None, .. } => format!("cpu:{}", cpu::Isa::detect().name()),
            #[cfg(feature = "cuda")]
            Device::Cuda { properties, .. } => format!("cuda ({})", properties.name),
            other => other.to_string(),
        }
    }

    /// Memory that a program's arena can take at most, where that is known.
    pub fn memory_bytes(&self) -> Option<usize> {
        match self {
            #[cfg(feature = "cuda")]
            Device::Cuda { properties, .. } => Some(properties.memory_bytes),
            _ => available_bytes(),
        }
    }

    /// What a program must know to be lowered for this device.
    pub fn target(&self) -> Target {
        match self {
            Device::Cpu { .. } => Target::cpu(),
            #[cfg(feature = "cuda")]
            Device::Cuda { properties, tuning, .. } => {
                Target::gpu(Gpu { tuning: tuning.clone(), ..properties.gpu() })
            }
            #[cfg(feature = "sim")]
            Device::Sim { card, tuning, .. } => Target::gpu(Gpu { tuning: tuning.clone(), ..card.gpu() }),
        }
    }
}

/// Memory of the machine that can be had without driving others out, where the system tells: it hands out more than it has, and ends
/// the process that uses it.
fn available_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Cpu { isa: Some(isa), .. } => write!(f, "cpu:{isa}"),
            Device::Cpu { isa: None, .. } => f.write_str("cpu"),
            #[cfg(feature = "cuda")]
            Device::Cuda { index, .. } => write!(f, "cuda:{index}"),
            #[cfg(feature = "sim")]
            Device::Sim { card, .. } => write!(f, "sim:{}", card.name),
        }
    }
}

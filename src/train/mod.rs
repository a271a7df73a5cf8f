//! Fine-tuning: the loop over epochs around [`Engine::train_step`](crate::device::Engine::train_step), and the folder in which a run
//! leaves all that is needed to repeat it, to go on, and to predict.

mod checkpoint;
mod config;
mod curves;
mod features;
mod folder;
mod head;
mod job;
mod log;
mod memory;
mod outcome;
mod prepare;
mod run;
mod schedule;
pub mod sweep;
mod tally;
mod targets;
mod watch;

pub use checkpoint::{Best, Place};
pub use config::{Config, Hyper, MeanOrigin, digest};
pub use folder::RunFolder;
pub use job::{Begin, Job};
pub use log::Epoch;
pub use schedule::{Decay, Schedule};
pub use tally::Figures;
pub use targets::Targets;
pub use watch::{End, EpochReport, StepReport, Watch};

use log::Log;
use tally::Tally;

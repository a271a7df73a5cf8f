//! Fine-tuning: the loop over epochs around [`Engine::train_step`](crate::device::Engine::train_step), and the folder in which a run
//! leaves all that is needed to repeat it, to go on, and to predict.

mod checkpoint;
mod config;
mod curves;
mod features;
mod folder;
mod head;
mod job;
mod outcome;
mod run;
mod schedule;
pub mod sweep;
mod tally;
mod targets;

pub use checkpoint::{Best, Place};
pub use config::{Config, Hyper, MeanOrigin, digest};
pub use folder::{Epoch, RunFolder};
pub use job::{Begin, Job};
pub use run::{End, EpochReport, StepReport, Watch};
pub use schedule::{Decay, Schedule};
pub use tally::Figures;
pub use targets::Targets;

use folder::Log;
use tally::Tally;

//! Many runs over one set of data, and what they say together: which configuration validates best, and how sure that is.
//!
//! A sweep's folder holds `sweep.json` (what all its runs share), one folder for each run, made by [`Job`](super::Job) like any
//! other, and the summary. The summary is a function of the run folders alone: who made them, in which order and on which machine
//! does not count. A *configuration* is a number of frozen convolutions, a learning rate and a batch; its runs differ in seed and
//! fold, and runs of two configurations with the same seed and fold are a pair, because they learn from the same images.

mod folder;
mod picture;
mod run;
mod summary;

pub use folder::{State, SweepFolder};
pub use run::{Configuration, Left, Outcome, Replicate};
pub use summary::{Difference, Estimate, Row, Summary};

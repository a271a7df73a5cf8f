//! The commands of a study, `evaluate`, `readers`, `cohort` and `phantom`, as a user drives them.
#![cfg(all(feature = "cli", feature = "cpu"))]
#![allow(clippy::unwrap_used)] // a test may panic

mod cohort;
mod evaluate;
mod folder;
mod paper;
mod phantom;
mod readers;
mod script;

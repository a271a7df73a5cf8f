//! The page that `nodal report` and `nodal evaluate --report` write, as files that are read back.
#![cfg(all(feature = "cli", feature = "cpu"))]
#![allow(clippy::unwrap_used)] // a test may panic

mod beside;
#[path = "../study/folder.rs"]
mod folder;
mod html;
mod pages;
mod refusals;
mod run;

//! `nodal::metrics` against SciPy, scikit-learn and statsmodels, against pairs counted one by one, and against itself.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used)] // a test may panic

mod properties;
mod reference;
mod refusals;

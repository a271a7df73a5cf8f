//! Statistics of predictions, readers and cohorts: no device, no file, no table on a screen.
//!
//! [`Scored`] holds scores with their truth and gives ROC and precision-recall curves, AUC with DeLong's variance, cut-offs and
//! calibration. [`Confusion`] holds calls and gives sensitivity, specificity and their kin, each a [`Proportion`] with
//! exact and Wilson intervals. [`Contingency`] holds counts and gives chi-square, Fisher, McNemar and kappa. [`summary`]
//! puts what a study reports of one set of scores into one list, [`multi_summary`] that of several classes.
//!
//! A figure that the data do not define (a predictive value where nothing was called positive) is `None`; a question that
//! they cannot answer (a ROC curve of one class) is an [`Error::Argument`](crate::Error::Argument). No result is NaN.
//!
//! ```
//! use nodal::metrics::{Confidence, Cutoff, Scored};
//! let scored = Scored::new(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true])?;
//! assert_eq!(scored.auc()?.value, 0.75);
//! let calls = scored.confusion(Cutoff::Youden.choose(&scored)?);
//! let sensitivity = calls.sensitivity();
//! println!("{:?} {:?}", sensitivity.value(), sensitivity.exact(Confidence::P95));
//! # Ok::<(), nodal::Error>(())
//! ```

mod bootstrap;
mod calibration;
mod chi_square;
mod confusion;
mod contingency;
mod curves;
mod cutoff;
mod delong;
mod distributions;
mod fisher;
mod interval;
mod kappa;
mod mcnemar;
mod multiclass;
mod proportion;
pub mod reading;
mod scored;
mod summary;
mod t_test;

pub use bootstrap::{Bootstrap, bootstrap};
pub use calibration::{Bin, Calibration};
pub use chi_square::ChiSquare;
pub use confusion::Confusion;
pub use contingency::Contingency;
pub use curves::{PrecisionRecallPoint, RocPoint};
pub use cutoff::Cutoff;
pub use delong::{Auc, AucComparison, compare_paired, compare_unpaired};
pub use interval::{Confidence, Interval, Test};
pub use kappa::{Kappa, Weighting};
pub use mcnemar::McNemar;
pub use multiclass::{MultiClass, MultiSummary, OneVsRest, multi_summary, one_vs_rest_auc};
pub use proportion::Proportion;
pub use scored::Scored;
pub use summary::{Metric, summary};
pub use t_test::{Moments, TTest};

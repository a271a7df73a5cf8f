//! Phantoms: made crops of lymph nodes for trying a study's tools out. No patient stands behind them, and nothing clinical follows.
//!
//! A patient has one to three nodes, a node three views, a view one grey JPEG. A node is an ellipsoid with four known numbers, each
//! drawn independently but for roundness's lower end (`u` is uniform from 0 to 1):
//!
//! | number | drawn | in the crop |
//! | --- | --- | --- |
//! | short axis, mm | 3 + 19·u³ | the smallest diameter, four pixels a millimetre |
//! | irregularity | u | harmonics 3 to 7 of the border, up to 0.35 of the radius together |
//! | heterogeneity | u | a texture of low frequency inside, up to 60 grey levels either way |
//! | roundness | from max(½, short axis / 26 mm) to 1 | short axis / long axis |
//!
//! Of these numbers, as `nodes.csv` has them, the label is drawn by one rule:
//!
//! P(positive) = 1 / (1 + exp(−z)), z = 1.2·(short axis − 7.5) + 8·(irregularity − ½) + 8·(heterogeneity − ½) + 6·(roundness − ¾)
//!
//! so that nobody can be right more often, in the mean, than the mean of max(P, 1 − P): the Bayes accuracy, which is reported for the
//! rule and for the nodes at hand. A crop shows less than the numbers. About 44 % of the nodes are positive; those are the larger ones,
//! as in Li et al., Quant Imaging Med Surg 2021;11(6):2477, but the two ranges of diameters overlap.
//!
//! Two readers see each of three criteria, and the diameter, with stated errors ([`READERS`]). Age, gender and T stage
//! depend on the patient's group alone, by the published table's figures.
//!
//! All is a function of the seed and of what it is drawn for, in integers, + − × ÷ √ only: the same files on every machine, and
//! patient 7 is the same among 10 as among 1000.
//!
//! Left out: anatomy, coils and vessels, partial volume, correlation between views beyond the ellipsoid, between readers beyond what they
//! look at, and between a patient's nodes.

mod node;
mod paint;
mod patient;
mod readers;
mod write;

pub use node::{Node, bayes_accuracy, population_accuracy};
pub use readers::{READERS, Reader};
pub use write::{Options, Summary, make};

/// The views of a node, and which of the body's axes (left-right, front-back, head-foot) run along its columns and rows.
const VIEWS: [(&str, [usize; 2]); 3] = [("axial", [0, 1]), ("sagittal", [1, 2]), ("coronal", [0, 2])];

/// What every document of a phantom says first.
const NOTICE: &str = "phantoms, made by a rule: no clinical evidence";

//! What stays together when a data set is split, and by which class it is balanced.
//!
//! A group is an image, all images of a node, or all of a patient; nodes of two patients are two, whatever they are called. A
//! group counts for the highest class in it: of two classes, one positive image makes a patient positive, as one metastatic
//! node does (LN+).

use std::collections::HashMap;
use std::str::FromStr;

use super::{Dataset, Labelled};
use crate::error::{Error, Result};

/// What may not lie on both sides of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// An image: views of one node may be parted.
    Image,
    /// All images of a node: nodes of one patient may be parted.
    Node,
    /// All images of a patient.
    Patient,
}

impl SplitBy {
    /// The safest that the data allow: patient where every image names one, else node where every image names one, else image.
    pub fn default_of(data: &Dataset) -> Self {
        let every = |by: SplitBy| data.samples().iter().all(|sample| by.key(sample).is_some());
        [SplitBy::Patient, SplitBy::Node].into_iter().find(|&by| every(by)).unwrap_or(SplitBy::Image)
    }

    /// What names the group of `sample`: patient and node. `None` where it is not known.
    pub(super) fn key(self, sample: &Labelled) -> Option<(Option<&str>, Option<&str>)> {
        let (patient, node) = (sample.patient.as_deref(), sample.node.as_deref());
        match self {
            SplitBy::Image => Some((None, sample.image.to_str())),
            SplitBy::Node => node.map(|node| (patient, Some(node))),
            SplitBy::Patient => patient.map(|patient| (Some(patient), None)),
        }
    }
}

impl FromStr for SplitBy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "image" => Ok(SplitBy::Image),
            "node" => Ok(SplitBy::Node),
            "patient" => Ok(SplitBy::Patient),
            _ => Err(Error::Argument(format!("split-by is `image`, `node` or `patient`, not `{text}`"))),
        }
    }
}

impl std::fmt::Display for SplitBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SplitBy::Image => "image",
            SplitBy::Node => "node",
            SplitBy::Patient => "patient",
        })
    }
}

/// The groups of `data` for each class: each group the indices of its samples, groups by their first sample.
///
/// # Errors
/// [`Error::Image`] for one that does not name its group.
pub(super) fn strata(data: &Dataset, by: SplitBy) -> Result<Vec<Vec<Vec<usize>>>> {
    let mut index = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, sample) in data.samples().iter().enumerate() {
        let Some(key) = by.key(sample) else {
            let problem =
                format!("has no {by}, and the data are split by {by}: fill it in, or split by image");
            return Err(Error::image(&sample.image, problem));
        };
        let group = *index.entry(key).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(i);
    }
    let mut strata = vec![Vec::new(); data.classes().len()];
    for group in groups {
        let class = group.iter().map(|&i| data.samples()[i].label).max().unwrap_or(0);
        strata[class].push(group);
    }
    Ok(strata)
}

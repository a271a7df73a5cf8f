//! Which images teach and which validate.
//!
//! Groups are shuffled within each class, and the share of validation is taken from each class by itself, rounded to whole groups
//! and at least one on each side. In cross-validation the shuffled groups are dealt to the folds in turn, one class after the
//! other without starting over, so that neither classes nor folds differ by more than one group.

use std::collections::HashSet;

use super::random::Stream;
use super::strata::strata;
use super::{Dataset, SplitBy};
use crate::error::{Error, Result};

/// Indices of samples on both sides, each in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The images that teach.
    pub train: Vec<usize>,
    /// The images that validate.
    pub val: Vec<usize>,
}

impl Split {
    /// `val_fraction` of each class's groups for validation, drawn by `seed`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a share that is not between 0 and 1, a class with a single group, or a side without images of a
    /// class; [`Error::Image`] for one that does not name its group.
    pub fn random(data: &Dataset, by: SplitBy, val_fraction: f64, seed: u64) -> Result<Self> {
        if !(val_fraction > 0.0 && val_fraction < 1.0) {
            let problem =
                format!("val-fraction lies between 0 and 1, both left out, and is not {val_fraction}");
            return Err(Error::Argument(problem));
        }
        let mut parts = vec![false; data.samples().len()];
        for (class, groups) in shuffled(data, by, seed)?.iter().enumerate() {
            if let [group] = &groups[..] {
                let (name, what) = (&data.classes()[class], described(by, group.len()));
                let problem =
                    format!("the class `{name}` has {what}, which cannot be on both sides: add more data");
                return Err(Error::Argument(problem));
            }
            let count = (val_fraction * groups.len() as f64).round() as usize;
            let count = count.clamp(1, groups.len().max(2) - 1);
            groups.iter().take(count).flatten().for_each(|&i| parts[i] = true);
        }
        Self::of_parts(data, by, &parts)
    }

    /// The `fold`-th of `folds` parts, counted from 0, for validation; all folds under one `seed` part the data among them.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two folds, more than a class has groups, or a fold beyond the last; otherwise as
    /// [`Split::random`].
    pub fn fold(data: &Dataset, by: SplitBy, fold: usize, folds: usize, seed: u64) -> Result<Self> {
        if folds < 2 || fold >= folds {
            let problem = format!("there is no fold {fold} of {folds}: two or more, counted from 0");
            return Err(Error::Argument(problem));
        }
        let mut parts = vec![false; data.samples().len()];
        let mut dealt = 0;
        for (class, groups) in shuffled(data, by, seed)?.iter().enumerate() {
            if (1..folds).contains(&groups.len()) {
                let (name, count) = (&data.classes()[class], groups.len());
                let problem =
                    format!("the class `{name}` has {count} {by}s, too few for {folds} folds: ask for fewer");
                return Err(Error::Argument(problem));
            }
            for group in groups {
                if dealt % folds == fold {
                    group.iter().for_each(|&i| parts[i] = true);
                }
                dealt += 1;
            }
        }
        Self::of_parts(data, by, &parts)
    }

    /// Both sides from whether each sample validates.
    fn of_parts(data: &Dataset, by: SplitBy, is_val: &[bool]) -> Result<Self> {
        let (val, train) = (0..is_val.len()).partition(|&i| is_val[i]);
        let split = Split { train, val };
        for (side, part) in [("training", &split.train), ("validation", &split.val)] {
            let has = |class| part.iter().any(|&i| data.samples()[i].label == class);
            if let Some(class) = (0..data.classes().len()).find(|&class| !has(class)) {
                let name = &data.classes()[class];
                let problem = format!(
                    "no image of the class `{name}` is left for {side}, split by {by}: take another seed or share, or add more data"
                );
                return Err(Error::Argument(problem));
            }
        }
        Ok(split)
    }

    /// A sentence that names how many patients and nodes have images on both sides, so that validation looks better than the
    /// network is; `None` where there is no such, or no image names any.
    pub fn leak(&self, data: &Dataset) -> Option<String> {
        let shared = |by: SplitBy| {
            let keys = |part: &[usize]| -> HashSet<_> {
                part.iter().filter_map(|&i| by.key(&data.samples()[i])).collect()
            };
            let (train, val) = (keys(&self.train), keys(&self.val));
            (train.intersection(&val).count(), train.union(&val).count())
        };
        let (patients, nodes) = (shared(SplitBy::Patient), shared(SplitBy::Node));
        let told = [(patients, "patients"), (nodes, "nodes")];
        let told: Vec<String> = told
            .iter()
            .filter(|((shared, _), _)| *shared > 0)
            .map(|((shared, all), what)| format!("{shared} of {all} {what}"))
            .collect();
        let by = match SplitBy::default_of(data) {
            SplitBy::Image => "name the patient of every image and split by patient".to_string(),
            by => format!("split by {by}"),
        };
        (!told.is_empty()).then(|| {
            format!(
                "{} have images on both sides, training and validation, which makes the network look better than it is: {by}",
                told.join(" and ")
            )
        })
    }
}

/// The groups of each class in random order.
fn shuffled(data: &Dataset, by: SplitBy, seed: u64) -> Result<Vec<Vec<Vec<usize>>>> {
    let mut strata = strata(data, by)?;
    for (class, groups) in strata.iter_mut().enumerate() {
        Stream::new(seed, "split").below(class as u64).shuffle(groups);
    }
    Ok(strata)
}

/// One group as words.
fn described(by: SplitBy, images: usize) -> String {
    match by {
        SplitBy::Image => "a single image".to_string(),
        _ => format!("a single {by} ({images} images)"),
    }
}

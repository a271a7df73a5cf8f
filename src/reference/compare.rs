//! One tensor against its reference, and the verdict over a group of them.

use super::Tolerances;
use super::tolerance::{group_of, groups as all_groups};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::weights::{Weights, random};

/// One tensor of the reference and how far ours lies from it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Its name in the file.
    pub name: String,
    /// Largest absolute difference of an element.
    pub max_abs: f64,
    /// Relative L2 error; of a sample, the larger of the sample's and of the whole norm's.
    pub relative_l2: f64,
    /// What it may be.
    pub tolerance: f64,
    /// Why there are no numbers, or the worst element: index, ours, theirs.
    pub note: String,
}

impl Comparison {
    /// Whether the error is a number within the tolerance.
    pub fn passed(&self) -> bool {
        self.relative_l2 <= self.tolerance && self.max_abs.is_finite()
    }

    /// The group it is judged in, `layer` or another; empty for a row that is no tensor.
    pub fn group(&self) -> &'static str {
        group_of(&self.name).unwrap_or_default()
    }
}

/// The worst of a group.
#[derive(Clone, Debug)]
pub struct GroupVerdict {
    /// `logits`, `layer`, `loss`, `grad`, `param` or `buffer`.
    pub group: &'static str,
    /// Tensors in it.
    pub tensors: usize,
    /// Name and error of the worst.
    pub worst: (String, f64),
    /// What each tensor of it may be.
    pub tolerance: f64,
    /// What the worst may be by PyTorch's own error; infinite where that sets no limit.
    pub limit: f64,
    /// PyTorch's own float32 error, where the file states it.
    pub f32_error: Option<f64>,
}

impl GroupVerdict {
    /// Whether the worst is within the tolerance and the limit.
    pub fn passed(&self) -> bool {
        self.worst.1 <= self.tolerance && self.worst.1 <= self.limit
    }
}

/// PyTorch's own error in a group, where the file states it.
///
/// # Errors
/// [`Error::Format`] for one that is no positive number.
pub(super) fn f32_error(file: &Weights, group: &str) -> Result<Option<f64>> {
    let key = format!("f32_error.{group}");
    match file.metadata().get(&key) {
        Some(text) => match text.parse::<f64>() {
            Ok(e) if e.is_finite() && e > 0.0 => Ok(Some(e)),
            _ => Err(Error::format(file.path(), format!("metadata: {key} is `{text}`, no positive number"))),
        },
        None => Ok(None),
    }
}

/// Compares the tensor called `name` of `file` with `ours`, the whole of it. Its error counts relative to its own norm, or to
/// `floor` where that is more.
pub(super) fn compare(
    file: &Weights,
    name: &str,
    ours: Option<&Tensor>,
    tolerance: f64,
    floor: f64,
) -> Result<Comparison> {
    let mut row = Comparison {
        name: name.to_string(),
        max_abs: f64::NAN,
        relative_l2: f64::NAN,
        tolerance,
        note: String::new(),
    };
    let Some(ours) = ours else {
        row.note = "this program has no such output".into();
        return Ok(row);
    };
    let theirs = file.f64(name)?;
    let whole = name.strip_prefix("sample.");
    let shape = match whole {
        Some(whole) => file.i64(&format!("shape.{whole}"))?.iter().map(|&d| d as usize).collect(),
        None => file.shape(name).unwrap_or_default().to_vec(),
    };
    if !same_map(&shape, ours.shape()) {
        row.note = format!("expected shape {shape:?}, got {:?}", ours.shape());
        return Ok(row);
    }
    let size = ours.data().len();
    let index = index_of(file, name, size)?;
    let difference = measure(&mut row, &theirs, |i| ours.data()[index(i)], &index);
    row.relative_l2 = match whole {
        None => share(difference, norm_of(theirs.iter().copied()).max(floor)),
        // The norm alone hides errors of opposite sign, the sample alone those outside it.
        Some(_) => {
            let norm = norm_of_whole(file, name)?;
            let of_sample = difference * (size as f64 / theirs.len() as f64).sqrt();
            let of_norm = (norm_of(ours.data().iter().map(|&x| f64::from(x))) - norm).abs();
            let (a, b) = (share(of_sample, norm.max(floor)), share(of_norm, norm.max(floor)));
            if b.is_nan() { b } else { a.max(b) }
        }
    };
    Ok(row)
}

/// The error of a parameter's way counts relative to it, or to this share of the parameter, below which float32 keeps none of
/// it.
const UPDATE_FLOOR: f64 = 2e-5;

/// How far the parameter that stands in `file` as `name` has moved from `before`: the error of that, as a row of its own.
pub(super) fn moved(
    file: &Weights,
    name: &str,
    ours: &Tensor,
    before: &[f32],
    tolerance: f64,
) -> Result<Comparison> {
    let parameter = name.split_once("param.").map_or(name, |(_, parameter)| parameter);
    let mut row = Comparison {
        name: format!("update.{parameter}"),
        max_abs: f64::NAN,
        relative_l2: f64::NAN,
        tolerance,
        note: String::new(),
    };
    let size = ours.data().len();
    if size != before.len() {
        row.note = format!("{} values before, {size} after", before.len());
        return Ok(row);
    }
    let index = index_of(file, name, size)?;
    let theirs = file.f64(name)?;
    let way = theirs.iter().enumerate().map(|(i, theirs)| {
        let before = before.get(index(i)).copied().unwrap_or(f32::NAN);
        theirs - f64::from(before)
    });
    let norm = norm_of(way).max(UPDATE_FLOOR * norm_of(theirs.iter().copied()));
    let difference =
        measure(&mut row, &theirs, |i| ours.data().get(index(i)).copied().unwrap_or(f32::NAN), &index);
    row.relative_l2 = share(difference, norm);
    Ok(row)
}

/// Which element of the whole tensor of `size` elements the i-th value of the file's tensor `name` is.
fn index_of(file: &Weights, name: &str, size: usize) -> Result<Box<dyn Fn(usize) -> usize>> {
    let Some(whole) = name.strip_prefix("sample.") else { return Ok(Box::new(|i| i)) };
    let seed = file.metadata().get("sample.seed").and_then(|seed| seed.parse().ok());
    let seed = seed.ok_or_else(|| Error::format(file.path(), "metadata: sample.seed is missing"))?;
    let key = random::key(seed, whole.split_once('.').map_or(whole, |(_, name)| name));
    Ok(Box::new(move |i| (random::bits(key, i as u64) % size.max(1) as u64) as usize))
}

/// The L2 norm of the whole tensor that stands in `file` as `name`, itself or as a sample.
pub(super) fn norm_of_whole(file: &Weights, name: &str) -> Result<f64> {
    match name.strip_prefix("sample.") {
        Some(whole) => Ok(file.f64(&format!("norm.{whole}"))?.first().copied().unwrap_or(f64::NAN)),
        None => Ok(norm_of(file.f64(name)?.into_iter())),
    }
}

/// difference / norm, where no difference is none even from zero.
fn share(difference: f64, norm: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference / norm }
}

/// Fills in the largest error over all elements of `theirs`; returns the L2 norm of the difference.
fn measure(
    row: &mut Comparison,
    theirs: &[f64],
    ours: impl Fn(usize) -> f32,
    index: &dyn Fn(usize) -> usize,
) -> f64 {
    let (mut worst, mut at, mut squares) = (0.0, 0, 0.0);
    for (i, theirs) in theirs.iter().enumerate() {
        let difference = (f64::from(ours(i)) - theirs).abs();
        squares += difference * difference;
        if difference > worst || difference.is_nan() {
            (worst, at) = (difference, i);
        }
    }
    row.max_abs = worst;
    if let Some(theirs) = theirs.get(at) {
        row.note = format!("element {}: {} against {theirs}", index(at), ours(at));
    }
    squares.sqrt()
}

fn norm_of(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

/// Whether two shapes differ in trailing ones at most, as [N, K] and [N, K, 1, 1] do.
fn same_map(a: &[usize], b: &[usize]) -> bool {
    let trim = |shape: &[usize]| {
        let ones = shape.iter().rev().take_while(|&&d| d == 1).count();
        shape[..shape.len() - ones].to_vec()
    };
    trim(a) == trim(b)
}

/// The verdict over each group that has tensors.
pub(super) fn groups(
    file: &Weights,
    tensors: &[Comparison],
    tolerances: &Tolerances,
) -> Result<Vec<GroupVerdict>> {
    let mut groups = Vec::new();
    for group in all_groups() {
        let own: Vec<&Comparison> = tensors.iter().filter(|t| t.group() == group).collect();
        // NaN counts as the worst.
        let error = |t: &&&Comparison| if t.relative_l2.is_nan() { f64::INFINITY } else { t.relative_l2 };
        let Some(worst) = own.iter().max_by(|a, b| error(a).total_cmp(&error(b))) else { continue };
        let f32_error = f32_error(file, group)?;
        groups.push(GroupVerdict {
            group,
            tensors: own.len(),
            worst: (worst.name.clone(), worst.relative_l2),
            tolerance: tolerances.of(group, f32_error),
            limit: tolerances.limit(group, f32_error),
            f32_error,
        });
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(relative_l2: f64) -> Comparison {
        Comparison {
            name: "logits".into(),
            max_abs: relative_l2,
            relative_l2,
            tolerance: 2e-6,
            note: String::new(),
        }
    }

    #[test]
    fn a_tensor_at_its_tolerance_passes_and_nan_fails() {
        assert!(row(2e-6).passed());
        assert!(!row(2.1e-6).passed() && !row(f64::NAN).passed());
    }

    #[test]
    fn a_group_fails_beyond_its_limit() {
        let verdict = |worst, limit| GroupVerdict {
            group: "logits",
            tensors: 1,
            worst: ("logits".into(), worst),
            tolerance: 2e-6,
            limit,
            f32_error: None,
        };
        assert!(verdict(1e-6, 1e-6).passed() && verdict(1e-6, f64::INFINITY).passed());
        assert!(!verdict(1.1e-6, 1e-6).passed() && !verdict(f64::NAN, f64::INFINITY).passed());
    }

    #[test]
    fn the_worst_element_is_named() {
        let mut row = row(0.0);
        let ours = [1.0f32, 2.5, -3.0];
        let difference = measure(&mut row, &[1.0, 2.0, -3.0], |i| ours[i], &|i| i);
        assert_eq!((row.max_abs, row.note.as_str()), (0.5, "element 1: 2.5 against 2"));
        assert_eq!(difference, 0.5);
        assert!(measure(&mut row, &[1.0, 2.0, -3.0], |i| [1.0, f32::NAN, -3.0][i], &|i| i).is_nan());
        assert!(!row.passed());
    }

    #[test]
    fn a_small_gradient_counts_against_all_of_them() {
        let theirs = Tensor::new(&[2], vec![3e-6, 4e-6]).unwrap();
        let ours = Tensor::new(&[2], vec![3e-6, 5e-6]).unwrap();
        let file = Weights::from_tensors([("grad.x", &theirs)].into_iter()).unwrap();
        let error = |floor| compare(&file, "grad.x", Some(&ours), 1e-3, floor).unwrap().relative_l2;
        assert!((error(0.0) - 0.2).abs() < 1e-6 && (error(1e-3) - 1e-3).abs() < 1e-8);
    }
}

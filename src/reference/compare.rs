//! One tensor against its reference, and the verdict over a group of them.

use super::Tolerances;
use super::tolerance::F32_FACTOR;
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

    /// `logits` or `layer`.
    pub fn group(&self) -> &'static str {
        if self.name == "logits" { "logits" } else { "layer" }
    }
}

/// The worst of a group.
#[derive(Clone, Debug)]
pub struct GroupVerdict {
    /// `logits` or `layer`.
    pub group: &'static str,
    /// Tensors in it.
    pub tensors: usize,
    /// Name and error of the worst.
    pub worst: (String, f64),
    /// What each tensor of it may be.
    pub tolerance: f64,
    /// PyTorch's own float32 error, where the file states it and no tolerance was asked for.
    pub f32_error: Option<f64>,
}

impl GroupVerdict {
    /// Whether the worst is within the tolerance and at most twice PyTorch's own error.
    pub fn passed(&self) -> bool {
        let (worst, limit) = (self.worst.1, self.f32_error.map_or(f64::INFINITY, |e| F32_FACTOR * e));
        worst <= self.tolerance && worst <= limit
    }
}

/// The layer a tensor of the file belongs to; `None` for what is not compared.
pub(super) fn layer_of(name: &str) -> Option<&str> {
    if name == "logits" {
        return Some("fc");
    }
    name.strip_prefix("layer.").or_else(|| name.strip_prefix("sample.layer."))
}

/// Compares the tensor called `name` of `file` with `ours`, the whole output of its layer.
pub(super) fn compare(
    file: &Weights,
    name: &str,
    ours: Option<&Tensor>,
    tolerances: &Tolerances,
) -> Result<Comparison> {
    let mut row = Comparison {
        name: name.to_string(),
        max_abs: f64::NAN,
        relative_l2: f64::NAN,
        tolerance: 0.0,
        note: String::new(),
    };
    row.tolerance = tolerances.of(row.group());
    let Some(ours) = ours else {
        row.note = "this program has no such output".into();
        return Ok(row);
    };
    let theirs = file.f64(name)?;
    let layer = name.strip_prefix("sample.");
    let shape = match layer {
        Some(layer) => file.i64(&format!("shape.{layer}"))?.iter().map(|&d| d as usize).collect(),
        None => file.shape(name).unwrap_or_default().to_vec(),
    };
    if !same_map(&shape, ours.shape()) {
        row.note = format!("expected shape {shape:?}, got {:?}", ours.shape());
        return Ok(row);
    }
    let size = ours.data().len();
    let index: Box<dyn Fn(usize) -> usize> = match layer {
        Some(layer) => {
            let seed = file.metadata().get("sample.seed").and_then(|seed| seed.parse().ok());
            let seed = seed.ok_or_else(|| Error::format(file.path(), "metadata: sample.seed is missing"))?;
            let key = random::key(seed, layer.strip_prefix("layer.").unwrap_or(layer));
            Box::new(move |i| (random::bits(key, i as u64) % size as u64) as usize)
        }
        None => Box::new(|i| i),
    };
    measure(&mut row, &theirs, |i| ours.data()[index(i)], &index);
    if let Some(layer) = layer {
        let norm = file.f64(&format!("norm.{layer}"))?.first().copied().unwrap_or(f64::NAN);
        let sample_norm = norm * (theirs.len() as f64 / size as f64).sqrt();
        let difference = row.relative_l2 * norm_of(theirs.iter().copied());
        let whole = (norm_of(ours.data().iter().map(|&x| f64::from(x))) - norm).abs() / norm;
        // The norm alone hides errors of opposite sign, the sample alone those outside it.
        row.relative_l2 = if whole.is_nan() { whole } else { (difference / sample_norm).max(whole) };
    }
    Ok(row)
}

/// Fills in the errors over all elements of `theirs`.
fn measure(
    row: &mut Comparison,
    theirs: &[f64],
    ours: impl Fn(usize) -> f32,
    index: &dyn Fn(usize) -> usize,
) {
    let (mut worst, mut at, mut squares) = (0.0, 0, 0.0);
    for (i, theirs) in theirs.iter().enumerate() {
        let difference = (f64::from(ours(i)) - theirs).abs();
        squares += difference * difference;
        if difference > worst || difference.is_nan() {
            (worst, at) = (difference, i);
        }
    }
    row.max_abs = worst;
    row.relative_l2 = squares.sqrt() / norm_of(theirs.iter().copied());
    if let Some(theirs) = theirs.get(at) {
        row.note = format!("element {}: {} against {theirs}", index(at), ours(at));
    }
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
    for group in ["logits", "layer"] {
        let own: Vec<&Comparison> = tensors.iter().filter(|t| t.group() == group).collect();
        // NaN counts as the worst.
        let error = |t: &&&Comparison| if t.relative_l2.is_nan() { f64::INFINITY } else { t.relative_l2 };
        let Some(worst) = own.iter().max_by(|a, b| error(a).total_cmp(&error(b))) else { continue };
        let key = format!("f32_error.{group}");
        let stated = match file.metadata().get(&key) {
            Some(text) => match text.parse::<f64>() {
                Ok(e) if e.is_finite() && e > 0.0 => Some(e),
                _ => {
                    return Err(Error::format(
                        file.path(),
                        format!("metadata: {key} is `{text}`, no positive number"),
                    ));
                }
            },
            None => None,
        };
        groups.push(GroupVerdict {
            group,
            tensors: own.len(),
            worst: (worst.name.clone(), worst.relative_l2),
            tolerance: tolerances.of(group),
            f32_error: stated.filter(|_| tolerances.chosen(group).is_none()),
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
    fn a_group_fails_beyond_twice_pytorchs_error() {
        let verdict = |worst, f32_error| GroupVerdict {
            group: "logits",
            tensors: 1,
            worst: ("logits".into(), worst),
            tolerance: 2e-6,
            f32_error,
        };
        assert!(verdict(1e-6, Some(5e-7)).passed() && verdict(1e-6, None).passed());
        assert!(!verdict(1.1e-6, Some(5e-7)).passed() && !verdict(f64::NAN, None).passed());
    }

    #[test]
    fn the_worst_element_is_named() {
        let mut row = row(0.0);
        let ours = [1.0f32, 2.5, -3.0];
        measure(&mut row, &[1.0, 2.0, -3.0], |i| ours[i], &|i| i);
        assert_eq!((row.max_abs, row.note.as_str()), (0.5, "element 1: 2.5 against 2"));
        measure(&mut row, &[1.0, 2.0, -3.0], |i| [1.0, f32::NAN, -3.0][i], &|i| i);
        assert!(row.relative_l2.is_nan() && !row.passed());
    }
}

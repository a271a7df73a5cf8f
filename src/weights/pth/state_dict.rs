//! From a pickle's root to tensors in the file.

use std::path::Path;

use super::super::{Entry, check_name, checked_bytes, printable};
use super::pickle::{Id, Pickle, Tensor, Value};
use crate::error::{Error, Result};

/// Keys under which training scripts keep the `state_dict` of a checkpoint.
const CHECKPOINT_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// A storage in the file: its first byte and its length in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub start: usize,
    pub bytes: usize,
}

/// All tensors of the dict `root`, or of the `state_dict` inside it. `place` finds a storage by key; what is no tensor
/// is passed over.
///
/// # Errors
/// [`Error::Format`] when `root` is no such dict; [`Error::Tensor`] for a tensor that leaves its storage, or a storage
/// that leaves the file.
pub(super) fn entries(
    path: &Path,
    pickle: &Pickle<'_>,
    root: Id,
    place: impl Fn(&str) -> Option<Place>,
) -> Result<Vec<Entry>> {
    let dict = find_dict(pickle, root)
        .ok_or_else(|| Error::format(path, "holds no state_dict: save model.state_dict() with torch.save"))?;
    let mut entries = Vec::new();
    for &(key, value) in dict {
        if let (Value::Str(name), Value::Tensor(tensor)) = (pickle.value(key), pickle.value(value)) {
            check_name(path, name)?;
            entries.push(entry(path, name, tensor, place(tensor.storage.key))?);
        }
    }
    if entries.is_empty() {
        return Err(Error::format(path, "holds no tensor: save model.state_dict() with torch.save"));
    }
    Ok(entries)
}

fn find_dict<'a>(pickle: &'a Pickle<'_>, root: Id) -> Option<&'a [(Id, Id)]> {
    let Value::Dict(dict) = pickle.value(root) else { return None };
    let inner = |name: &str| {
        let named = |&&(key, _): &&(Id, Id)| matches!(pickle.value(key), Value::Str(text) if *text == name);
        dict.iter().find(named).and_then(|&(_, value)| match pickle.value(value) {
            Value::Dict(inner) => Some(inner.as_slice()),
            _ => None,
        })
    };
    Some(CHECKPOINT_KEYS.into_iter().find_map(inner).unwrap_or(dict))
}

fn entry(path: &Path, name: &str, tensor: &Tensor<'_>, place: Option<Place>) -> Result<Entry> {
    let wrong = |problem: String| Error::tensor(path, name, problem);
    let Tensor { storage, offset, shape, strides } = tensor;
    let (dtype, elements) = (storage.dtype, storage.elements);
    let place = place.ok_or_else(|| wrong(format!("its storage `{}` is missing", printable(storage.key))))?;
    if elements.checked_mul(dtype.bytes()).is_none_or(|bytes| bytes > place.bytes) {
        let problem =
            format!("its storage claims {elements} elements, the file holds {} bytes of it", place.bytes);
        return Err(wrong(problem));
    }
    if shape.len() != strides.len() {
        return Err(wrong(format!("has {} dimensions and {} strides", shape.len(), strides.len())));
    }
    let Some(bytes) = checked_bytes(dtype, shape) else {
        return Err(wrong(format!("its shape {shape:?} overflows")));
    };
    let count = bytes / dtype.bytes();
    // The last element's index, if that number exists.
    let last = shape.iter().zip(strides).try_fold(*offset, |at, (&d, &stride)| {
        d.saturating_sub(1).checked_mul(stride).and_then(|step| at.checked_add(step))
    });
    if count > 0 && last.is_none_or(|last| last >= elements) {
        return Err(wrong(format!(
            "shape {shape:?} with strides {strides:?} from element {offset} leaves its storage of {elements} elements"
        )));
    }
    if count > elements {
        // Else a small file could ask for much memory.
        return Err(wrong(format!(
            "shape {shape:?} repeats the {elements} elements of its storage: save tensor.contiguous()"
        )));
    }
    let start = place.start + if count == 0 { 0 } else { offset * dtype.bytes() };
    let strides = (count > 0 && !is_contiguous(shape, strides)).then(|| strides.clone());
    Ok(Entry { name: name.to_string(), dtype, shape: shape.clone(), start, strides })
}

/// Whether elements follow one another row-major; strides of dimensions of one element do not matter. `shape` has
/// passed [`checked_bytes`].
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&d, &stride)| {
        let fits = d == 1 || stride == expected;
        expected *= d;
        fits
    })
}

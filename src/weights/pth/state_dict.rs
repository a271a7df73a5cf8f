//! From a pickle's root to tensors in the file.

use std::path::Path;

use super::super::{DType, Entry};
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
            entries.push(entry(path, name, tensor, place(&tensor.storage.key))?);
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
        let named = |&&(key, _): &&(Id, Id)| matches!(pickle.value(key), Value::Str(text) if text == name);
        dict.iter().find(named).and_then(|&(_, value)| match pickle.value(value) {
            Value::Dict(inner) => Some(inner.as_slice()),
            _ => None,
        })
    };
    Some(CHECKPOINT_KEYS.into_iter().find_map(inner).unwrap_or(dict))
}

fn entry(path: &Path, name: &str, tensor: &Tensor, place: Option<Place>) -> Result<Entry> {
    let wrong = |problem: String| Error::tensor(path, name, problem);
    let Tensor { storage, offset, shape, strides } = tensor;
    let dtype: DType = storage.dtype;
    let place = place.ok_or_else(|| wrong(format!("its storage `{}` is missing", storage.key)))?;
    let claimed = storage.elements.checked_mul(dtype.bytes());
    if claimed.is_none_or(|bytes| bytes > place.bytes) {
        let (claimed, bytes) = (storage.elements, place.bytes);
        return Err(wrong(format!(
            "its storage claims {claimed} elements, the file holds {bytes} bytes of it"
        )));
    }
    if shape.len() != strides.len() {
        return Err(wrong(format!("has {} dimensions and {} strides", shape.len(), strides.len())));
    }
    // One more than the last element's index; overlapping elements would let a small file ask for much memory.
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let last = shape.iter().zip(strides).try_fold(*offset, |at, (&d, &stride)| {
        d.saturating_sub(1).checked_mul(stride).and_then(|step| at.checked_add(step))
    });
    let (Some(count), Some(last)) = (count, last) else {
        return Err(wrong(format!("its shape {shape:?} overflows")));
    };
    if count > storage.elements || (count > 0 && last >= storage.elements) {
        return Err(wrong(format!(
            "shape {shape:?} with strides {strides:?} from element {offset} leaves its storage of {} elements",
            storage.elements
        )));
    }
    let mut expected = 1;
    let contiguous = shape.iter().zip(strides).rev().all(|(&d, &stride)| {
        let fits = d <= 1 || stride == expected;
        expected *= d.max(1);
        fits
    });
    let start = place.start + if count == 0 { 0 } else { offset * dtype.bytes() };
    let strides = (!contiguous && count > 0).then(|| strides.clone());
    Ok(Entry { name: name.to_string(), dtype, shape: shape.clone(), start, strides })
}

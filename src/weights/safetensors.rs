//! safetensors: eight bytes of header length, a JSON header, then the tensors' bytes.
//!
//! Source: the format's page in huggingface/safetensors. As there, tensors must fill the data without overlap or hole;
//! beyond it, a name that stands twice is refused. Alignment is asked of nobody. Written with sorted names, so that the
//! same tensors give the same bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::{DType, Entry, Header, Weights, check_name, checked_bytes, printable};
use crate::error::{Error, Result};
use crate::files::write_whole;

/// Longest header, as in the format's own library.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What the header says of a tensor.
#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The header in its own order, a repeated name included.
struct Listing {
    tensors: Vec<(String, Info)>,
    metadata: BTreeMap<String, String>,
}

/// Reads the header of `content`.
pub(super) fn read(path: &Path, content: &[u8]) -> Result<Header> {
    let unusable = |problem: &str| {
        Error::format(path, format!("is no usable safetensors or .pth file: {}", printable(problem)))
    };
    let Some((length, rest)) = content.split_first_chunk::<8>() else {
        return Err(unusable("it ends within its first eight bytes"));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES || length > rest.len() as u64 {
        return Err(unusable("its header is longer than the file, or beyond reason"));
    }
    let (json, data) = rest.split_at(length as usize);
    let listing: Listing = serde_json::from_slice(json).map_err(|e| unusable(&e.to_string()))?;
    let start = content.len() - data.len();
    Ok(Header { entries: lay_out(path, listing.tensors, start, data.len())?, metadata: listing.metadata })
}

/// The tensors in the order of their data, which begins at `start` and which they must fill.
fn lay_out(
    path: &Path,
    mut tensors: Vec<(String, Info)>,
    start: usize,
    data_bytes: usize,
) -> Result<Vec<Entry>> {
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, Info { dtype, shape, data_offsets: (from, to) }) in tensors {
        check_name(path, &name)?;
        let wrong = |problem: String| Error::tensor(path, &name, problem);
        let Some(dtype) = DType::of_safetensors(&dtype) else {
            return Err(wrong(format!(
                "has elements of type {}, which nodal does not read",
                printable(&dtype)
            )));
        };
        if from != end {
            let what = if from < end { "overlaps the tensor" } else { "leaves a hole" };
            return Err(wrong(format!(
                "begins at byte {from} of the data, not at {end}: it {what} before it"
            )));
        }
        let Some(bytes) = checked_bytes(dtype, &shape) else {
            let dimensions = &shape[..shape.len().min(super::MAX_DIMENSIONS)];
            return Err(wrong(format!("its shape {dimensions:?} overflows")));
        };
        if to.checked_sub(from) != Some(bytes) {
            return Err(wrong(format!("shape {shape:?} takes {bytes} bytes, its place is {from} to {to}")));
        }
        if to > data_bytes {
            return Err(wrong(format!(
                "reaches to byte {to} of the data, which end at {data_bytes}: the file is cut short, copy it again"
            )));
        }
        end = to;
        entries.push(Entry { name, dtype, shape, start: start + from, strides: None });
    }
    if end != data_bytes {
        let problem = format!("holds {data_bytes} bytes of data, of which its tensors take {end}");
        return Err(Error::format(path, problem));
    }
    Ok(entries)
}

impl<'de> Deserialize<'de> for Listing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ListingVisitor)
    }
}

/// Keeps what a map of serde's own would merge.
struct ListingVisitor;

impl<'de> Visitor<'de> for ListingVisitor {
    type Value = Listing;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Listing, A::Error> {
        let (mut tensors, mut metadata) = (Vec::new(), None);
        while let Some(key) = map.next_key::<String>()? {
            if key != "__metadata__" {
                tensors.push((key, map.next_value()?));
            } else if metadata.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom("__metadata__ stands twice"));
            }
        }
        Ok(Listing { tensors, metadata: metadata.unwrap_or_default() })
    }
}

/// Writes all of `weights` to `path`.
pub(super) fn write(weights: &Weights, path: &Path) -> Result<()> {
    write_whole(path, |file| write_tensors(weights, weights.entries.iter().collect(), file))
}

/// Writes the tensors `entries` of `weights`, with all its metadata.
pub(super) fn write_tensors(
    weights: &Weights,
    mut entries: Vec<&Entry>,
    file: &mut impl Write,
) -> io::Result<()> {
    // Wide elements first keeps every tensor aligned.
    entries.sort_by(|a, b| b.dtype.bytes().cmp(&a.dtype.bytes()).then_with(|| a.name.cmp(&b.name)));
    let mut header = Map::new();
    if !weights.metadata.is_empty() {
        header.insert("__metadata__".into(), json!(weights.metadata));
    }
    let mut offset = 0;
    for entry in &entries {
        let (end, dtype) = (offset + entry.bytes(), entry.dtype.safetensors_name());
        let info = json!({"dtype": dtype, "shape": entry.shape, "data_offsets": [offset, end]});
        header.insert(entry.name.clone(), info);
        offset = end;
    }
    let mut json = Value::Object(header).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    file.write_all(&(json.len() as u64).to_le_bytes())?;
    file.write_all(&json)?;
    entries.iter().try_for_each(|entry| file.write_all(&weights.stored(entry)))
}

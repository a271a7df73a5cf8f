//! safetensors: eight bytes of header length, a JSON header, then the tensors' bytes.
//!
//! Source: the format's page in huggingface/safetensors, whose crate reads and validates the header here: no overlap, no
//! hole, nothing outside the file. Written with sorted names, so that the same tensors give the same bytes.

use std::io::Write;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use super::{DType, Entry, Header, Weights};
use crate::error::{Error, Result};
use crate::files::write_whole;

/// Reads the header of `content`.
pub(super) fn read(path: &Path, content: &[u8]) -> Result<Header> {
    let unknown = |e| {
        let problem = format!("is no usable safetensors or .pth file: {e}");
        Error::format(path, problem.replace('\n', " "))
    };
    let (length, metadata) = SafeTensors::read_metadata(content).map_err(unknown)?;
    let mut entries = Vec::new();
    let tensors = metadata.tensors();
    for (name, info) in &tensors {
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::Bf16,
            Dtype::I64 => DType::I64,
            other => {
                let problem =
                    format!("has elements of type {other:?}; F32, F64, F16, BF16 and I64 can be read");
                return Err(Error::tensor(path, name, problem));
            }
        };
        let start = 8 + length + info.data_offsets.0;
        entries.push(Entry { name: name.clone(), dtype, shape: info.shape.clone(), start, strides: None });
    }
    entries.sort_by_key(|entry| entry.start);
    let metadata = metadata.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Header { entries, metadata })
}

/// Writes all of `weights` to `path`.
pub(super) fn write(weights: &Weights, path: &Path) -> Result<()> {
    let mut entries: Vec<&Entry> = weights.entries.iter().collect();
    // Wide elements first keeps every tensor aligned.
    entries.sort_by(|a, b| b.dtype.bytes().cmp(&a.dtype.bytes()).then_with(|| a.name.cmp(&b.name)));
    let mut header = Map::new();
    if !weights.metadata.is_empty() {
        header.insert("__metadata__".into(), json!(weights.metadata));
    }
    let mut offset = 0;
    for entry in &entries {
        let end = offset + entry.elements() * entry.dtype.bytes();
        let dtype = match entry.dtype {
            DType::F32 => "F32",
            DType::F64 => "F64",
            DType::F16 => "F16",
            DType::Bf16 => "BF16",
            DType::I64 => "I64",
        };
        let info = json!({"dtype": dtype, "shape": entry.shape, "data_offsets": [offset, end]});
        header.insert(entry.name.clone(), info);
        offset = end;
    }
    let mut json = Value::Object(header).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    write_whole(path, |file| {
        file.write_all(&(json.len() as u64).to_le_bytes())?;
        file.write_all(&json)?;
        entries.iter().try_for_each(|entry| file.write_all(&weights.stored(entry)))
    })
}

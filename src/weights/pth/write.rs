//! Writes the zip form as `torch.save` does: protocol 2, records stored and aligned to 64 bytes.

use std::io::{self, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::super::{DType, Weights};
use super::METADATA_RECORD;
use crate::error::Result;
use crate::files::write_whole;

/// A tensor to write: its name, type, shape and bytes.
struct Record<'a> {
    name: String,
    dtype: DType,
    shape: &'a [usize],
    bytes: std::borrow::Cow<'a, [u8]>,
}

/// Writes all of `weights` to `path`.
pub(in super::super) fn write(weights: &Weights, path: &Path) -> Result<()> {
    let records = records(weights);
    write_whole(path, |file| {
        let mut archive = ZipWriter::new(file);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .with_alignment(64);
        let mut record = |name: &str, bytes: &[u8]| -> io::Result<()> {
            archive.start_file(format!("archive/{name}"), options)?;
            archive.write_all(bytes)
        };
        record("data.pkl", &pickle(&records))?;
        record("byteorder", b"little")?;
        for (i, tensor) in records.iter().enumerate() {
            record(&format!("data/{i}"), &tensor.bytes)?;
        }
        record("version", b"3\n")?;
        if !weights.metadata.is_empty() {
            record(METADATA_RECORD, serde_json::json!(weights.metadata).to_string().as_bytes())?;
        }
        archive.finish()?;
        Ok(())
    })
}

/// All tensors in order, with a batch counter behind each running variance that has none.
fn records(weights: &Weights) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    for entry in &weights.entries {
        let (name, dtype) = (entry.name.clone(), entry.dtype);
        records.push(Record { name, dtype, shape: &entry.shape, bytes: weights.stored(entry) });
        let Some(layer) = entry.name.strip_suffix(".running_var") else { continue };
        let name = format!("{layer}.num_batches_tracked");
        if weights.shape(&name).is_none() {
            records.push(Record { name, dtype: DType::I64, shape: &[], bytes: vec![0; 8].into() });
        }
    }
    records
}

/// The pickle of an `OrderedDict` of tensors.
fn pickle(records: &[Record<'_>]) -> Vec<u8> {
    let mut p: Vec<u8> = vec![0x80, 2];
    p.extend_from_slice(b"ccollections\nOrderedDict\n)R(");
    for (i, record) in records.iter().enumerate() {
        text(&mut p, &record.name);
        p.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut p, "storage");
        let class = match record.dtype {
            DType::F32 => "FloatStorage",
            DType::F64 => "DoubleStorage",
            DType::F16 => "HalfStorage",
            DType::Bf16 => "BFloat16Storage",
            DType::I64 => "LongStorage",
        };
        p.extend_from_slice(format!("ctorch\n{class}\n").as_bytes());
        text(&mut p, &i.to_string());
        text(&mut p, "cpu");
        int(&mut p, record.shape.iter().product());
        p.extend_from_slice(b"tQ");
        int(&mut p, 0);
        tuple(&mut p, record.shape);
        let strides = |d: usize| record.shape[d + 1..].iter().product();
        tuple(&mut p, &(0..record.shape.len()).map(strides).collect::<Vec<usize>>());
        p.push(0x89); // requires_grad = False
        p.extend_from_slice(b"ccollections\nOrderedDict\n)RtR");
    }
    p.extend_from_slice(b"u.");
    p
}

fn text(p: &mut Vec<u8>, text: &str) {
    p.push(b'X');
    p.extend_from_slice(&(text.len() as u32).to_le_bytes());
    p.extend_from_slice(text.as_bytes());
}

/// An integer of up to 64 bits.
fn int(p: &mut Vec<u8>, n: usize) {
    match i32::try_from(n) {
        Ok(n) => {
            p.push(b'J');
            p.extend_from_slice(&n.to_le_bytes());
        }
        Err(_) => {
            p.extend_from_slice(&[0x8a, 8]);
            p.extend_from_slice(&(n as i64).to_le_bytes());
        }
    }
}

fn tuple(p: &mut Vec<u8>, items: &[usize]) {
    p.push(b'(');
    items.iter().for_each(|&item| int(p, item));
    p.push(b't');
}

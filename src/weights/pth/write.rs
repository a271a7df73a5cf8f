//! Writes the zip form as `torch.save` does: protocol 2, records stored and aligned to 64 bytes.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::super::{DType, Entry, PREPROCESS, Weights, safetensors};
use super::SIDE_RECORD;
use crate::error::Result;
use crate::files::write_whole;

/// A tensor to write.
struct Record<'a> {
    name: String,
    dtype: DType,
    shape: &'a [usize],
    /// Where its elements lie; `None` for a batch counter, a zero.
    entry: Option<&'a Entry>,
}

/// Writes all of `weights` to `path`.
pub(in super::super) fn write(weights: &Weights, path: &Path) -> Result<()> {
    let (ours, theirs): (Vec<&Entry>, _) =
        weights.entries.iter().partition(|e| e.name.starts_with(PREPROCESS));
    let records = records(weights, theirs);
    write_whole(path, |file| {
        let mut archive = ZipWriter::new(file);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .with_alignment(64);
        let mut record = |name: &str, bytes: &[u8]| -> io::Result<()> {
            let options = options.large_file(u32::try_from(bytes.len()).is_err());
            archive.start_file(format!("archive/{name}"), options)?;
            archive.write_all(bytes)
        };
        record("data.pkl", &pickle(&records))?;
        record("byteorder", b"little")?;
        for (i, tensor) in records.iter().enumerate() {
            let bytes = tensor.entry.map_or(Cow::Owned(vec![0; 8]), |entry| weights.stored(entry));
            record(&format!("data/{i}"), &bytes)?;
        }
        record("version", b"3\n")?;
        if !weights.metadata.is_empty() || !ours.is_empty() {
            let mut side = Vec::new();
            safetensors::write_tensors(weights, ours, &mut side)?;
            record(SIDE_RECORD, &side)?;
        }
        archive.finish()?;
        Ok(())
    })
}

/// The `entries` in order, with a batch counter behind each running variance that has none.
fn records<'a>(weights: &Weights, entries: Vec<&'a Entry>) -> Vec<Record<'a>> {
    let mut records = Vec::new();
    for entry in entries {
        let (name, dtype) = (entry.name.clone(), entry.dtype);
        records.push(Record { name, dtype, shape: &entry.shape, entry: Some(entry) });
        let Some(layer) = entry.name.strip_suffix(".running_var") else { continue };
        let name = format!("{layer}.num_batches_tracked");
        if weights.shape(&name).is_none() {
            records.push(Record { name, dtype: DType::I64, shape: &[], entry: None });
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
        let class = record.dtype.storage_class();
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

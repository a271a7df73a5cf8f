//! The zip form: `NAME/data.pkl` describes the tensors, `NAME/data/KEY` is a storage, `NAME/byteorder` says `little`.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::super::{Header, printable, safetensors};
use super::SIDE_RECORD;
use super::pickle::Pickle;
use super::state_dict::{Place, entries};
use crate::error::{Error, Result};

/// Reads the records and the pickle of `content`.
pub(in super::super) fn read(path: &Path, content: &[u8]) -> Result<Header> {
    let (records, prefix) = records(path, content)?;
    let place = |name: &str| records.get(&format!("{prefix}{name}")).copied();
    let record = |name: &str| place(name).map(|place| &content[place.start..place.start + place.bytes]);
    if record("byteorder").is_some_and(|order| order != b"little") {
        return Err(Error::format(path, "holds big-endian numbers: save it on a little-endian machine"));
    }
    let description = record("data.pkl").unwrap_or_default();
    let (pickle, root, _) = Pickle::run(description).map_err(|problem| Error::format(path, problem))?;
    let mut header = Header {
        entries: entries(path, &pickle, root, |key| place(&format!("data/{key}")))?,
        metadata: Default::default(),
    };
    if let (Some(place), Some(side)) = (place(SIDE_RECORD), record(SIDE_RECORD)) {
        let mut side = safetensors::read(path, side)?;
        side.entries.iter_mut().for_each(|entry| entry.start += place.start);
        header.entries.append(&mut side.entries);
        header.metadata = side.metadata;
    }
    Ok(header)
}

/// Where each record lies, and what stands before `data.pkl` in its name. All must be stored as they are, each name
/// once. Checksums are left to those who copy files: to compare them would read all of it.
fn records(path: &Path, content: &[u8]) -> Result<(HashMap<String, Place>, String)> {
    let wrong = |problem: String| Error::format(path, problem);
    let broken = |e: zip::result::ZipError| {
        wrong(format!("is a broken zip archive: {}; copy it again", printable(&e.to_string())))
    };
    let mut archive = ZipArchive::new(Cursor::new(content)).map_err(broken)?;
    if count_directory(content, archive.central_directory_start()) != archive.len() {
        return Err(wrong("is a zip archive in which a record stands twice: refused".into()));
    }
    let (mut records, mut prefix) = (HashMap::new(), None);
    for i in 0..archive.len() {
        let record = archive.by_index_raw(i).map_err(broken)?;
        let (name, shown) = (record.name(), printable(record.name()));
        if record.compression() != CompressionMethod::Stored || record.encrypted() {
            let problem =
                format!("record `{shown}` is compressed or encrypted: save it again with torch.save");
            return Err(wrong(problem));
        }
        let (start, bytes) = (record.data_start(), record.size());
        if record.compressed_size() != bytes
            || start.checked_add(bytes).is_none_or(|end| end > content.len() as u64)
        {
            return Err(wrong(format!(
                "record `{shown}` claims {bytes} bytes, more than the file has of it"
            )));
        }
        if let Some(before) = name.strip_suffix("data.pkl").filter(|p| p.is_empty() || p.ends_with('/'))
            && prefix.replace(before.to_string()).is_some()
        {
            return Err(wrong("is a zip archive with two records data.pkl: not a file of torch.save".into()));
        }
        records.insert(name.to_string(), Place { start: start as usize, bytes: bytes as usize });
    }
    match prefix {
        Some(prefix) => Ok((records, prefix)),
        None => Err(wrong("is a zip archive without data.pkl: not a file of torch.save".into())),
    }
}

/// Entries of the archive's directory at `start`, those included whose name another one has.
fn count_directory(content: &[u8], start: u64) -> usize {
    let mut rest = usize::try_from(start).ok().and_then(|start| content.get(start..)).unwrap_or_default();
    let mut count = 0;
    // Signature, 24 bytes of numbers, lengths of name, extra field and comment, 12 bytes more, those three.
    while rest.starts_with(b"PK\x01\x02") && rest.len() >= 46 {
        let length = |at: usize| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        rest = rest.get(46 + length(28) + length(30) + length(32)..).unwrap_or_default();
        count += 1;
    }
    count
}

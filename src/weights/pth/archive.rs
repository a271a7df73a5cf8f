//! The zip form: `NAME/data.pkl` describes the tensors, `NAME/data/KEY` is a storage, `NAME/byteorder` says `little`.

use std::collections::HashMap;
use std::path::Path;

use super::super::{Header, safetensors};
use super::SIDE_RECORD;
use super::directory::records;
use super::pickle::Pickle;
use super::state_dict::{Place, entries};
use crate::error::{Error, Result};

/// Reads the records and the pickle of `content`.
pub(in super::super) fn read(path: &Path, content: &[u8]) -> Result<Header> {
    let (records, prefix) = find_records(path, content)?;
    let place = |name: &str| records.get(format!("{prefix}{name}").as_str()).copied();
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

/// Where each record lies, and what stands before `data.pkl` in its name. Each name may stand once.
fn find_records<'a>(path: &Path, content: &'a [u8]) -> Result<(HashMap<&'a str, Place>, &'a str)> {
    let wrong = |problem: &str| Error::format(path, format!("is a zip archive {problem}"));
    let (mut found, mut prefix) = (HashMap::new(), None);
    for (name, place) in records(path, content)? {
        if found.insert(name, place).is_some() {
            return Err(wrong("in which a record stands twice: refused"));
        }
        if let Some(before) = name.strip_suffix("data.pkl").filter(|p| p.is_empty() || p.ends_with('/'))
            && prefix.replace(before).is_some()
        {
            return Err(wrong("with two records data.pkl: not a file of torch.save"));
        }
    }
    match prefix {
        Some(prefix) => Ok((found, prefix)),
        None => Err(wrong("without data.pkl: not a file of torch.save")),
    }
}

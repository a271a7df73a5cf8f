//! The zip form: `NAME/data.pkl` describes the tensors, `NAME/data/KEY` is a storage, `NAME/byteorder` says `little`.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::super::Header;
use super::METADATA_RECORD;
use super::pickle::Pickle;
use super::state_dict::{Place, entries};
use crate::error::{Error, Result};

/// Reads the records and the pickle of `content`.
pub(in super::super) fn read(path: &Path, content: &[u8]) -> Result<Header> {
    let records = records(path, content)?;
    let Some(prefix) = records.keys().find_map(|name| name.strip_suffix("data.pkl")) else {
        return Err(Error::format(path, "is a zip archive without data.pkl: not a file of torch.save"));
    };
    let record = |name: &str| {
        let place = records.get(&format!("{prefix}{name}"))?;
        Some(&content[place.start..place.start + place.bytes])
    };
    if record("byteorder").is_some_and(|order| order != b"little") {
        return Err(Error::format(path, "holds big-endian numbers: save it on a little-endian machine"));
    }
    let description = record("data.pkl").unwrap_or_default();
    let (pickle, root, _) = Pickle::run(description).map_err(|problem| Error::format(path, problem))?;
    let place = |key: &str| records.get(&format!("{prefix}data/{key}")).copied();
    let metadata = record(METADATA_RECORD).and_then(|json| serde_json::from_slice(json).ok());
    let metadata: BTreeMap<String, String> = metadata.unwrap_or_default();
    Ok(Header { entries: entries(path, &pickle, root, place)?, metadata })
}

/// Where each record lies; all must be stored as they are.
fn records(path: &Path, content: &[u8]) -> Result<HashMap<String, Place>> {
    let broken = |e: zip::result::ZipError| {
        let problem = format!("is a broken zip archive: {e}; copy it again");
        Error::format(path, problem.replace('\n', " "))
    };
    let mut archive = ZipArchive::new(Cursor::new(content)).map_err(broken)?;
    let mut records = HashMap::new();
    for i in 0..archive.len() {
        let record = archive.by_index_raw(i).map_err(broken)?;
        let name: String = record.name().chars().filter(|c| !c.is_control()).collect();
        if record.compression() != CompressionMethod::Stored {
            let problem = format!("record `{name}` is compressed; torch.save stores records as they are");
            return Err(Error::format(path, problem));
        }
        let (start, bytes) = (record.data_start(), record.size());
        let start = usize::try_from(start).ok();
        let bytes = usize::try_from(bytes).ok();
        let place = match (start, bytes) {
            (Some(start), Some(bytes))
                if start.checked_add(bytes).is_some_and(|end| end <= content.len()) =>
            {
                Place { start, bytes }
            }
            _ => {
                return Err(Error::format(
                    path,
                    format!("record `{name}` reaches beyond the end of the file"),
                ));
            }
        };
        records.insert(name, place);
    }
    Ok(records)
}

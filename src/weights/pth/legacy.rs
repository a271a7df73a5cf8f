//! The older form: pickles of a magic number, a protocol version, the machine's sizes, the object and the storages' keys,
//! then for each key the number of elements, a 64-bit integer, and the elements.

use std::collections::HashMap;
use std::path::Path;

use super::super::{Header, printable};
use super::pickle::{Pickle, Value};
use super::state_dict::{Place, entries};
use crate::error::{Error, Result};

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

/// Reads the pickles of `content` and finds its storages.
pub(in super::super) fn read(path: &Path, content: &[u8]) -> Result<Header> {
    let wrong = |problem: String| Error::format(path, problem);
    let mut at = 0;
    let mut next = || {
        let (pickle, root, length) = Pickle::run(&content[at..]).map_err(wrong)?;
        at += length;
        Ok((pickle, root))
    };
    let (magic, root) = next()?;
    if !matches!(magic.value(root), Value::Long(bytes) if *bytes == MAGIC) {
        return Err(wrong("is a pickle, but not one of torch.save: save model.state_dict() with it".into()));
    }
    let (protocol, root) = next()?;
    if !matches!(protocol.value(root), Value::Int(PROTOCOL)) {
        return Err(wrong(format!("is of another protocol than {PROTOCOL}: save it with a current PyTorch")));
    }
    next()?; // sizes of C types on the machine that wrote it, all fixed since
    let (object, root) = next()?;
    let (keys, list) = next()?;
    let Value::List(list) = keys.value(list) else {
        return Err(wrong("has no list of storages".into()));
    };

    let sizes = storage_bytes(&object);
    let mut places = HashMap::new();
    for &key in list {
        let key = keys.text(key).map_err(wrong)?;
        let beyond = || {
            wrong(format!("storage `{}` reaches beyond the end of the file: copy it again", printable(key)))
        };
        let count = content.get(at..at + 8).ok_or_else(beyond)?;
        let mut raw = [0; 8];
        raw.copy_from_slice(count);
        let unknown = || wrong(format!("storage `{}` belongs to no tensor", printable(key)));
        let element = sizes.get(key).ok_or_else(unknown)?;
        let bytes = usize::try_from(i64::from_le_bytes(raw)).ok().and_then(|n| n.checked_mul(*element));
        let start = at + 8;
        let end = bytes.and_then(|bytes| start.checked_add(bytes)).filter(|&end| end <= content.len());
        at = end.ok_or_else(beyond)?;
        let twice = places.insert(key, Place { start, bytes: at - start });
        if twice.is_some() {
            return Err(wrong(format!("storage `{}` stands twice in the file", printable(key))));
        }
    }
    let entries = entries(path, &object, root, |key| places.get(key).copied())?;
    Ok(Header { entries, metadata: Default::default() })
}

/// Bytes of an element of each storage the pickle mentions.
fn storage_bytes<'a>(pickle: &Pickle<'a>) -> HashMap<&'a str, usize> {
    let of = |value: &Value<'a>| match value {
        Value::Storage(storage) => Some((storage.key, storage.dtype.bytes())),
        _ => None,
    };
    pickle.values().iter().filter_map(of).collect()
}

//! The directory of a zip archive as `torch.save` writes it: where each stored record lies.
//!
//! Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (its end, also of 64
//! bits), 4.5.3 (sizes of 64 bits). The end is looked for in one place, the last 22 bytes, so that no file makes it search:
//! archives with a comment are left out, as are compressed and encrypted records and checksums, which would read the whole
//! file.

use std::path::Path;

use super::super::printable;
use super::state_dict::Place;
use crate::error::{Error, Result};

const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;
const HEADER_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
/// In place of a number that stands elsewhere with 64 bits.
const ELSEWHERE: u64 = 0xFFFF_FFFF;

/// Every record's name and place, in the directory's order.
///
/// # Errors
/// [`Error::Format`] when the archive is cut off or contradicts itself, or a record is compressed or encrypted.
pub(super) fn records<'a>(path: &Path, content: &'a [u8]) -> Result<Vec<(&'a str, Place)>> {
    let broken =
        || Error::format(path, "is a broken zip archive: copy it again, or save it again with torch.save");
    let (count, mut at) = directory(content).ok_or_else(broken)?;
    let mut records = Vec::new();
    for _ in 0..count {
        let header = Header::read(content, at).ok_or_else(broken)?;
        at = header.end;
        // Bit 0 of the flags: encrypted. Method 0: stored.
        if header.flags & 1 != 0 || header.method != 0 {
            let problem = "is compressed or encrypted: save it again with torch.save";
            return Err(Error::format(path, format!("record `{}` {problem}", printable(header.name))));
        }
        let place = header.place(content).ok_or_else(|| {
            let problem = format!("claims {} bytes, more than the file has of it", header.bytes);
            Error::format(path, format!("record `{}` {problem}", printable(header.name)))
        })?;
        records.push((header.name, place));
    }
    Ok(records)
}

/// Number of records, and where the directory begins.
fn directory(content: &[u8]) -> Option<(u64, usize)> {
    let end = content.len().checked_sub(END_BYTES)?;
    if !content[end..].starts_with(b"PK\x05\x06") {
        return None;
    }
    let locator = end.checked_sub(LOCATOR_BYTES)?;
    if content[locator..].starts_with(b"PK\x06\x07") {
        let wide = usize::try_from(number(content, locator.checked_add(8)?, 8)?).ok()?;
        if !content.get(wide..)?.starts_with(b"PK\x06\x06") {
            return None;
        }
        let count = number(content, wide.checked_add(32)?, 8)?;
        return Some((count, usize::try_from(number(content, wide.checked_add(48)?, 8)?).ok()?));
    }
    Some((number(content, end + 10, 2)?, usize::try_from(number(content, end + 16, 4)?).ok()?))
}

/// A record's line in the directory.
struct Header<'a> {
    name: &'a str,
    flags: u64,
    method: u64,
    stored_bytes: u64,
    bytes: u64,
    local: u64,
    /// Behind it.
    end: usize,
}

impl<'a> Header<'a> {
    fn read(content: &'a [u8], at: usize) -> Option<Self> {
        let line = content.get(at..)?;
        if !line.starts_with(b"PK\x01\x02") {
            return None;
        }
        let field = |at: usize, width: usize| number(line, at, width);
        let [name, extra, comment] = [field(28, 2)?, field(30, 2)?, field(32, 2)?].map(|n| n as usize);
        let mut wide = wide_numbers(line.get(HEADER_BYTES + name..)?.get(..extra)?);
        let mut size = |at: usize| {
            let narrow = field(at, 4)?;
            if narrow == ELSEWHERE { wide.next() } else { Some(narrow) }
        };
        // In this order they stand in the extra field too.
        let (bytes, stored_bytes, local) = (size(24)?, size(20)?, size(42)?);
        Some(Header {
            name: std::str::from_utf8(&line[HEADER_BYTES..][..name]).ok()?,
            flags: field(8, 2)?,
            method: field(10, 2)?,
            stored_bytes,
            bytes,
            local,
            end: at + HEADER_BYTES + name + extra + comment,
        })
    }

    /// Where the record's bytes lie, behind its local header, whose name must be the same.
    fn place(&self, content: &[u8]) -> Option<Place> {
        let local = content.get(usize::try_from(self.local).ok()?..)?;
        let (name, extra) = (number(local, 26, 2)? as usize, number(local, 28, 2)? as usize);
        let same = local.starts_with(b"PK\x03\x04")
            && local.get(LOCAL_BYTES..)?.get(..name)? == self.name.as_bytes()
            && self.stored_bytes == self.bytes;
        let data = local.get(LOCAL_BYTES + name + extra..).filter(|_| same)?;
        let bytes = usize::try_from(self.bytes).ok().filter(|&bytes| bytes <= data.len())?;
        Some(Place { start: content.len() - data.len(), bytes })
    }
}

/// The 64-bit numbers of a record's extra field.
fn wide_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut numbers: &[u8] = &[];
    while let (Some(id), Some(length)) = (number(extra, 0, 2), number(extra, 2, 2)) {
        let field = extra.get(4..4 + length as usize).unwrap_or_default();
        if id == 1 {
            numbers = field;
            break;
        }
        extra = extra.get(4 + length as usize..).unwrap_or_default();
    }
    numbers.as_chunks::<8>().0.iter().map(|&raw| u64::from_le_bytes(raw))
}

/// A little-endian number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let mut raw = [0; 8];
    raw[..width].copy_from_slice(bytes.get(at..)?.get(..width)?);
    Some(u64::from_le_bytes(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One record `m/data.pkl` of 5 bytes, all its numbers with 64 bits, behind another extra field; then the end, with
    /// 64 bits too.
    fn wide_archive() -> Vec<u8> {
        let name = b"m/data.pkl";
        let mut file = [b"PK\x03\x04".as_slice(), &[0; 22], &[10, 0, 0, 0], name, b"hello"].concat();
        let directory = file.len();
        let extra = [b"FB\x02\0zz\x01\0\x18\0".as_slice(), &le(5), &le(5), &le(0)].concat();
        file.extend(
            [b"PK\x01\x02".as_slice(), &[0; 16], &[0xFF; 8], &[10, 0, extra.len() as u8, 0]].concat(),
        );
        file.extend([&[0; 10], [0xFF; 4].as_slice(), name, &extra].concat());
        let end = file.len() as u64;
        file.extend(
            [b"PK\x06\x06".as_slice(), &le(44), &[0; 20], &le(1), &le(0), &le(directory as u64)].concat(),
        );
        file.extend([b"PK\x06\x07".as_slice(), &[0; 4], &le(end), &[1, 0, 0, 0]].concat());
        file.extend([b"PK\x05\x06".as_slice(), &[0; 4], &[0xFF; 12], &[0, 0]].concat());
        file
    }

    fn le(n: u64) -> [u8; 8] {
        n.to_le_bytes()
    }

    #[test]
    fn numbers_of_64_bits_are_read() {
        let file = wide_archive();
        let records = records(Path::new("wide"), &file).unwrap();
        let [("m/data.pkl", Place { start, bytes: 5 })] = records[..] else { panic!("{records:?}") };
        assert_eq!(&file[start..start + 5], b"hello");
    }

    #[test]
    fn a_changed_byte_never_panics() {
        let file = wide_archive();
        for at in 0..file.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut changed = file.clone();
                changed[at] = value;
                if let Ok(records) = records(Path::new("changed"), &changed) {
                    assert!(records.iter().all(|(_, place)| place.start + place.bytes <= changed.len()));
                }
            }
        }
    }
}

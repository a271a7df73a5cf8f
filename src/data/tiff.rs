//! A look at a TIFF's directory before it is decoded.
//!
//! Format: 8 bytes of header (byte order, 42, offset of the first directory), then the directory: the number of entries and
//! 12 bytes for each (tag, type, count, value or offset). Source: TIFF 6.0, section 2.
//!
//! A decoder takes memory for as many values as an entry claims. What claims more values than the file has bytes is refused
//! here first. Left out: BigTIFF, which is no format of ours; all else, which the decoder checks itself.

/// The tag of the first entry that claims more values than `file` can hold, and the number it claims.
pub(super) fn overlong_entry(file: &[u8]) -> Option<(usize, usize)> {
    let little = file.starts_with(b"II");
    let number = |at: usize, width: usize| {
        let bytes = file.get(at..at.checked_add(width)?)?;
        let append = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) })
    };
    let start = number(4, 4)?;
    (0..number(start, 2)?)
        .map(|i| start + 2 + 12 * i)
        .map_while(|entry| Some((number(entry, 2)?, number(entry + 4, 4)?)))
        .find(|(_, count)| *count > file.len())
}

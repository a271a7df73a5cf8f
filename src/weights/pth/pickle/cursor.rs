//! Opcodes' operands: numbers, text and lines from the pickle's bytes.

use super::Step;

/// A place in the bytes.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// Bytes taken so far.
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn byte(&mut self) -> Step<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn take(&mut self, count: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or_else(truncated)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian integer of `width` bytes, at most 8.
    pub fn unsigned(&mut self, width: usize) -> Step<u64> {
        let raw = self.take(width)?;
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(raw);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Text behind its length of `width` bytes.
    pub fn text(&mut self, width: usize) -> Step<&'a str> {
        let length = usize::try_from(self.unsigned(width)?).map_err(|_| truncated())?;
        utf8(self.take(length)?)
    }

    /// Text up to the end of the line.
    pub fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or_else(truncated)?;
        self.at += length + 1;
        utf8(&rest[..length])
    }
}

fn utf8(raw: &[u8]) -> Step<&str> {
    std::str::from_utf8(raw).map_err(|_| "its pickle has text that is not UTF-8".into())
}

fn truncated() -> String {
    "its pickle is cut off".into()
}

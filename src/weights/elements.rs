//! A tensor's elements out of the file's bytes: borrowed where they lie as asked for, gathered and converted where not.

use std::borrow::Cow;

use super::{DType, Entry, Weights};
use crate::error::{Error, Result};

impl Weights {
    /// Elements of a floating-point tensor as float32, row-major; borrowed from the file where it holds them so.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or of another type.
    pub fn f32(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        let entry = self.entry(name)?;
        if entry.dtype == DType::F32 && entry.strides.is_none() && cfg!(target_endian = "little") {
            let bytes = &self.bytes.as_slice()[entry.start..entry.start + entry.bytes()];
            if let Ok(values) = bytemuck::try_cast_slice(bytes) {
                return Ok(Cow::Borrowed(values));
            }
        }
        let values = match entry.dtype {
            DType::F32 => self.gather(entry, f32::from_le_bytes),
            DType::F64 => self.gather(entry, |bytes| f64::from_le_bytes(bytes) as f32),
            DType::F16 => self.gather(entry, |bytes| half::f16::from_le_bytes(bytes).to_f32()),
            DType::Bf16 => self.gather(entry, |bytes| half::bf16::from_le_bytes(bytes).to_f32()),
            _ => return Err(Error::tensor(&self.path, name, "holds integers where real numbers belong")),
        };
        Ok(Cow::Owned(values))
    }

    /// Elements of a floating-point tensor as float64, row-major.
    ///
    /// # Errors
    /// As [`Weights::f32`].
    pub fn f64(&self, name: &str) -> Result<Vec<f64>> {
        let entry = self.entry(name)?;
        if entry.dtype == DType::F64 {
            return Ok(self.gather(entry, f64::from_le_bytes));
        }
        Ok(self.f32(name)?.iter().map(|&x| f64::from(x)).collect())
    }

    /// Elements of an integer or boolean tensor, row-major.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or of another type.
    pub fn i64(&self, name: &str) -> Result<Vec<i64>> {
        let entry = self.entry(name)?;
        Ok(match entry.dtype {
            DType::I64 => self.gather(entry, i64::from_le_bytes),
            DType::I32 => self.gather(entry, |bytes| i32::from_le_bytes(bytes).into()),
            DType::I16 => self.gather(entry, |bytes| i16::from_le_bytes(bytes).into()),
            DType::I8 => self.gather(entry, |bytes| i8::from_le_bytes(bytes).into()),
            DType::U8 | DType::Bool => self.gather(entry, |[byte]| byte.into()),
            _ => return Err(Error::tensor(&self.path, name, "holds real numbers where integers belong")),
        })
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        let found = self.index.get(name).map(|&i| &self.entries[i]);
        found.ok_or_else(|| Error::tensor(&self.path, name, "missing"))
    }

    /// A tensor's elements in row-major order. There are no more of them than the file holds: the readers see to it.
    fn gather<const B: usize, T>(&self, entry: &Entry, decode: impl Fn([u8; B]) -> T) -> Vec<T> {
        let bytes = &self.bytes.as_slice()[entry.start..];
        let Some(strides) = &entry.strides else {
            return bytes[..entry.elements() * B].as_chunks::<B>().0.iter().map(|&raw| decode(raw)).collect();
        };
        let (elements, _) = bytes.as_chunks::<B>();
        let mut values = Vec::with_capacity(entry.elements());
        let mut at = vec![0usize; strides.len()];
        for _ in 0..entry.elements() {
            let index: usize = at.iter().zip(strides).map(|(i, stride)| i * stride).sum();
            values.push(decode(elements[index]));
            for d in (0..at.len()).rev() {
                at[d] += 1;
                if at[d] < entry.shape[d] {
                    break;
                }
                at[d] = 0;
            }
        }
        values
    }

    /// A tensor's bytes as a file stores them: row-major, little-endian.
    pub(super) fn stored(&self, entry: &Entry) -> Cow<'_, [u8]> {
        let bytes = self.bytes.as_slice();
        match (&entry.strides, entry.dtype.bytes()) {
            (None, _) => Cow::Borrowed(&bytes[entry.start..entry.start + entry.bytes()]),
            (_, 8) => Cow::Owned(self.gather(entry, |b: [u8; 8]| b).into_flattened()),
            (_, 4) => Cow::Owned(self.gather(entry, |b: [u8; 4]| b).into_flattened()),
            (_, 2) => Cow::Owned(self.gather(entry, |b: [u8; 2]| b).into_flattened()),
            _ => Cow::Owned(self.gather(entry, |[b]: [u8; 1]| b)),
        }
    }
}

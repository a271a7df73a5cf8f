//! Named tensors from files: safetensors, and PyTorch's `.pth` in the zip form and the older one, told apart by their
//! content. Files are mapped, never read whole: opening costs as much as the header, a tensor is touched when asked for.
//!
//! Names are torchvision's. A file is not believed: every size is checked against the file before anything is taken,
//! and no pickle is executed.

mod check;
mod pth;
pub(crate) mod random;
mod safetensors;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// Signed 64-bit integer.
    I64,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 => 4,
            DType::F16 | DType::Bf16 => 2,
        }
    }
}

/// Where a tensor's elements lie.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    /// First byte in the file; the reader has checked that all elements lie inside.
    start: usize,
    /// Elements between neighbours of each dimension; `None` when they follow one another.
    strides: Option<Vec<usize>>,
}

impl Entry {
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What holds the bytes.
enum Bytes {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
    Values(Vec<f32>),
}

/// Named tensors with their metadata.
pub struct Weights {
    path: PathBuf,
    bytes: Bytes,
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    /// Maps the file at `path` and reads its header.
    ///
    /// The file must not change while the weights are in use.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Format`] or [`Error::Tensor`] when it is not what it claims to be.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, "read", e))?;
        let about = file.metadata().map_err(|e| Error::io(path, "read", e))?;
        if about.is_dir() {
            return Err(Error::format(path, "is a folder; give a .safetensors or .pth file"));
        }
        if about.len() == 0 {
            return Err(Error::format(path, "is empty; give a .safetensors or .pth file"));
        }
        // SAFETY: the mapping is read-only; that nobody truncates the file meanwhile is this function's documented
        // condition.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io(path, "map", e))?;
        Self::read(path, Bytes::Mapped(map))
    }

    /// As [`Weights::open`], from memory; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        Self::read(path, Bytes::Owned(bytes))
    }

    /// Weights of `tensors`, by name.
    ///
    /// # Errors
    /// [`Error::Tensor`] for a name that comes twice.
    pub fn from_tensors<'a>(tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<Self> {
        let (mut values, mut entries) = (Vec::new(), Vec::new());
        for (name, tensor) in tensors {
            let (start, shape) = (values.len() * size_of::<f32>(), tensor.shape().to_vec());
            entries.push(Entry { name: name.to_string(), dtype: DType::F32, shape, start, strides: None });
            values.extend_from_slice(tensor.data());
        }
        Self::assemble(
            Path::new("tensors"),
            Bytes::Values(values),
            Header { entries, metadata: BTreeMap::new() },
        )
    }

    fn read(path: &Path, bytes: Bytes) -> Result<Self> {
        let content = bytes.as_slice();
        let header = if content.starts_with(b"PK\x03\x04") {
            pth::read_zip(path, content)?
        } else if content.starts_with(&[0x80])
            && content.get(1).is_some_and(|&protocol| protocol <= 5)
            && !is_json(content)
        {
            pth::read_legacy(path, content)?
        } else {
            safetensors::read(path, content)?
        };
        Self::assemble(path, bytes, header)
    }

    fn assemble(path: &Path, bytes: Bytes, header: Header) -> Result<Self> {
        let Header { mut entries, metadata } = header;
        strip_prefix(&mut entries);
        let mut index = HashMap::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            if index.insert(entry.name.clone(), i).is_some() {
                return Err(Error::tensor(path, &entry.name, "stands twice in the file"));
            }
        }
        Ok(Weights { path: path.to_path_buf(), bytes, entries, index, metadata })
    }

    /// The file they came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Shape of a tensor, if there is one called `name`.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.index.get(name).map(|&i| self.entries[i].shape.as_slice())
    }

    /// Element type of a tensor, if there is one called `name`.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        self.index.get(name).map(|&i| self.entries[i].dtype)
    }

    /// String metadata: the file's own, or what was set.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Sets one metadata string.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        self.metadata.insert(key.to_string(), value.to_string());
    }

    /// Elements of a floating-point tensor as float32, row-major; borrowed from the file where it holds them so.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or of another type.
    pub fn f32(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        let entry = self.entry(name)?;
        if entry.dtype == DType::F32 && entry.strides.is_none() && cfg!(target_endian = "little") {
            let bytes = &self.bytes.as_slice()[entry.start..entry.start + entry.elements() * 4];
            if let Ok(values) = bytemuck::try_cast_slice(bytes) {
                return Ok(Cow::Borrowed(values));
            }
        }
        let values = match entry.dtype {
            DType::F32 => self.gather(entry, f32::from_le_bytes),
            DType::F64 => self.gather(entry, |bytes| f64::from_le_bytes(bytes) as f32),
            DType::F16 => self.gather(entry, |bytes| half::f16::from_le_bytes(bytes).to_f32()),
            DType::Bf16 => self.gather(entry, |bytes| half::bf16::from_le_bytes(bytes).to_f32()),
            DType::I64 => {
                return Err(Error::tensor(&self.path, name, "holds integers where real numbers belong"));
            }
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

    /// Elements of an integer tensor, row-major.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or of another type.
    pub fn i64(&self, name: &str) -> Result<Vec<i64>> {
        let entry = self.entry(name)?;
        if entry.dtype != DType::I64 {
            return Err(Error::tensor(&self.path, name, "holds real numbers where integers belong"));
        }
        Ok(self.gather(entry, i64::from_le_bytes))
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        let found = self.index.get(name).map(|&i| &self.entries[i]);
        found.ok_or_else(|| Error::tensor(&self.path, name, "missing"))
    }

    /// A tensor's elements in row-major order.
    fn gather<const B: usize, T>(&self, entry: &Entry, decode: impl Fn([u8; B]) -> T) -> Vec<T> {
        let bytes = &self.bytes.as_slice()[entry.start..];
        let element = |i: usize| {
            let mut raw = [0; B];
            raw.copy_from_slice(&bytes[i * B..][..B]);
            decode(raw)
        };
        let Some(strides) = &entry.strides else { return (0..entry.elements()).map(element).collect() };
        let mut values = Vec::with_capacity(entry.elements());
        let mut at = vec![0usize; strides.len()];
        for _ in 0..entry.elements() {
            values.push(element(at.iter().zip(strides).map(|(i, stride)| i * stride).sum()));
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
    fn stored(&self, entry: &Entry) -> Cow<'_, [u8]> {
        let bytes = self.bytes.as_slice();
        match (&entry.strides, entry.dtype.bytes()) {
            (None, size) => Cow::Borrowed(&bytes[entry.start..entry.start + entry.elements() * size]),
            (_, 8) => Cow::Owned(self.gather(entry, |b: [u8; 8]| b).concat()),
            (_, 4) => Cow::Owned(self.gather(entry, |b: [u8; 4]| b).concat()),
            _ => Cow::Owned(self.gather(entry, |b: [u8; 2]| b).concat()),
        }
    }

    /// Writes all tensors and metadata as safetensors. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn save_safetensors(&self, path: &Path) -> Result<()> {
        safetensors::write(self, path)
    }

    /// Writes all tensors as a `.pth` that `torch.load(weights_only=True)` reads as a `state_dict`. Batch norms get the
    /// `num_batches_tracked` that a strict `load_state_dict` asks for. Metadata lies in a record of its own, which
    /// PyTorch passes over. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn save_pth(&self, path: &Path) -> Result<()> {
        pth::write(self, path)
    }

    /// Writes in the format that `path`'s extension names.
    ///
    /// # Errors
    /// [`Error::Argument`] for another extension than `.safetensors`, `.pth` and `.pt`; [`Error::Io`] when it cannot be
    /// written.
    pub fn save(&self, path: &Path) -> Result<()> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => self.save_safetensors(path),
            Some("pth" | "pt") => self.save_pth(path),
            _ => {
                let path = path.display();
                Err(Error::Argument(format!(
                    "{path}: name the output .safetensors or .pth, which picks its format"
                )))
            }
        }
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
            Bytes::Values(values) => bytemuck::cast_slice(values),
        }
    }
}

/// What a format's reader finds.
struct Header {
    entries: Vec<Entry>,
    metadata: BTreeMap<String, String>,
}

/// Whether a safetensors header, whose length is a little-endian u64, happens to begin like a pickle.
fn is_json(content: &[u8]) -> bool {
    content.get(8) == Some(&b'{')
}

/// Removes the `module.` that data-parallel training puts before every name.
fn strip_prefix(entries: &mut [Entry]) {
    const PREFIX: &str = "module.";
    if entries.iter().all(|entry| entry.name.starts_with(PREFIX)) {
        entries.iter_mut().for_each(|entry| entry.name.drain(..PREFIX.len()).for_each(drop));
    }
}

//! Named tensors from files: safetensors, and PyTorch's `.pth` in the zip form and the older one, told apart by their
//! content. Files are mapped, never read whole: opening costs as much as the header, a tensor is touched when asked for.
//!
//! Names are torchvision's. A file is not believed: every size is checked against the file before anything is taken,
//! and no pickle is executed.

mod check;
mod dtype;
mod elements;
mod pth;
pub(crate) mod random;
mod safetensors;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::tensor::Tensor;

pub use dtype::DType;

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

    /// Bytes of all elements.
    fn bytes(&self) -> usize {
        self.elements() * self.dtype.bytes()
    }
}

/// Tensors that belong to preprocessing, not to the network, are called so.
const PREPROCESS: &str = "preprocess.";

/// Longest name and most dimensions a tensor may have.
const MAX_NAME_BYTES: usize = 256;
const MAX_DIMENSIONS: usize = 16;

/// Bytes of a tensor, if that number exists; so do then the strides of all its dimensions, even of an empty tensor.
fn checked_bytes(dtype: DType, shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(dtype.bytes(), |n, &d| n.checked_mul(d.max(1)))?;
    (shape.len() <= MAX_DIMENSIONS).then(|| dtype.bytes() * shape.iter().product::<usize>())
}

/// Text from a file as it may stand in a message: one short line.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Whether `name` may stand for a tensor.
///
/// # Errors
/// [`Error::Format`] for a name that is too long or would break a line.
fn check_name(path: &Path, name: &str) -> Result<()> {
    if name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let problem = format!("has a tensor called `{}`…, which is no usable name", printable(name));
        return Err(Error::format(path, problem));
    }
    Ok(())
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
        // Asked before opening: a pipe would wait for its other end.
        let about = fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
        if !about.is_file() {
            let what = if about.is_dir() { "a folder" } else { "no regular file" };
            return Err(Error::format(path, format!("is {what}; give a .safetensors or .pth file")));
        }
        let file = File::open(path).map_err(|e| Error::io(path, "read", e))?;
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

    /// Adds 64-bit integers to weights made by [`Weights::from_tensors`].
    ///
    /// # Errors
    /// [`Error::Tensor`] for a name that is taken, or weights from a file; [`Error::Shape`] for another number of integers than
    /// `shape` has.
    pub fn add_i64(&mut self, name: &str, shape: &[usize], integers: &[i64]) -> Result<()> {
        if shape.iter().product::<usize>() != integers.len() {
            let (expected, got) = (format!("{shape:?}"), format!("{} values", integers.len()));
            return Err(Error::Shape { what: format!("tensor `{name}`"), expected, got });
        }
        let Bytes::Values(values) = &mut self.bytes else {
            return Err(Error::tensor(&self.path, name, "cannot be added to a file"));
        };
        if self.index.contains_key(name) {
            return Err(Error::tensor(&self.path, name, "is there already"));
        }
        let start = values.len() * size_of::<f32>();
        values.extend_from_slice(bytemuck::cast_slice(integers));
        self.index.insert(name.to_string(), self.entries.len());
        let (name, shape) = (name.to_string(), shape.to_vec());
        self.entries.push(Entry { name, dtype: DType::I64, shape, start, strides: None });
        Ok(())
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
        entries.iter().try_for_each(|entry| check_name(path, &entry.name))?;
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

    /// Writes all tensors and metadata as safetensors. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn save_safetensors(&self, path: &Path) -> Result<()> {
        safetensors::write(self, path)
    }

    /// Writes all tensors as a `.pth` that `torch.load(weights_only=True)` reads as a `state_dict`. Batch norms get the
    /// `num_batches_tracked` that a strict `load_state_dict` asks for. Metadata and `preprocess.*` lie in a record of
    /// their own, which PyTorch passes over. The file appears whole or not at all.
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

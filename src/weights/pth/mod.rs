//! PyTorch's `.pth`: a pickle that describes tensors, and the storages they lie in. Two forms: a zip archive with one
//! record a storage, and the older one, pickles and storages behind one another.
//!
//! Source: `torch/serialization.py` (`_save`, `_legacy_save`) and Python's `pickletools`. The pickle is read by a machine
//! that knows how to build values and nothing else: see [`pickle`].

mod archive;
mod directory;
mod legacy;
mod pickle;
mod state_dict;
mod write;

pub(super) use archive::read as read_zip;
pub(super) use legacy::read as read_legacy;
pub(super) use write::write;

/// The record, a safetensors file, that carries the metadata and the `preprocess.*` tensors. PyTorch passes over it.
const SIDE_RECORD: &str = "nodal.safetensors";

//! The values a pickle builds, and the globals it may name.

use super::super::super::{DType, printable};
use super::Step;

/// Index of a value in [`super::Pickle`].
pub(in super::super) type Id = usize;

/// A value a pickle builds; text is borrowed from the file.
#[derive(Clone, Debug)]
pub(in super::super) enum Value<'a> {
    None,
    Bool,
    Int(i64),
    /// An integer beyond 64 bits, little-endian.
    Long(&'a [u8]),
    Float,
    Str(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
}

/// A storage by its key.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Storage<'a> {
    pub key: &'a str,
    pub dtype: DType,
    /// Elements it claims to have.
    pub elements: usize,
}

/// A tensor over a storage; offset, sizes and strides in elements.
#[derive(Clone, Debug)]
pub(in super::super) struct Tensor<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageOf(DType),
    Size,
}

impl Global {
    /// The global `module.name`.
    ///
    /// # Errors
    /// A refusal that names any other.
    pub fn named(module: &str, name: &str) -> Step<Global> {
        let dtype = if module == "torch" { DType::of_storage_class(name) } else { None };
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "Size") => Global::Size,
            _ => dtype.map(Global::StorageOf).ok_or_else(|| {
                let (module, name) = (printable(module), printable(name));
                format!("its pickle calls `{module}.{name}`: refused; save a state_dict instead")
            })?,
        })
    }
}

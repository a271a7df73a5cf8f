//! Element types that weight files hold.

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
    /// Signed 32-bit integer.
    I32,
    /// Signed 16-bit integer.
    I16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 8-bit integer.
    U8,
    /// 0 or 1 in a byte.
    Bool,
}

/// Each type with its name in safetensors and its storage class in PyTorch.
const NAMES: [(DType, &str, &str); 10] = [
    (DType::F32, "F32", "FloatStorage"),
    (DType::F64, "F64", "DoubleStorage"),
    (DType::F16, "F16", "HalfStorage"),
    (DType::Bf16, "BF16", "BFloat16Storage"),
    (DType::I64, "I64", "LongStorage"),
    (DType::I32, "I32", "IntStorage"),
    (DType::I16, "I16", "ShortStorage"),
    (DType::I8, "I8", "CharStorage"),
    (DType::U8, "U8", "ByteStorage"),
    (DType::Bool, "BOOL", "BoolStorage"),
];

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::Bf16 | DType::I16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// Whether the elements are real numbers, not integers.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::Bf16)
    }

    /// The name in a safetensors header.
    pub(super) fn safetensors_name(self) -> &'static str {
        NAMES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// The class of the storage in PyTorch's module `torch`.
    pub(super) fn storage_class(self) -> &'static str {
        NAMES.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// The type that a safetensors header calls `name`.
    pub(super) fn of_safetensors(name: &str) -> Option<DType> {
        NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The type of the elements in a `torch.CLASS`.
    pub(super) fn of_storage_class(class: &str) -> Option<DType> {
        NAMES.iter().find(|row| row.2 == class).map(|row| row.0)
    }
}

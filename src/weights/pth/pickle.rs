//! A pickle machine that builds plain values and calls nothing.
//!
//! Of Python's opcodes it knows those that PyTorch writes for a `state_dict`; any other is refused by name. Of the
//! globals a pickle may name it knows those in [`Global::named`]; any other is refused by name too, before anything
//! could be called. Values live in one list and refer to each other by index, so that a value that contains itself is
//! harmless; each opcode adds at most one.

use super::super::DType;

/// Index of a value in [`Pickle::values`].
pub(super) type Id = usize;

/// A value a pickle builds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool,
    Int(i64),
    /// An integer beyond 64 bits, little-endian.
    Long(Vec<u8>),
    Float,
    Str(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(Tensor),
}

/// A storage by its key.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub key: String,
    pub dtype: DType,
    /// Elements it claims to have.
    pub elements: usize,
}

/// A tensor over a storage; offset, sizes and strides in elements.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageOf(DType),
    /// Known, of an element type that no weight has.
    OtherStorage,
    Size,
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "FloatStorage") => Global::StorageOf(DType::F32),
            ("torch", "DoubleStorage") => Global::StorageOf(DType::F64),
            ("torch", "HalfStorage") => Global::StorageOf(DType::F16),
            ("torch", "BFloat16Storage") => Global::StorageOf(DType::Bf16),
            ("torch", "LongStorage") => Global::StorageOf(DType::I64),
            ("torch", "IntStorage" | "ShortStorage" | "CharStorage" | "ByteStorage" | "BoolStorage") => {
                Global::OtherStorage
            }
            ("torch", "Size") => Global::Size,
            _ => return None,
        })
    }
}

/// Dimensions a tensor has at most.
const MAX_DIMENSIONS: usize = 16;

/// The machine after it has run.
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: std::collections::HashMap<usize, Id>,
}

type Step<T> = std::result::Result<T, String>;

impl<'a> Pickle<'a> {
    /// Runs the pickle at the start of `bytes`; gives the machine, the value it ends with, and its length.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence that begins with the file's name.
    pub fn run(bytes: &'a [u8]) -> Step<(Self, Id, usize)> {
        let memo = std::collections::HashMap::new();
        let mut machine =
            Pickle { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo };
        loop {
            let opcode = machine.byte()?;
            if opcode == b'.' {
                let root = machine.pop()?;
                let length = machine.at;
                return Ok((machine, root, length));
            }
            machine.execute(opcode)?;
        }
    }

    /// The value behind an index.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Every storage it mentions.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    fn execute(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            0x80 => self.skip(1), // PROTO
            0x95 => self.skip(8), // FRAME
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool),
            b'J' => self.int(4, true),
            b'K' => self.int(1, false),
            b'M' => self.int(2, false),
            0x8a => self.long(),
            b'G' => {
                self.skip(8)?;
                self.push(Value::Float)
            }
            b'X' => self.text(4),
            0x8c => self.text(1),
            0x8d => self.text(8),
            b'T' => self.text(4),
            b'U' => self.text(1),
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items))
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(&items)
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)
            }
            b'0' => self.pop().map(drop),
            b'q' => self.memoize(1),
            b'r' => self.memoize(4),
            0x94 => {
                let top = self.top()?;
                self.memo.insert(self.memo.len(), top);
                Ok(())
            }
            b'h' => self.recall(1),
            b'j' => self.recall(4),
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.global(module, name)
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let (module, name) = (self.string(names[0])?.to_string(), self.string(names[1])?.to_string());
                self.global(&module, &name)
            }
            b'Q' => self.persistent(),
            b'R' => self.reduce(),
            b'b' => self.pop().map(drop), // BUILD: an attribute such as a state_dict's _metadata
            other => Err(format!("its pickle has opcode 0x{other:02x}, which no state_dict needs: refused")),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Step<()> {
        match Global::named(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => {
                let (module, name) = (printable(module), printable(name));
                Err(format!("its pickle calls `{module}.{name}`: refused; save a state_dict instead"))
            }
        }
    }

    /// A call of one of the known globals.
    fn reduce(&mut self) -> Step<()> {
        let operands = self.pop_many(2)?;
        let (Value::Global(global), Value::Tuple(arguments)) =
            (&self.values[operands[0]], &self.values[operands[1]])
        else {
            return Err("its pickle calls what is no function: refused".into());
        };
        let (global, arguments) = (*global, arguments.clone());
        match (global, arguments.as_slice()) {
            (Global::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Global::OrderedDict, [pairs]) => {
                let pairs = self.pairs(*pairs)?;
                self.push(Value::Dict(pairs))
            }
            (Global::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                let Value::Storage(storage) = &self.values[*storage] else {
                    return Err("its pickle has a tensor without a storage".into());
                };
                let storage = storage.clone();
                let tensor = Tensor {
                    storage,
                    offset: self.size(*offset)?,
                    shape: self.sizes(*shape)?,
                    strides: self.sizes(*strides)?,
                };
                self.push(Value::Tensor(tensor))
            }
            (Global::RebuildParameter, [tensor, ..]) => {
                self.stack.push(*tensor);
                Ok(())
            }
            (Global::Size, [sizes]) => {
                self.stack.push(*sizes);
                Ok(())
            }
            (global, _) => Err(format!("its pickle calls {global:?} with the wrong arguments")),
        }
    }

    /// A persistent id: ('storage', type, key, location, elements, …).
    fn persistent(&mut self) -> Step<()> {
        let id = self.pop()?;
        let Value::Tuple(parts) = &self.values[id] else {
            return Err("its pickle has a storage without a key".into());
        };
        let [kind, class, key, _, elements, ..] = parts.clone()[..] else {
            return Err("its pickle has a storage without a size".into());
        };
        if self.string(kind)? != "storage" {
            return Err("its pickle refers to something that is no storage".into());
        }
        let dtype = match self.values[class] {
            Value::Global(Global::StorageOf(dtype)) => dtype,
            // Read as bytes nobody asks for: such a tensor is passed over.
            Value::Global(Global::OtherStorage) => return self.push(Value::None),
            _ => return Err("its pickle has a storage of unknown type".into()),
        };
        let (key, elements) = (self.string(key)?.to_string(), self.size(elements)?);
        self.push(Value::Storage(Storage { key, dtype, elements }))
    }

    fn pairs(&self, id: Id) -> Step<Vec<(Id, Id)>> {
        let Value::List(items) = &self.values[id] else {
            return Err("its pickle makes a dict of no list".into());
        };
        let pair = |&item: &Id| match &self.values[item] {
            Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err("its pickle makes a dict of no pairs".to_string()),
        };
        items.iter().map(pair).collect()
    }

    fn append(&mut self, items: &[Id]) -> Step<()> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(list) => list.extend_from_slice(items),
            _ => return Err("its pickle appends to what is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Step<()> {
        let dict = self.top()?;
        match &mut self.values[dict] {
            Value::Dict(dict) if items.len().is_multiple_of(2) => {
                dict.extend(items.chunks_exact(2).map(|p| (p[0], p[1])))
            }
            _ => return Err("its pickle sets items of what is no dict".into()),
        }
        Ok(())
    }

    /// A non-negative integer.
    pub fn size(&self, id: Id) -> Step<usize> {
        match &self.values[id] {
            Value::Int(n) => usize::try_from(*n).map_err(|_| format!("its pickle has a size of {n}")),
            _ => Err("its pickle has a size that is no integer of 64 bits".into()),
        }
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        match &self.values[id] {
            Value::Tuple(ids) | Value::List(ids) if ids.len() <= MAX_DIMENSIONS => {
                ids.iter().map(|&id| self.size(id)).collect()
            }
            _ => Err("its pickle has a shape that is none".into()),
        }
    }

    /// A string.
    pub fn string(&self, id: Id) -> Step<&str> {
        match &self.values[id] {
            Value::Str(text) => Ok(text),
            _ => Err("its pickle has something else where a name belongs".into()),
        }
    }

    fn push(&mut self, value: Value) -> Step<()> {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
        Ok(())
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn pop_many(&mut self, count: usize) -> Step<Vec<Id>> {
        let mut items: Vec<Id> = (0..count).map(|_| self.pop()).collect::<Step<_>>()?;
        items.reverse();
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        if mark > self.stack.len() {
            return Err(underflow());
        }
        Ok(self.stack.split_off(mark))
    }

    fn memoize(&mut self, width: usize) -> Step<()> {
        let slot = self.unsigned(width)?;
        let top = self.top()?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Step<()> {
        let slot = self.unsigned(width)?;
        let id =
            *self.memo.get(&slot).ok_or_else(|| format!("its pickle recalls slot {slot}, which is empty"))?;
        self.stack.push(id);
        Ok(())
    }

    fn int(&mut self, width: usize, signed: bool) -> Step<()> {
        let n = self.unsigned(width)?;
        let n = if signed { i64::from(n as u32 as i32) } else { n as i64 };
        self.push(Value::Int(n))
    }

    fn long(&mut self) -> Step<()> {
        let width = self.unsigned(1)?;
        let raw = self.take(width)?;
        if width > 8 {
            return self.push(Value::Long(raw.to_vec()));
        }
        let fill = if raw.last().is_some_and(|byte| byte & 0x80 != 0) { 0xFF } else { 0 };
        let mut bytes = [fill; 8];
        bytes[..width].copy_from_slice(raw);
        self.push(Value::Int(i64::from_le_bytes(bytes)))
    }

    fn text(&mut self, width: usize) -> Step<()> {
        let length = self.unsigned(width)?;
        let raw = self.take(length)?;
        let text =
            std::str::from_utf8(raw).map_err(|_| "its pickle has a string that is not UTF-8".to_string())?;
        self.push(Value::Str(text.to_string()))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or_else(truncated)?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| "its pickle has a name that is not UTF-8".into())
    }

    fn unsigned(&mut self, width: usize) -> Step<usize> {
        let raw = self.take(width)?;
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(raw);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| truncated())
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.take(1)?[0])
    }

    fn skip(&mut self, count: usize) -> Step<()> {
        self.take(count).map(drop)
    }

    fn take(&mut self, count: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or_else(truncated)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }
}

fn underflow() -> String {
    "its pickle takes more from the stack than lies there".into()
}

fn truncated() -> String {
    "its pickle is cut off".into()
}

/// A name from a file as it may stand in a message: one short line.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

//! A pickle machine that builds plain values and calls nothing.
//!
//! Of Python's opcodes (`pickletools`) it knows those that PyTorch writes for a `state_dict`; any other is refused by its
//! number. Of the globals a pickle may name it knows those in [`Global::named`]; any other is refused by name, before
//! anything could be called. Values live in one list and refer to each other by index, so that a value that contains
//! itself is harmless and nothing recurses. Each opcode adds at most one value, and there are at most [`MAX_STEPS`].

mod build;
mod cursor;
mod value;

use std::collections::HashMap;

use cursor::Cursor;
pub(super) use value::{Global, Id, Tensor, Value};

/// Work a pickle may ask for: opcodes, and copied items. That of Inception-v3 takes twenty thousand.
const MAX_STEPS: usize = 1 << 20;

/// Its error is what is wrong, as the rest of a sentence that begins with the file's name.
pub(super) type Step<T> = std::result::Result<T, String>;

/// The machine after it has run.
pub(super) struct Pickle<'a> {
    input: Cursor<'a>,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    steps_left: usize,
}

impl<'a> Pickle<'a> {
    /// Runs the pickle at the start of `bytes`; gives the machine, the value it ends with, and its length.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn run(bytes: &'a [u8]) -> Step<(Self, Id, usize)> {
        let mut machine = Pickle {
            input: Cursor::new(bytes),
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            steps_left: MAX_STEPS,
        };
        loop {
            machine.spend(1)?;
            let opcode = machine.input.byte()?;
            if opcode == b'.' {
                let root = machine.pop()?;
                let length = machine.input.position();
                return Ok((machine, root, length));
            }
            machine.execute(opcode)?;
        }
    }

    /// The value behind an index.
    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }

    /// All values, in the order they were built.
    pub fn values(&self) -> &[Value<'a>] {
        &self.values
    }

    /// The text behind an index.
    pub fn text(&self, id: Id) -> Step<&'a str> {
        match &self.values[id] {
            Value::Str(text) => Ok(text),
            _ => Err("its pickle has something else where a name belongs".into()),
        }
    }

    fn execute(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            0x80 => self.input.take(1).map(drop), // PROTO
            0x95 => self.input.take(8).map(drop), // FRAME
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop), // POP
            b'b' => self.pop().map(drop), // BUILD: an attribute such as a state_dict's _metadata
            b'c' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                self.push(Value::Global(Global::named(module, name)?))
            }
            0x93 => {
                let [module, name] = self.pop_array()?;
                let global = Global::named(self.text(module)?, self.text(name)?)?;
                self.push(Value::Global(global))
            }
            b'Q' => self.persistent(),
            b'R' => self.reduce(),
            b'q' => self.memoize(1),
            b'r' => self.memoize(4),
            0x94 => {
                let top = self.top()?;
                self.memo.insert(self.memo.len() as u64, top);
                Ok(())
            }
            b'h' => self.recall(1),
            b'j' => self.recall(4),
            b'a' | b'e' | b's' | b'u' | b't' | b'l' | 0x85..=0x87 => self.collect(opcode),
            _ => self.literal(opcode),
        }
    }

    /// Opcodes that put items into a container.
    fn collect(&mut self, opcode: u8) -> Step<()> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => self.pop_array::<2>()?.to_vec(),
            0x85 => self.pop_array::<1>()?.to_vec(),
            0x86 => self.pop_array::<2>()?.to_vec(),
            0x87 => self.pop_array::<3>()?.to_vec(),
            _ => self.pop_to_mark()?,
        };
        match opcode {
            b'a' | b'e' => self.append(&items),
            b's' | b'u' => self.set_items(&items),
            b'l' => self.push(Value::List(items)),
            _ => self.push(Value::Tuple(items)),
        }
    }

    /// Opcodes that push a value of their own.
    fn literal(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 | 0x89 => Value::Bool,
            b'J' => Value::Int(i64::from(self.input.unsigned(4)? as u32 as i32)),
            b'K' => Value::Int(self.input.unsigned(1)? as i64),
            b'M' => Value::Int(self.input.unsigned(2)? as i64),
            0x8a => self.long()?,
            b'G' => {
                self.input.take(8)?;
                Value::Float
            }
            b'X' | b'T' => Value::Str(self.input.text(4)?),
            0x8c | b'U' => Value::Str(self.input.text(1)?),
            0x8d => Value::Str(self.input.text(8)?),
            b')' => Value::Tuple(Vec::new()),
            b']' => Value::List(Vec::new()),
            b'}' => Value::Dict(Vec::new()),
            _ => {
                return Err(format!(
                    "its pickle has opcode 0x{opcode:02x}, which no state_dict needs: refused"
                ));
            }
        };
        self.push(value)
    }

    /// LONG1: a two's complement number behind its length in bytes.
    fn long(&mut self) -> Step<Value<'a>> {
        let width = usize::from(self.input.byte()?);
        let raw = self.input.take(width)?;
        if width > 8 {
            return Ok(Value::Long(raw));
        }
        let fill = if raw.last().is_some_and(|byte| byte & 0x80 != 0) { 0xFF } else { 0 };
        let mut bytes = [fill; 8];
        bytes[..width].copy_from_slice(raw);
        Ok(Value::Int(i64::from_le_bytes(bytes)))
    }

    fn spend(&mut self, steps: usize) -> Step<()> {
        let left = self.steps_left.checked_sub(steps);
        self.steps_left = left.ok_or("its pickle goes on and on: refused; save a state_dict instead")?;
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        self.values.push(value);
        self.push_again(self.values.len() - 1)
    }

    fn push_again(&mut self, id: Id) -> Step<()> {
        self.stack.push(id);
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

    /// The topmost `N` values, the lowest first.
    fn pop_array<const N: usize>(&mut self) -> Step<[Id; N]> {
        let mut items = [0; N];
        for item in items.iter_mut().rev() {
            *item = self.pop()?;
        }
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn memoize(&mut self, width: usize) -> Step<()> {
        let slot = self.input.unsigned(width)?;
        self.memo.insert(slot, self.top()?);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Step<()> {
        let slot = self.input.unsigned(width)?;
        match self.memo.get(&slot) {
            Some(&id) => self.push_again(id),
            None => Err(format!("its pickle recalls slot {slot}, which is empty")),
        }
    }
}

fn underflow() -> String {
    "its pickle takes more from the stack than lies there".into()
}

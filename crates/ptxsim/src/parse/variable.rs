//! Declarations: parameters, registers, shared and local variables.

use std::collections::HashMap;

use super::{Text, problem};
use crate::error::Result;

/// `.shared .align 16 .b8 name[8192]`.
pub(super) struct Variable {
    pub name: String,
    pub alignment: u32,
    /// 0 where the text leaves the size open.
    pub bytes: u32,
}

impl Variable {
    pub fn read(text: &str, space: &str) -> Option<Self> {
        let mut words = text.strip_prefix(space)?.split_whitespace().peekable();
        let mut alignment = None;
        if words.next_if_eq(&".align").is_some() {
            alignment = words.next()?.parse().ok();
        }
        let bytes = width(words.next()?)? / 8;
        // What a pointer points to.
        if words.next_if_eq(&".ptr").is_some() {
            words.next_if(|word| [".global", ".shared", ".local", ".const"].contains(word));
            if words.next_if_eq(&".align").is_some() {
                words.next();
            }
        }
        let name = words.next().filter(|name| !name.starts_with('.'))?;
        let (name, count) = match name.split_once('[') {
            Some((name, count)) => (name, count.trim_end_matches(']')),
            None => (name, "1"),
        };
        let count: u32 = if count.is_empty() { 0 } else { count.parse().ok()? };
        Some(Variable { name: name.to_string(), alignment: alignment.unwrap_or(bytes), bytes: bytes * count })
    }

    /// Appends it to `table`, which takes `bytes` bytes.
    pub fn place(&self, table: &mut HashMap<String, u32>, bytes: &mut u32) {
        let offset = bytes.next_multiple_of(self.alignment.max(1));
        table.insert(self.name.clone(), offset);
        *bytes = offset + self.bytes;
    }
}

/// Bits of a type such as `.f32`; 1 for predicates.
fn width(kind: &str) -> Option<u32> {
    match kind {
        ".pred" => Some(1),
        _ => kind.get(2..)?.parse().ok().filter(|bits| [8, 16, 32, 64].contains(bits)),
    }
}

/// A declaration within a kernel.
pub(super) fn directive(kernel: &mut Text, number: usize, text: &str) -> Result<()> {
    let word = text.split_whitespace().next().unwrap_or_default();
    match word {
        ".reg" => {
            let mut words = text.split_whitespace().skip(1);
            let bits = words.next().and_then(width);
            let Some(bits) = bits else { return problem(number, format!("unknown register type `{text}`")) };
            let names = text.split_whitespace().skip(2).collect::<String>();
            for name in names.split(',') {
                kernel.registers.push((name.split('<').next().unwrap_or(name).to_string(), bits));
            }
            Ok(())
        }
        ".shared" | ".local" => {
            let Some(variable) = Variable::read(text, word) else {
                return problem(number, format!("unknown variable `{text}`"));
            };
            let (table, bytes) = match word {
                ".shared" => (&mut kernel.shared, &mut kernel.shared_bytes),
                _ => (&mut kernel.local, &mut kernel.local_bytes),
            };
            variable.place(table, bytes);
            Ok(())
        }
        ".pragma" => Ok(()),
        _ => problem(number, format!("unknown directive `{text}`")),
    }
}

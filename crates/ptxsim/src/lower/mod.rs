//! Statements into instructions: opcodes by name, operands by slot.

mod arithmetic;
mod control;
mod convert;
mod memory;
mod module;
mod operands;

pub use module::Module;
pub(crate) use module::{Kernel, Special};

use std::collections::HashMap;

use crate::code::{Code, Inst, NEGATED, NONE};
use crate::error::{Error, Result};
use crate::parse::{Statement, Text};

/// Virtual registers that an instruction reads and writes.
#[derive(Default)]
pub(crate) struct References {
    pub reads: Vec<u16>,
    pub writes: Vec<u16>,
    /// Which of d, a, b, c are registers, a bit each.
    pub fields: u8,
}

impl References {
    /// Of fields d, a, b, c: `w` writes, `r` reads, anything else is no register.
    fn of(fields: [u16; 4], how: &str) -> Self {
        let mut references = References::default();
        for (bit, (field, how)) in fields.into_iter().zip(how.bytes()).enumerate() {
            match how {
                b'w' => references.writes.push(field),
                b'r' => references.reads.push(field),
                _ => continue,
            }
            references.fields |= 1 << bit;
        }
        references
    }
}

/// A kernel on its way from statements to instructions.
struct Lowering<'a> {
    text: &'a Text,
    /// Virtual register of each name, and the width of each in slots.
    registers: HashMap<String, u16>,
    widths: Vec<u8>,
    predicates: HashMap<String, u16>,
    constants: HashMap<(u64, u8), u16>,
    specials: HashMap<Special, u16>,
    code: Vec<Inst>,
    references: Vec<References>,
    lines: Vec<(u32, u32)>,
    vectors: Vec<[u16; 4]>,
    /// Line in the PTX and in the source, and number of the statement at hand.
    ptx_line: usize,
    source: (u32, u32),
    statement: usize,
}

impl<'a> Lowering<'a> {
    fn new(text: &'a Text) -> Self {
        Lowering {
            text,
            registers: HashMap::new(),
            widths: Vec::new(),
            predicates: HashMap::new(),
            constants: HashMap::new(),
            specials: HashMap::new(),
            code: Vec::new(),
            references: Vec::new(),
            lines: Vec::new(),
            vectors: Vec::new(),
            ptx_line: 0,
            source: (0, 0),
            statement: 0,
        }
    }

    fn error<T>(&self, problem: impl Into<String>) -> Result<T> {
        Err(Error::Parse { line: self.ptx_line, problem: problem.into() })
    }

    fn emit(&mut self, code: Code, [d, a, b, c]: [u16; 4], imm: u32, references: References) {
        self.code.push(Inst { code, guard: NONE, d, a, b, c, imm });
        self.references.push(references);
        self.lines.push(self.source);
    }

    /// Begins basic block number `block`.
    fn block(&mut self, block: u32) {
        self.emit(Code::Block, [NONE; 4], block, References::default());
    }

    fn statement(&mut self, number: usize, statement: &Statement) -> Result<()> {
        (self.statement, self.ptx_line, self.source) = (number, statement.ptx_line, statement.source);
        let first = self.code.len();
        let parts: Vec<&str> = statement.opcode.iter().map(String::as_str).collect();
        if !self.instruction(&parts, &statement.operands)? {
            return self.error(format!("unknown instruction `{}`", parts.join(".")));
        }
        if let Some((name, negated)) = &statement.guard {
            let guard = self.predicate(name)? | if *negated { NEGATED } else { 0 };
            self.code[first..].iter_mut().for_each(|inst| inst.guard = guard);
        }
        Ok(())
    }
}

//! Loads, stores, atomics.

use super::{Lowering, References};
use crate::code::{ATOMICS, Access, Atomic, Code, NONE, Type};
use crate::error::Result;
use crate::parse::Operand;

impl Lowering<'_> {
    /// Base register and offset of an address, and whether the register has 64 bits.
    fn address(&mut self, operand: Option<&Operand>) -> Result<(u16, i64, bool)> {
        let Some(Operand::Address(base, offset)) = operand else {
            return self.error(format!("expected an address, got {operand:?}"));
        };
        match &**base {
            Operand::Name(name) if name.starts_with('%') => {
                let r = self.register(name)?;
                Ok((r, *offset, self.widths[usize::from(r)] == 2))
            }
            base => Ok((self.source(base, 8)?, *offset, true)),
        }
    }

    pub(super) fn memory(&mut self, parts: &[&str], operands: &[Operand]) -> Result<bool> {
        let [name, modifiers @ .., kind] = parts else { return Ok(false) };
        let Some(kind) = Type::named(kind).filter(|kind| *kind != Type::Pred) else { return Ok(false) };
        let store = *name == "st";
        let has = |part: &str| modifiers.contains(&part);
        let space = ["param", "shared", "global", "local"].into_iter().find(|space| has(space));
        let code = match (space, store) {
            (Some("param"), false) => Code::LdParam,
            (Some("shared"), false) => Code::LdShared,
            (Some("shared"), true) => Code::StShared,
            (Some("global"), false) if has("nc") || *name == "ldu" => Code::LdGlobalReadOnly,
            (Some("global"), false) => Code::LdGlobal,
            (Some("global"), true) => Code::StGlobal,
            (Some("local"), false) => Code::LdLocal,
            (Some("local"), true) => Code::StLocal,
            _ => return Ok(false),
        };
        let known = [
            "param", "shared", "global", "local", "nc", "v2", "v4", "volatile", "relaxed", "weak", "gpu",
            "cta", "sys", "ca", "cg", "cs", "lu", "cv", "wb", "wt",
        ];
        let [one, two] = operands else { return Ok(false) };
        let (value, address) = if store { (two, one) } else { (one, two) };
        let values = match value {
            Operand::Vector(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        let count = if has("v4") {
            4
        } else if has("v2") {
            2
        } else {
            1
        };
        if modifiers.iter().any(|part| !known.contains(part)) || values.len() != count {
            return Ok(false);
        }
        let (a, offset, wide) = self.address(Some(address))?;
        if !wide && matches!(code, Code::LdGlobal | Code::LdGlobalReadOnly | Code::StGlobal) {
            return self.error("an address of global memory has 64 bits");
        }
        let mut references = References::of([NONE, a, NONE, NONE], "-r--");
        let (mut vector, mut widen) = ([NONE; 4], false);
        for (slot, value) in vector.iter_mut().zip(values) {
            if store {
                *slot = self.narrow_source(value, kind.bytes())?;
                references.reads.push(*slot);
            } else {
                *slot = match value {
                    Operand::Name(name) if name == "_" => {
                        self.virtual_register(if kind.bytes() == 8 { 2 } else { 1 })?
                    }
                    value => self.register(self.name(Some(value))?)?,
                };
                widen = self.widths[usize::from(*slot)] == 2 && kind.bytes() < 8;
                references.writes.push(*slot);
            }
            let width = self.widths[usize::from(*slot)];
            if width < 2 && kind.bytes() == 8 {
                return self.error("a register is narrower than what is moved");
            }
        }
        let Ok(offset) = i32::try_from(offset) else { return self.error("offset beyond 31 bits") };
        let access = Access { bytes: kind.bytes(), count: count as u32, signed: kind.signed(), widen };
        let c = self.vector(vector)?;
        self.emit(code, [NONE, a, access.pack(), c], offset as u32, references);
        Ok(true)
    }

    pub(super) fn atomic(&mut self, parts: &[&str], operands: &[Operand]) -> Result<bool> {
        let (name, space, what, kind) = match parts {
            [name, "relaxed", space, what, kind] => (*name, *space, *what, *kind),
            [name, "relaxed", space, "gpu" | "cta" | "sys", what, kind] => (*name, *space, *what, *kind),
            [name, space, "gpu" | "cta" | "sys", what, kind] => (*name, *space, *what, *kind),
            [name, space, what, kind] => (*name, *space, *what, *kind),
            _ => return Ok(false),
        };
        let atomic = match (what, kind) {
            ("add", "f32") => Atomic::AddF32,
            ("add", "u32" | "s32") => Atomic::Add,
            ("min", "s32") => Atomic::MinS,
            ("min", "u32") => Atomic::MinU,
            ("max", "s32") => Atomic::MaxS,
            ("max", "u32") => Atomic::MaxU,
            ("exch", "b32") => Atomic::Exch,
            ("cas", "b32") => Atomic::Cas,
            ("inc", "u32") => Atomic::Inc,
            ("dec", "u32") => Atomic::Dec,
            ("and", "b32") => Atomic::And,
            ("or", "b32") => Atomic::Or,
            ("xor", "b32") => Atomic::Xor,
            _ => return Ok(false),
        };
        let code = match space {
            "global" => Code::AtomGlobal,
            "shared" => Code::AtomShared,
            _ => return Ok(false),
        };
        let first = usize::from(name == "atom");
        if operands.len() != first + if atomic == Atomic::Cas { 3 } else { 2 } {
            return Ok(false);
        }
        let d = match operands.first() {
            Some(Operand::Name(sink)) if first == 1 && sink == "_" => NONE,
            d if first == 1 => self.destination(d, 4)?,
            _ => NONE,
        };
        let (a, offset, wide) = self.address(operands.get(first))?;
        let b = self.source(&operands[first + 1], 4)?;
        let c = match operands.get(first + 2) {
            Some(operand) => self.source(operand, 4)?,
            None => b,
        };
        if !(-(1 << 22)..1 << 22).contains(&offset) {
            return self.error("offset of an atomic beyond 22 bits");
        }
        let which = ATOMICS.iter().position(|known| *known == atomic).unwrap_or(0) as u32;
        let imm = which | u32::from(wide) << 7 | (offset as u32) << 8;
        let fields = [d, a, b, c];
        self.emit(code, fields, imm, References::of(fields, if d == NONE { "-rrr" } else { "wrrr" }));
        Ok(true)
    }
}

//! Operands: registers, predicates, constants, variables.

use super::{Lowering, References, Special};
use crate::code::{Code, NEGATED, NONE};
use crate::error::Result;
use crate::parse::Operand;

impl Lowering<'_> {
    /// Bits of the register called `name`, as it was declared.
    pub(super) fn declared_bits(&self, name: &str) -> Result<u32> {
        let class = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let declared = &self.text.registers;
        match declared.iter().find(|(prefix, _)| prefix == name || prefix == class) {
            Some((_, bits)) => Ok(*bits),
            None => self.error(format!("unknown register `{name}`")),
        }
    }

    /// The virtual register called `name`.
    pub(super) fn register(&mut self, name: &str) -> Result<u16> {
        if let Some(&r) = self.registers.get(name) {
            return Ok(r);
        }
        let r = match self.declared_bits(name)? {
            1 => return self.error(format!("`{name}` is a predicate")),
            64 => self.virtual_register(2)?,
            _ => self.virtual_register(1)?,
        };
        self.registers.insert(name.to_string(), r);
        Ok(r)
    }

    /// A register of its own of `width` slots.
    pub(super) fn virtual_register(&mut self, width: u8) -> Result<u16> {
        if self.widths.len() >= usize::from(NONE) {
            return self.error("more registers than the simulator takes");
        }
        self.widths.push(width);
        Ok((self.widths.len() - 1) as u16)
    }

    /// Number of a list of registers.
    pub(super) fn vector(&mut self, vector: [u16; 4]) -> Result<u16> {
        let Ok(number) = u16::try_from(self.vectors.len()) else {
            return self.error("more memory instructions than the simulator takes");
        };
        self.vectors.push(vector);
        Ok(number)
    }

    /// The predicate called `name`.
    pub(super) fn predicate(&mut self, name: &str) -> Result<u16> {
        if let Some(&p) = self.predicates.get(name) {
            return Ok(p);
        }
        if self.declared_bits(name)? != 1 {
            return self.error(format!("`{name}` is no predicate"));
        }
        let next = self.predicates.len() as u16;
        self.predicates.insert(name.to_string(), next);
        Ok(next)
    }

    /// A predicate as a source, possibly negated.
    pub(super) fn predicate_source(&mut self, operand: Option<&Operand>) -> Result<u16> {
        match operand {
            Some(Operand::Name(name)) => self.predicate(name),
            Some(Operand::Not(name)) => Ok(self.predicate(name)? | NEGATED),
            other => self.error(format!("expected a predicate, got {other:?}")),
        }
    }

    pub(super) fn constant(&mut self, bits: u64, width: u8) -> Result<u16> {
        let bits = if width == 2 { bits } else { bits & 0xffff_ffff };
        if let Some(&r) = self.constants.get(&(bits, width)) {
            return Ok(r);
        }
        let r = self.virtual_register(width)?;
        self.constants.insert((bits, width), r);
        Ok(r)
    }

    /// A source of `bytes` bytes.
    pub(super) fn source(&mut self, operand: &Operand, bytes: u32) -> Result<u16> {
        let width = if bytes == 8 { 2 } else { 1 };
        let name = match operand {
            Operand::Number(bits) if bytes == 2 => return self.constant(bits & 0xffff, 1),
            Operand::Number(bits) => return self.constant(*bits, width),
            Operand::Name(name) => name,
            other => return self.error(format!("unknown operand {other:?}")),
        };
        if let Some(special) = Special::named(name) {
            if let Some(&r) = self.specials.get(&special) {
                return Ok(r);
            }
            let r = self.virtual_register(1)?;
            self.specials.insert(special, r);
            return Ok(r);
        }
        let text = self.text;
        let variable = text.shared.get(name).or_else(|| text.local.get(name));
        if let Some(&offset) = variable.or_else(|| text.parameters.get(name)) {
            return self.constant(u64::from(offset), width);
        }
        let r = self.register(name)?;
        match self.widths[usize::from(r)] == width {
            true => Ok(r),
            false => self.error(format!("`{name}` has another width than the instruction")),
        }
    }

    /// A source of which fewer bytes are used than the register may have.
    pub(super) fn narrow_source(&mut self, operand: &Operand, bytes: u32) -> Result<u16> {
        match operand {
            Operand::Name(name) if bytes < 8 && name.starts_with('%') && Special::named(name).is_none() => {
                self.register(name)
            }
            _ => self.source(operand, bytes),
        }
    }

    /// A destination of `bytes` bytes.
    pub(super) fn destination(&mut self, operand: Option<&Operand>, bytes: u32) -> Result<u16> {
        let r = self.register(self.name(operand)?)?;
        match self.widths[usize::from(r)] == if bytes == 8 { 2 } else { 1 } {
            true => Ok(r),
            false => self.error(format!("{operand:?} has another width than the instruction")),
        }
    }

    pub(super) fn name<'b>(&self, operand: Option<&'b Operand>) -> Result<&'b str> {
        match operand {
            Some(Operand::Name(name)) => Ok(name),
            other => self.error(format!("expected a register, got {other:?}")),
        }
    }

    /// One destination register and sources, of so many bytes.
    pub(super) fn plain(
        &mut self,
        code: Code,
        operands: &[Operand],
        to: u32,
        from: &[u32],
        imm: u32,
    ) -> Result<()> {
        if operands.len() != from.len() + 1 {
            return self.error(format!("{} operands, expected {}", operands.len(), from.len() + 1));
        }
        let mut fields = [NONE; 4];
        fields[0] = self.destination(operands.first(), to)?;
        for (i, (operand, bytes)) in operands[1..].iter().zip(from).enumerate() {
            fields[i + 1] = self.source(operand, *bytes)?;
        }
        let how = ["w---", "wr--", "wrr-", "wrrr"][from.len()];
        self.emit(code, fields, imm, References::of(fields, how));
        Ok(())
    }
}

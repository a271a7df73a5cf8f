//! Branches, barriers, moves, predicates, and what the lanes of a warp tell each other.

use super::{Lowering, References};
use crate::code::{COMPARES, Code, Compare, NONE, Type};
use crate::error::Result;
use crate::parse::Operand;

impl Lowering<'_> {
    /// Appends what the statement means; false for an opcode that is not known.
    pub(super) fn instruction(&mut self, parts: &[&str], operands: &[Operand]) -> Result<bool> {
        let none = References::default();
        match parts {
            // The target is put in when all statements have their places.
            ["bra"] | ["bra", "uni"] => self.emit(Code::Bra, [NONE; 4], self.statement as u32, none),
            ["ret"] | ["ret", "uni"] | ["exit"] => self.emit(Code::Ret, [NONE; 4], 0, none),
            ["bar", "sync"] | ["barrier", "sync"] | ["barrier", "sync", "aligned"] => {
                if !matches!(operands, [Operand::Number(0)]) {
                    return self.error("only barrier 0 of all threads is known");
                }
                self.emit(Code::Barrier, [NONE; 4], 0, none);
            }
            ["bar" | "barrier", "warp", "sync"] => {}
            ["membar", "cta"] => self.emit(Code::Fence, [NONE; 4], 0, none),
            ["membar", "gl" | "sys"] => self.emit(Code::Fence, [NONE; 4], 1, none),
            ["fence", "sc" | "acq_rel", "cta"] => self.emit(Code::Fence, [NONE; 4], 0, none),
            ["fence", "sc" | "acq_rel", "gpu" | "sys"] => self.emit(Code::Fence, [NONE; 4], 1, none),
            ["mov", kind] => return self.moves(kind, operands),
            ["cvta", "to", "global" | "shared" | "local", "u64"]
            | ["cvta", "global" | "shared" | "local", "u64"] => {
                self.plain(Code::Mov64, operands, 8, &[8], 0)?;
            }
            ["setp", rest @ ..] => return self.setp(rest, operands),
            ["selp", kind] => return self.selp(kind, operands),
            [name @ ("and" | "or" | "xor" | "not"), "pred"] => {
                let d = self.predicate(self.name(operands.first())?)?;
                let a = self.predicate_source(operands.get(1))?;
                let b = if *name == "not" { 0 } else { self.predicate_source(operands.get(2))? };
                let code = match *name {
                    "and" => Code::AndPred,
                    "or" => Code::OrPred,
                    "xor" => Code::XorPred,
                    _ => Code::NotPred,
                };
                self.emit(code, [d, a, b, NONE], 0, none);
            }
            ["ld" | "ldu" | "st", ..] => return self.memory(parts, operands),
            ["atom" | "red", ..] => return self.atomic(parts, operands),
            ["shfl", "sync", mode, "b32"] => return self.shuffle(mode, operands),
            ["vote", "sync", mode, "pred" | "b32"] => return self.vote(mode, operands),
            ["activemask", "b32"] => {
                let fields = [self.destination(operands.first(), 4)?, NONE, NONE, NONE];
                self.emit(Code::ActiveMask, fields, 0, References::of(fields, "w---"));
            }
            ["cvt", rest @ ..] => return self.convert(rest, operands),
            _ => return self.arithmetic(parts, operands),
        }
        Ok(true)
    }

    fn moves(&mut self, kind: &str, operands: &[Operand]) -> Result<bool> {
        let [to, from] = operands else { return Ok(false) };
        let Some(kind) = Type::named(kind) else { return Ok(false) };
        let (whole, half) = (kind.bytes(), kind.bytes() / 2);
        match (to, from) {
            (_, Operand::Vector(halves)) if halves.len() == 2 && whole >= 4 => {
                let code = if whole == 8 { Code::Pack64 } else { Code::Pack32 };
                let d = self.destination(Some(to), whole)?;
                let (a, b) = (self.source(&halves[0], half)?, self.source(&halves[1], half)?);
                let fields = [d, a, b, NONE];
                self.emit(code, fields, 0, References::of(fields, "wrr-"));
            }
            (Operand::Vector(halves), _) if halves.len() == 2 && whole >= 4 => {
                let code = if whole == 8 { Code::Unpack64 } else { Code::Unpack32 };
                let a = self.source(from, whole)?;
                let mut part = |part: &Operand| match part {
                    Operand::Name(name) if name == "_" => self.virtual_register(1),
                    part => self.destination(Some(part), half),
                };
                let fields = [part(&halves[0])?, a, part(&halves[1])?, NONE];
                self.emit(code, fields, 0, References::of(fields, "wrw-"));
            }
            (_, Operand::Number(bits)) if kind == Type::Pred => {
                let d = self.predicate(self.name(Some(to))?)?;
                let fields = [d, self.constant(*bits, 1)?, self.constant(0, 1)?, NONE];
                self.emit(Code::SetpU32, fields, Compare::Ne as u32, References::of(fields, "-rr-"));
            }
            _ if kind == Type::Pred => {
                let d = self.predicate(self.name(Some(to))?)?;
                let a = self.predicate_source(Some(from))?;
                self.emit(Code::MovPred, [d, a, NONE, NONE], 0, References::default());
            }
            _ => {
                let code = if whole == 8 { Code::Mov64 } else { Code::Mov32 };
                self.plain(code, operands, whole, &[whole], 0)?;
            }
        }
        Ok(true)
    }

    fn selp(&mut self, kind: &str, operands: &[Operand]) -> Result<bool> {
        let (Some(kind), [to, a, b, c]) = (Type::named(kind), operands) else { return Ok(false) };
        let bytes = kind.bytes();
        let d = self.destination(Some(to), bytes)?;
        let fields = [d, self.source(a, bytes)?, self.source(b, bytes)?, self.predicate_source(Some(c))?];
        let code = if bytes == 8 { Code::Selp64 } else { Code::Selp32 };
        self.emit(code, fields, 0, References::of(fields, "wrr-"));
        Ok(true)
    }

    fn setp(&mut self, parts: &[&str], operands: &[Operand]) -> Result<bool> {
        let (name, combine, kind) = match parts {
            [name, kind] => (*name, 0, *kind),
            [name, "and", kind] => (*name, 1, *kind),
            [name, "or", kind] => (*name, 2, *kind),
            [name, "xor", kind] => (*name, 3, *kind),
            _ => return Ok(false),
        };
        let known = COMPARES.iter().find(|(known, _)| *known == name);
        let (Some(kind), Some(&(_, compare))) = (Type::named(kind), known) else { return Ok(false) };
        let code = match kind {
            Type::S32 => Code::SetpS32,
            Type::U32 => Code::SetpU32,
            Type::S16 => Code::SetpS16,
            Type::U16 => Code::SetpU16,
            Type::S64 => Code::SetpS64,
            Type::U64 => Code::SetpU64,
            Type::F32 => Code::SetpF32,
            Type::F64 => Code::SetpF64,
            _ => return Ok(false),
        };
        let signed_only = ["lo", "ls", "hi", "hs"].contains(&name) && kind.signed();
        let float_only = compare as u32 > Compare::Ge as u32 && !matches!(kind, Type::F32 | Type::F64);
        let expected = if combine > 0 { 4 } else { 3 };
        if signed_only || float_only || operands.len() != expected {
            return Ok(false);
        }
        let d = self.predicate(self.name(operands.first())?)?;
        let (a, b) = (self.source(&operands[1], kind.bytes())?, self.source(&operands[2], kind.bytes())?);
        let c = if combine > 0 { self.predicate_source(operands.get(3))? } else { NONE };
        // What is the other way round with its operands exchanged needs no loop of its own.
        let (compare, a, b) = match compare {
            Compare::Gt => (Compare::Lt, b, a),
            Compare::Le => (Compare::Ge, b, a),
            Compare::Gtu => (Compare::Ltu, b, a),
            Compare::Leu => (Compare::Geu, b, a),
            _ => (compare, a, b),
        };
        let fields = [d, a, b, c];
        self.emit(code, fields, compare as u32 | combine << 8, References::of(fields, "-rr-"));
        Ok(true)
    }

    fn shuffle(&mut self, mode: &str, operands: &[Operand]) -> Result<bool> {
        let mode = ["idx", "up", "down", "bfly"].iter().position(|known| *known == mode);
        let (Some(mode), [to, sources @ ..]) = (mode, operands) else { return Ok(false) };
        let ([_, _, _, _], Operand::Name(d) | Operand::Pair(d, _)) = (sources, to) else { return Ok(false) };
        let d = self.destination(Some(&Operand::Name(d.clone())), 4)?;
        let found = match to {
            Operand::Pair(_, found) => self.predicate(found)?,
            _ => NONE,
        };
        let mut vector = [NONE; 4];
        let mut references = References::of([d, NONE, NONE, NONE], "w---");
        for (slot, operand) in vector.iter_mut().zip(sources) {
            *slot = self.source(operand, 4)?;
            references.reads.push(*slot);
        }
        let c = self.vector(vector)?;
        self.emit(Code::Shfl, [d, NONE, NONE, c], mode as u32 | u32::from(found) << 16, references);
        Ok(true)
    }

    fn vote(&mut self, mode: &str, operands: &[Operand]) -> Result<bool> {
        let mode = ["all", "any", "uni", "ballot"].iter().position(|known| *known == mode);
        let (Some(mode), [to, from, members]) = (mode, operands) else { return Ok(false) };
        let (a, b) = (self.predicate_source(Some(from))?, self.source(members, 4)?);
        let d = match mode {
            3 => self.destination(Some(to), 4)?,
            _ => self.predicate(self.name(Some(to))?)?,
        };
        let fields = [d, a, b, NONE];
        let how = if mode == 3 { "w-r-" } else { "--r-" };
        self.emit(Code::Vote, fields, mode as u32, References::of(fields, how));
        Ok(true)
    }
}

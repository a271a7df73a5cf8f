//! Conversions.

use super::{Lowering, References};
use crate::code::{Code, Conversion, NONE, Rounding, Type};
use crate::error::Result;
use crate::parse::Operand;

impl Lowering<'_> {
    /// `parts`: modifiers, destination type, source type.
    pub(super) fn convert(&mut self, parts: &[&str], operands: &[Operand]) -> Result<bool> {
        let ([modifiers @ .., to, from], [d, a]) = (parts, operands) else { return Ok(false) };
        let (Some(to), Some(from)) = (Type::named(to), Type::named(from)) else { return Ok(false) };
        if [to, from].contains(&Type::Pred) {
            return Ok(false);
        }
        let (mut rounding, mut integral, mut saturate, mut flush) = (None, false, false, false);
        for modifier in modifiers {
            match *modifier {
                "rn" | "rni" => rounding = Some(Rounding::Nearest),
                "rz" | "rzi" => rounding = Some(Rounding::Zero),
                "rm" | "rmi" => rounding = Some(Rounding::Down),
                "rp" | "rpi" => rounding = Some(Rounding::Up),
                "sat" => saturate = true,
                "ftz" => flush = true,
                _ => return Ok(false),
            }
            integral |= modifier.ends_with('i');
        }
        let float = |kind: Type| matches!(kind, Type::F32 | Type::F64);
        if float(from) && !float(to) && !integral {
            return Ok(false);
        }
        let rounding = rounding.unwrap_or(Rounding::Nearest);
        let simple = !saturate && !flush && rounding == Rounding::Nearest && !integral;
        let code = match (to, from) {
            _ if !simple => Code::Cvt,
            (Type::S64 | Type::U64, Type::S32) => Code::CvtS64S32,
            (Type::U64 | Type::S64, Type::U32) => Code::CvtU64U32,
            (Type::U32 | Type::S32, Type::U64 | Type::S64) => Code::CvtLow32,
            (Type::U16 | Type::S16, Type::U32 | Type::S32 | Type::U64 | Type::S64) => Code::CvtU16,
            (Type::F32, Type::S32) => Code::CvtF32S32,
            (Type::F64, Type::F32) => Code::CvtF64F32,
            _ => Code::Cvt,
        };
        let a = self.narrow_source(a, from.bytes())?;
        // A register wider than the destination type is filled as its sign says.
        let r = self.register(self.name(Some(d))?)?;
        let bits = self.declared_bits(self.name(Some(d))?)?;
        if bits < to.bytes() * 8 {
            return self.error(format!("{d:?} is narrower than the type"));
        }
        let wide = bits == 64 && to.bytes() < 8;
        let target = if wide { self.virtual_register(1)? } else { r };
        let conversion = Conversion { to, from, rounding, integral, saturate, flush };
        let fields = [target, a, NONE, NONE];
        self.emit(code, fields, conversion.pack(), References::of(fields, "wr--"));
        if wide {
            if to.bytes() < 4 || float(to) {
                return Ok(false);
            }
            let fields = [r, target, NONE, NONE];
            let code = if to.signed() { Code::CvtS64S32 } else { Code::CvtU64U32 };
            self.emit(code, fields, 0, References::of(fields, "wr--"));
        }
        Ok(true)
    }
}

//! Arithmetic: a table of opcodes as they are written, so that a modifier that is not known is an error.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Lowering, References};
use crate::code::{Code, NONE};
use crate::error::Result;
use crate::parse::Operand;

/// Opcodes, what they are here, the widths of destination and sources (h, w, d: 16, 32, 64 bits), and `imm`.
type Row = (&'static str, Code, &'static str, u32);

#[rustfmt::skip]
const TABLE: &[Row] = {
    use Code::*;
    &[
        ("add.s32 add.u32", Add32, "www", 0), ("sub.s32 sub.u32", Sub32, "www", 0),
        ("mul.lo.s32 mul.lo.u32", Mul32, "www", 0), ("mad.lo.s32 mad.lo.u32", Mad32, "wwww", 0),
        ("mul.hi.s32", MulHiS32, "www", 0), ("mul.hi.u32", MulHiU32, "www", 0),
        ("min.s32", MinS32, "www", 0), ("min.u32", MinU32, "www", 0), ("max.s32", MaxS32, "www", 0), ("max.u32", MaxU32, "www", 0),
        ("div.s32", DivS32, "www", 0), ("div.u32", DivU32, "www", 0), ("rem.s32", RemS32, "www", 0), ("rem.u32", RemU32, "www", 0),
        ("and.b32", And32, "www", 0), ("or.b32", Or32, "www", 0), ("xor.b32", Xor32, "www", 0), ("not.b32", Not32, "ww", 0),
        ("neg.s32", Neg32, "ww", 0), ("abs.s32", Abs32, "ww", 0),
        ("shl.b32", Shl32, "www", 0), ("shr.u32 shr.b32", ShrU32, "www", 0), ("shr.s32", ShrS32, "www", 0),
        ("bfe.u32", BfeU32, "wwww", 0), ("bfe.s32", BfeS32, "wwww", 0), ("prmt.b32", Prmt, "wwww", 0),
        ("shf.l.clamp.b32", ShfL, "wwww", 0), ("shf.l.wrap.b32", ShfL, "wwww", 1),
        ("shf.r.clamp.b32", ShfR, "wwww", 0), ("shf.r.wrap.b32", ShfR, "wwww", 1),
        ("popc.b32", Popc32, "ww", 0), ("clz.b32", Clz32, "ww", 0), ("brev.b32", Brev32, "ww", 0),
        ("bfind.u32", BfindU32, "ww", 0), ("bfind.shiftamt.u32", BfindU32, "ww", 1),
        ("dp4a.s32.s32", Dp4aS32, "wwww", 0), ("dp4a.u32.u32", Dp4aU32, "wwww", 0),

        ("add.s16 add.u16", Add16, "hhh", 0), ("sub.s16 sub.u16", Sub16, "hhh", 0),
        ("mul.lo.s16 mul.lo.u16", Mul16, "hhh", 0), ("mad.lo.s16 mad.lo.u16", Mad16, "hhhh", 0),
        ("min.s16", MinS16, "hhh", 0), ("min.u16", MinU16, "hhh", 0), ("max.s16", MaxS16, "hhh", 0), ("max.u16", MaxU16, "hhh", 0),
        ("and.b16", And32, "hhh", 0), ("or.b16", Or32, "hhh", 0), ("xor.b16", Xor32, "hhh", 0), ("not.b16", Not16, "hh", 0),
        ("neg.s16", Neg16, "hh", 0),
        ("shl.b16", Shl16, "hhw", 0), ("shr.u16 shr.b16", ShrU16, "hhw", 0), ("shr.s16", ShrS16, "hhw", 0),
        ("mul.wide.s16", MulWideS16, "whh", 0), ("mul.wide.u16", MulWideU16, "whh", 0),

        ("mul.wide.s32", MulWideS, "dww", 0), ("mul.wide.u32", MulWideU, "dww", 0),
        ("mad.wide.s32", MadWideS, "dwwd", 0), ("mad.wide.u32", MadWideU, "dwwd", 0),
        ("add.s64 add.u64", Add64, "ddd", 0), ("sub.s64 sub.u64", Sub64, "ddd", 0),
        ("mul.lo.s64 mul.lo.u64", Mul64, "ddd", 0), ("mad.lo.s64 mad.lo.u64", Mad64, "dddd", 0),
        ("mul.hi.s64", MulHiS64, "ddd", 0), ("mul.hi.u64", MulHiU64, "ddd", 0),
        ("min.s64", MinS64, "ddd", 0), ("min.u64", MinU64, "ddd", 0), ("max.s64", MaxS64, "ddd", 0), ("max.u64", MaxU64, "ddd", 0),
        ("div.s64", DivS64, "ddd", 0), ("div.u64", DivU64, "ddd", 0), ("rem.s64", RemS64, "ddd", 0), ("rem.u64", RemU64, "ddd", 0),
        ("and.b64", And64, "ddd", 0), ("or.b64", Or64, "ddd", 0), ("xor.b64", Xor64, "ddd", 0), ("not.b64", Not64, "dd", 0),
        ("neg.s64", Neg64, "dd", 0), ("abs.s64", Abs64, "dd", 0),
        ("shl.b64", Shl64, "ddw", 0), ("shr.u64 shr.b64", ShrU64, "ddw", 0), ("shr.s64", ShrS64, "ddw", 0),
        ("popc.b64", Popc64, "wd", 0), ("clz.b64", Clz64, "wd", 0), ("brev.b64", Brev64, "dd", 0),

        ("add.f32 add.rn.f32", FAdd, "www", 0), ("sub.f32 sub.rn.f32", FSub, "www", 0), ("mul.f32 mul.rn.f32", FMul, "www", 0),
        ("fma.rn.f32 mad.rn.f32", FFma, "wwww", 0), ("fma.rm.f32", FFmaDown, "wwww", 0),
        ("div.rn.f32 div.full.f32 div.approx.f32", FDiv, "www", 0),
        ("min.f32", FMin, "www", 0), ("max.f32", FMax, "www", 0), ("neg.f32", FNeg, "ww", 0), ("abs.f32", FAbs, "ww", 0),
        ("copysign.f32", FCopySign, "www", 0),
        ("rcp.rn.f32 rcp.approx.f32", FRcp, "ww", 0), ("rcp.approx.ftz.f32", FRcp, "ww", 1),
        ("sqrt.rn.f32 sqrt.approx.f32", FSqrt, "ww", 0), ("sqrt.approx.ftz.f32", FSqrtFlush, "ww", 1),
        ("rsqrt.approx.f32", FRsqrt, "ww", 0), ("rsqrt.approx.ftz.f32", FRsqrt, "ww", 1),
        ("ex2.approx.f32", FEx2, "ww", 0), ("ex2.approx.ftz.f32", FEx2, "ww", 1),
        ("lg2.approx.f32", FLg2, "ww", 0), ("lg2.approx.ftz.f32", FLg2, "ww", 1),

        ("add.f64 add.rn.f64", DAdd, "ddd", 0), ("sub.f64 sub.rn.f64", DSub, "ddd", 0), ("mul.f64 mul.rn.f64", DMul, "ddd", 0),
        ("fma.rn.f64 mad.rn.f64", DFma, "dddd", 0), ("div.rn.f64", DDiv, "ddd", 0), ("sqrt.rn.f64", DSqrt, "dd", 0),
        ("rcp.rn.f64", DRcp, "dd", 0),
        ("min.f64", DMin, "ddd", 0), ("max.f64", DMax, "ddd", 0), ("neg.f64", DNeg, "dd", 0), ("abs.f64", DAbs, "dd", 0),
    ]
};

static ROWS: LazyLock<HashMap<&str, &Row>> =
    LazyLock::new(|| TABLE.iter().flat_map(|row| row.0.split(' ').map(move |name| (name, row))).collect());

impl Lowering<'_> {
    pub(super) fn arithmetic(&mut self, parts: &[&str], operands: &[Operand]) -> Result<bool> {
        let name = parts.join(".");
        match name.as_str() {
            "bfi.b32" => return self.insert(operands),
            "lop3.b32" => {
                let Some(Operand::Number(table)) = operands.get(4) else { return Ok(false) };
                self.plain(Code::Lop3, &operands[..4], 4, &[4; 3], *table as u32)?;
                return Ok(true);
            }
            _ => {}
        }
        let Some(&&(_, code, widths, imm)) = ROWS.get(name.as_str()) else { return Ok(false) };
        let bytes: Vec<u32> = widths
            .bytes()
            .map(|width| match width {
                b'h' => 2,
                b'w' => 4,
                _ => 8,
            })
            .collect();
        self.plain(code, operands, bytes[0], &bytes[1..], imm)?;
        Ok(true)
    }

    /// `bfi` has four sources.
    fn insert(&mut self, operands: &[Operand]) -> Result<bool> {
        let [to, sources @ ..] = operands else { return Ok(false) };
        if sources.len() != 4 {
            return Ok(false);
        }
        let d = self.destination(Some(to), 4)?;
        let mut references = References::of([d, NONE, NONE, NONE], "w---");
        let mut vector = [NONE; 4];
        for (slot, operand) in vector.iter_mut().zip(sources) {
            *slot = self.source(operand, 4)?;
            references.reads.push(*slot);
        }
        let c = self.vector(vector)?;
        self.emit(Code::Bfi32, [d, NONE, NONE, c], 0, references);
        Ok(true)
    }
}

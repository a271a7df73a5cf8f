//! What the instructions of inner loops do with the lanes of a warp.

use super::Runner;
use super::integer::{extract, logic};
use super::lanes::{Frame, LANE};
use crate::code::{COMPARE_OF, Code, Compare, Inst, holds};
use crate::float::{self, bits32, bits64};

impl Runner<'_> {
    /// Executes what is neither a branch nor a barrier; false when it trapped. `FMA`: the host has fused multiply-adds.
    /// `SOME`: not all lanes take part.
    ///
    /// # Safety
    /// Slots and predicates of `inst` lie within the warp's.
    #[inline(always)]
    #[rustfmt::skip]
    pub(super) unsafe fn execute<const FMA: bool, const SOME: bool>(
        &mut self,
        warp: usize,
        f: Frame,
        i: &Inst,
        pc: u32,
    ) -> bool {
        use Code::*;
        // SAFETY: the caller's contract.
        unsafe {
            match i.code {
                FFma if FMA => floats!(f, i, |a, b, c| bits32(a.mul_add(b, c))),
                FFma => f.put::<SOME>(i.d, &float::fma_lanes(&f.get(i.a), &f.get(i.b), &f.get(i.c))),
                FAdd => floats!(f, i, |a, b| bits32(a + b)),
                FSub => floats!(f, i, |a, b| bits32(a - b)),
                FMul => floats!(f, i, |a, b| bits32(a * b)),
                FDiv => floats!(f, i, |a, b| bits32(a / b)),
                FMin => floats!(f, i, |a, b| float::min32(a, b)),
                FMax => floats!(f, i, |a, b| float::max32(a, b)),
                FNeg => unary!(f, i, |a| a ^ 0x8000_0000),
                FAbs => unary!(f, i, |a| a & 0x7fff_ffff),
                FSqrt => floats!(f, i, |a| bits32(a.sqrt())),

                Mov32 | CvtLow32 => f.put::<SOME>(i.d, &f.get(i.a)),
                Mov64 => halves!(f, i, |a| a),
                Pack64 => {
                    let (low, high) = (f.get(i.a), f.get(i.b));
                    f.put::<SOME>(i.d, &low);
                    f.put::<SOME>(i.d + 1, &high);
                }
                Unpack64 => {
                    let (low, high) = (f.get(i.a), f.get(i.a + 1));
                    f.put::<SOME>(i.d, &low);
                    f.put::<SOME>(i.b, &high);
                }
                MovPred => f.set_predicate(i.d, f.predicate(i.a)),

                Add32 => binary!(f, i, |a, b| a.wrapping_add(b)),
                Sub32 => binary!(f, i, |a, b| a.wrapping_sub(b)),
                Mul32 => binary!(f, i, |a, b| a.wrapping_mul(b)),
                Mad32 => ternary!(f, i, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
                MinS32 => binary!(f, i, |a, b| (a as i32).min(b as i32) as u32),
                MinU32 => binary!(f, i, |a, b| a.min(b)),
                MaxS32 => binary!(f, i, |a, b| (a as i32).max(b as i32) as u32),
                MaxU32 => binary!(f, i, |a, b| a.max(b)),
                And32 => binary!(f, i, |a, b| a & b),
                Or32 => binary!(f, i, |a, b| a | b),
                Xor32 => binary!(f, i, |a, b| a ^ b),
                Not32 => unary!(f, i, |a| !a),
                Neg32 => unary!(f, i, |a| a.wrapping_neg()),
                Abs32 => unary!(f, i, |a| (a as i32).wrapping_abs() as u32),
                Shl32 => binary!(f, i, |a, b| if b < 32 { a << (b & 31) } else { 0 }),
                ShrU32 => binary!(f, i, |a, b| if b < 32 { a >> (b & 31) } else { 0 }),
                ShrS32 => binary!(f, i, |a, b| ((a as i32) >> b.min(31)) as u32),
                BfeU32 => ternary!(f, i, |a, b, c| extract(a, b, c)),
                Lop3 => ternary!(f, i, |a, b, c| logic(i.imm, a, b, c)),
                Dp4aS32 => ternary!(f, i, |a, b, c| {
                    let (x, y) = (a.to_le_bytes(), b.to_le_bytes());
                    let of = |k: usize| (i32::from(x[k] as i8) * i32::from(y[k] as i8)) as u32;
                    c.wrapping_add(of(0)).wrapping_add(of(1)).wrapping_add(of(2)).wrapping_add(of(3))
                }),
                Dp4aU32 => ternary!(f, i, |a, b, c| {
                    let (x, y) = (a.to_le_bytes(), b.to_le_bytes());
                    let of = |k: usize| u32::from(x[k]) * u32::from(y[k]);
                    c.wrapping_add(of(0)).wrapping_add(of(1)).wrapping_add(of(2)).wrapping_add(of(3))
                }),

                // Registers of 16 bits: whatever the upper half holds, results have it zero.
                Add16 => binary!(f, i, |a, b| a.wrapping_add(b) & 0xffff),
                Sub16 => binary!(f, i, |a, b| a.wrapping_sub(b) & 0xffff),
                Mul16 => binary!(f, i, |a, b| a.wrapping_mul(b) & 0xffff),
                Not16 => unary!(f, i, |a| !a & 0xffff),
                Shl16 => binary!(f, i, |a, b| if b < 16 { a << (b & 15) & 0xffff } else { 0 }),
                ShrU16 => binary!(f, i, |a, b| if b < 16 { (a & 0xffff) >> (b & 15) } else { 0 }),
                ShrS16 => binary!(f, i, |a, b| u32::from(((a as i16) >> b.min(15)) as u16)),

                MulWideS => {
                    let (a, b) = (f.get(i.a), f.get(i.b));
                    f.put64::<SOME>(i.d, &each!(|l| (i64::from(a[l] as i32) * i64::from(b[l] as i32)) as u64));
                }
                MulWideU => {
                    let (a, b) = (f.get(i.a), f.get(i.b));
                    f.put64::<SOME>(i.d, &each!(|l| u64::from(a[l]) * u64::from(b[l])));
                }
                MadWideS => {
                    let (a, b, c) = (f.get(i.a), f.get(i.b), f.get64(i.c));
                    let product = each!(|l| (i64::from(a[l] as i32) * i64::from(b[l] as i32)) as u64);
                    f.put64::<SOME>(i.d, &each!(|l| c[l].wrapping_add(product[l])));
                }
                MadWideU => {
                    let (a, b, c) = (f.get(i.a), f.get(i.b), f.get64(i.c));
                    f.put64::<SOME>(i.d, &each!(|l| (u64::from(a[l]) * u64::from(b[l])).wrapping_add(c[l])));
                }
                Add64 => wides!(f, i, |a, b| a.wrapping_add(b)),
                Sub64 => wides!(f, i, |a, b| a.wrapping_sub(b)),
                Mul64 => wides!(f, i, |a, b| a.wrapping_mul(b)),
                Mad64 => wides!(f, i, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
                And64 => halves!(f, i, |a, b| a & b),
                Or64 => halves!(f, i, |a, b| a | b),
                Xor64 => halves!(f, i, |a, b| a ^ b),
                Not64 => halves!(f, i, |a| !a),
                Shl64 => shift!(f, i, |a, s| if s < 64 { a << (s & 63) } else { 0 }),
                ShrU64 => shift!(f, i, |a, s| if s < 64 { a >> (s & 63) } else { 0 }),
                ShrS64 => shift!(f, i, |a, s| ((a as i64) >> s.min(63)) as u64),

                DAdd => doubles!(f, i, |a, b| bits64(a + b)),
                DMul => doubles!(f, i, |a, b| bits64(a * b)),
                DFma => doubles!(f, i, |a, b, c| bits64(a.mul_add(b, c))),

                CvtS64S32 => {
                    let a = f.get(i.a);
                    f.put::<SOME>(i.d, &a);
                    f.put::<SOME>(i.d + 1, &each!(|l| ((a[l] as i32) >> 31) as u32));
                }
                CvtU64U32 => {
                    let a = f.get(i.a);
                    f.put::<SOME>(i.d, &a);
                    f.put::<SOME>(i.d + 1, &[0; 32]);
                }
                CvtU16 => unary!(f, i, |a| a & 0xffff),
                CvtF32S32 => unary!(f, i, |a| (a as i32 as f32).to_bits()),
                CvtF64F32 => {
                    let a = f.get(i.a);
                    f.put64::<SOME>(i.d, &each!(|l| bits64(f64::from(f32::from_bits(a[l])))));
                }

                SetpS32 => compare!(f, i, get, |a, b| (a as i32, b as i32)),
                SetpU32 => compare!(f, i, get, |a, b| (a, b)),
                SetpS16 => compare!(f, i, get, |a, b| (a as i16, b as i16)),
                SetpU16 => compare!(f, i, get, |a, b| (a as u16, b as u16)),
                SetpS64 => compare!(f, i, get64, |a, b| (a as i64, b as i64)),
                SetpU64 => compare!(f, i, get64, |a, b| (a, b)),
                SetpF32 => compare!(f, i, get, |a, b| (f32::from_bits(a), f32::from_bits(b))),
                Selp32 => {
                    let (a, b, c) = (f.get(i.a), f.get(i.b), f.predicate(i.c));
                    f.put::<SOME>(i.d, &each!(|l| if c & LANE[l] != 0 { a[l] } else { b[l] }));
                }
                Selp64 => {
                    let (a, b, c) = (f.get64(i.a), f.get64(i.b), f.predicate(i.c));
                    f.put64::<SOME>(i.d, &each!(|l| if c & LANE[l] != 0 { a[l] } else { b[l] }));
                }
                AndPred => f.set_predicate(i.d, f.predicate(i.a) & f.predicate(i.b)),
                OrPred => f.set_predicate(i.d, f.predicate(i.a) | f.predicate(i.b)),
                XorPred => f.set_predicate(i.d, f.predicate(i.a) ^ f.predicate(i.b)),
                NotPred => f.set_predicate(i.d, !f.predicate(i.a)),

                LdShared | StShared => return self.shared_access::<SOME>(warp, f, i, pc),
                LdGlobal | LdGlobalReadOnly | StGlobal => return self.global_access::<SOME>(warp, f, i, pc),
                _ => return self.rare(warp, f, i, pc),
            }
        }
        true
    }
}

//! What the instructions do that are seldom in inner loops: compiled once, for any host.

use super::Runner;
use super::convert::convert;
use super::integer::{divide, extract_signed, insert, permute, remainder};
use super::lanes::{Frame, LANE};
use crate::code::{COMPARE_OF, Code, Compare, Conversion, Inst, holds};
use crate::float::{self, bits32, bits64};

impl Runner<'_> {
    /// What is not in inner loops.
    ///
    /// # Safety
    /// As [`Runner::execute`].
    #[inline(never)]
    #[rustfmt::skip]
    pub(super) unsafe fn rare(&mut self, warp: usize, f: Frame, i: &Inst, pc: u32) -> bool {
        use Code::*;
        const SOME: bool = true;
        let flush = |x: f32| if i.imm != 0 { float::flush(x) } else { x };
        // SAFETY: the caller's contract.
        unsafe {
            match i.code {
                Pack32 => binary!(f, i, |a, b| a & 0xffff | b << 16),
                Unpack32 => {
                    let a = f.get(i.a);
                    f.put::<SOME>(i.d, &each!(|l| a[l] & 0xffff));
                    f.put::<SOME>(i.b, &each!(|l| a[l] >> 16));
                }
                MulHiS32 => binary!(f, i, |a, b| ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32),
                MulHiU32 => binary!(f, i, |a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32),
                DivS32 => binary!(f, i, |a, b| divide(i64::from(a as i32), i64::from(b as i32)) as u32),
                DivU32 => binary!(f, i, |a, b| a.checked_div(b).unwrap_or(u32::MAX)),
                RemS32 => binary!(f, i, |a, b| remainder(i64::from(a as i32), i64::from(b as i32)) as u32),
                RemU32 => binary!(f, i, |a, b| a.checked_rem(b).unwrap_or(a)),
                BfeS32 => ternary!(f, i, |a, b, c| extract_signed(a, b, c)),
                Bfi32 => {
                    let [a, b, c, d] = self.setting.kernel.vectors[usize::from(i.c)].map(|r| f.get(r));
                    f.put::<SOME>(i.d, &each!(|l| insert(a[l], b[l], c[l], d[l])));
                }
                Prmt => ternary!(f, i, |a, b, c| permute(a, b, c)),
                ShfL => ternary!(f, i, |a, b, c| {
                    let by = if i.imm != 0 { c & 31 } else { c.min(32) };
                    (((u64::from(b) << 32 | u64::from(a)) << by) >> 32) as u32
                }),
                ShfR => ternary!(f, i, |a, b, c| {
                    let by = if i.imm != 0 { c & 31 } else { c.min(32) };
                    ((u64::from(b) << 32 | u64::from(a)) >> by) as u32
                }),
                Popc32 => unary!(f, i, |a| a.count_ones()),
                Clz32 => unary!(f, i, |a| a.leading_zeros()),
                Brev32 => unary!(f, i, |a| a.reverse_bits()),
                BfindU32 => unary!(f, i, |a| {
                    let from_top = a.leading_zeros();
                    if a == 0 { u32::MAX } else if i.imm != 0 { from_top } else { 31 - from_top }
                }),
                Mad16 => ternary!(f, i, |a, b, c| a.wrapping_mul(b).wrapping_add(c) & 0xffff),
                MinS16 => binary!(f, i, |a, b| u32::from((a as i16).min(b as i16) as u16)),
                MinU16 => binary!(f, i, |a, b| u32::from((a as u16).min(b as u16))),
                MaxS16 => binary!(f, i, |a, b| u32::from((a as i16).max(b as i16) as u16)),
                MaxU16 => binary!(f, i, |a, b| u32::from((a as u16).max(b as u16))),
                Neg16 => unary!(f, i, |a| a.wrapping_neg() & 0xffff),
                MulWideS16 => binary!(f, i, |a, b| (i32::from(a as i16) * i32::from(b as i16)) as u32),
                MulWideU16 => binary!(f, i, |a, b| u32::from(a as u16) * u32::from(b as u16)),
                MulHiS64 => wides!(f, i, |a, b| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64),
                MulHiU64 => wides!(f, i, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64),
                MinS64 => wides!(f, i, |a, b| (a as i64).min(b as i64) as u64),
                MinU64 => wides!(f, i, |a, b| a.min(b)),
                MaxS64 => wides!(f, i, |a, b| (a as i64).max(b as i64) as u64),
                MaxU64 => wides!(f, i, |a, b| a.max(b)),
                Neg64 => wides!(f, i, |a| a.wrapping_neg()),
                Abs64 => wides!(f, i, |a| (a as i64).wrapping_abs() as u64),
                DivS64 => wides!(f, i, |a, b| divide(a as i64, b as i64) as u64),
                DivU64 => wides!(f, i, |a, b| a.checked_div(b).unwrap_or(u64::MAX)),
                RemS64 => wides!(f, i, |a, b| remainder(a as i64, b as i64) as u64),
                RemU64 => wides!(f, i, |a, b| a.checked_rem(b).unwrap_or(a)),
                Popc64 => {
                    let a = f.get64(i.a);
                    f.put::<SOME>(i.d, &each!(|l| a[l].count_ones()));
                }
                Clz64 => {
                    let a = f.get64(i.a);
                    f.put::<SOME>(i.d, &each!(|l| a[l].leading_zeros()));
                }
                Brev64 => wides!(f, i, |a| a.reverse_bits()),
                DSub => doubles!(f, i, |a, b| bits64(a - b)),
                DDiv => doubles!(f, i, |a, b| bits64(a / b)),
                DMin => doubles!(f, i, |a, b| float::min64(a, b)),
                DMax => doubles!(f, i, |a, b| float::max64(a, b)),
                DNeg => wides!(f, i, |a| a ^ 1 << 63),
                DAbs => wides!(f, i, |a| a & !(1 << 63)),
                DSqrt => doubles!(f, i, |a| bits64(a.sqrt())),
                DRcp => doubles!(f, i, |a| bits64(1.0 / a)),
                Cvt => {
                    let conversion = Conversion::unpack(i.imm);
                    let a: [u64; 32] = match conversion.from.bytes() {
                        8 => f.get64(i.a),
                        _ => f.get(i.a).map(u64::from),
                    };
                    let y = each!(|l| convert(conversion, a[l]));
                    match conversion.to.bytes() {
                        8 => f.put64::<SOME>(i.d, &y),
                        _ => f.put::<SOME>(i.d, &each!(|l| y[l] as u32)),
                    }
                }
                SetpF64 => compare!(f, i, get64, |a, b| (f64::from_bits(a), f64::from_bits(b))),

                FRcp => floats!(f, i, |a| bits32(flush(1.0 / flush(a)))),
                FRsqrt => floats!(f, i, |a| bits32((1.0 / f64::from(flush(a)).sqrt()) as f32)),
                FSqrtFlush => floats!(f, i, |a| bits32(flush(a).sqrt())),
                FEx2 => floats!(f, i, |a| bits32(flush(f64::from(a).exp2() as f32))),
                FLg2 => floats!(f, i, |a| bits32(f64::from(flush(a)).log2() as f32)),
                FFmaDown => floats!(f, i, |a, b, c| bits32(float::fma_down(a, b, c))),
                FCopySign => binary!(f, i, |a, b| a & 0x8000_0000 | b & 0x7fff_ffff),
                Fence => self.fence(warp, i.imm != 0),
                LdParam => return self.load_parameter(warp, f, i, pc),
                LdLocal | StLocal => return self.local_access(warp, f, i, pc),
                AtomGlobal | AtomShared => return self.atomic(warp, f, i, pc),
                Shfl => return self.shuffle(warp, f, i, pc),
                Vote => return self.vote(warp, f, i, pc),
                ActiveMask => f.put::<true>(i.d, &[f.mask; 32]),
                other => unreachable!("{other:?} is executed elsewhere"),
            }
        }
        true
    }
}

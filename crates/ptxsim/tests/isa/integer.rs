//! Integers of 16, 32 and 64 bits.

use crate::rows::{INTEGERS, Result::*, Row, check, pairs};

fn w(row: Row) -> [u32; 4] {
    row.map(|x| x as u32)
}

fn check_w(code: &str, expected: impl Fn(u32, u32, u32) -> u32) {
    check(code, W, &pairs(&INTEGERS), |row| {
        let [a, b, c, _] = w(row);
        u64::from(expected(a, b, c))
    });
}

fn check_d(code: &str, expected: impl Fn(u64, u64, u64) -> u64) {
    check(code, D, &pairs(&INTEGERS), |[a, b, c, _]| expected(a, b, c));
}

fn check_h(code: &str, expected: impl Fn(u16, u16, u16) -> u16) {
    check(code, H, &pairs(&INTEGERS), |[a, b, c, _]| u64::from(expected(a as u16, b as u16, c as u16)));
}

#[test]
fn sums_and_products_of_32_bits() {
    check_w("add.s32 %wd, %wa, %wb;", |a, b, _| a.wrapping_add(b));
    check_w("sub.s32 %wd, %wa, %wb;", |a, b, _| a.wrapping_sub(b));
    check_w("mul.lo.s32 %wd, %wa, %wb;", |a, b, _| a.wrapping_mul(b));
    check_w("mad.lo.s32 %wd, %wa, %wb, %wc;", |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    check_w("mul.hi.u32 %wd, %wa, %wb;", |a, b, _| ((u64::from(a) * u64::from(b)) >> 32) as u32);
    check_w("mul.hi.s32 %wd, %wa, %wb;", |a, b, _| {
        ((i64::from(a as i32) * i64::from(b as i32)) as u64 >> 32) as u32
    });
    check_w("neg.s32 %wd, %wa;", |a, _, _| 0u32.wrapping_sub(a));
    check_w("abs.s32 %wd, %wa;", |a, _, _| (a as i32).unsigned_abs());
    check_w("add.s32 %wd, %wa, -7;", |a, _, _| a.wrapping_sub(7));
}

#[test]
fn division() {
    let by_nonzero: Vec<Row> = pairs(&INTEGERS).into_iter().filter(|r| r[1] as u32 != 0).collect();
    check("div.u32 %wd, %wa, %wb;", W, &by_nonzero, |r| u64::from(w(r)[0] / w(r)[1]));
    check("rem.u32 %wd, %wa, %wb;", W, &by_nonzero, |r| u64::from(w(r)[0] % w(r)[1]));
    let signed = |r: Row| (w(r)[0] as i32, w(r)[1] as i32);
    check("div.s32 %wd, %wa, %wb;", W, &by_nonzero, |r| {
        u64::from(signed(r).0.wrapping_div(signed(r).1) as u32)
    });
    check("rem.s32 %wd, %wa, %wb;", W, &by_nonzero, |r| {
        u64::from(signed(r).0.wrapping_rem(signed(r).1) as u32)
    });
    check("div.u64 %d, %a, %b;", D, &by_nonzero, |[a, b, ..]| a / b);
    check("rem.u64 %d, %a, %b;", D, &by_nonzero, |[a, b, ..]| a % b);
    check("div.s64 %d, %a, %b;", D, &by_nonzero, |[a, b, ..]| (a as i64).wrapping_div(b as i64) as u64);
    check("rem.s64 %d, %a, %b;", D, &by_nonzero, |[a, b, ..]| (a as i64).wrapping_rem(b as i64) as u64);
}

#[test]
fn minima_maxima_and_logic() {
    check_w("min.s32 %wd, %wa, %wb;", |a, b, _| if (a as i32) < b as i32 { a } else { b });
    check_w("min.u32 %wd, %wa, %wb;", |a, b, _| if a < b { a } else { b });
    check_w("max.s32 %wd, %wa, %wb;", |a, b, _| if (a as i32) > b as i32 { a } else { b });
    check_w("max.u32 %wd, %wa, %wb;", |a, b, _| if a > b { a } else { b });
    check_d("min.s64 %d, %a, %b;", |a, b, _| if (a as i64) < b as i64 { a } else { b });
    check_d("max.u64 %d, %a, %b;", |a, b, _| if a > b { a } else { b });
    check_d("max.s64 %d, %a, %b;", |a, b, _| if a as i64 > b as i64 { a } else { b });
    check_d("min.u64 %d, %a, %b;", |a, b, _| if a < b { a } else { b });
    check_h("min.s16 %hd, %ha, %hb;", |a, b, _| (a as i16).min(b as i16) as u16);
    check_h("max.u16 %hd, %ha, %hb;", |a, b, _| a.max(b));
    check_h("max.s16 %hd, %ha, %hb;", |a, b, _| (a as i16).max(b as i16) as u16);
    check_h("min.u16 %hd, %ha, %hb;", |a, b, _| a.min(b));
    check_w("and.b32 %wd, %wa, %wb;", |a, b, _| a & b);
    check_w("or.b32 %wd, %wa, 255;", |a, _, _| a | 255);
    check_w("xor.b32 %wd, %wa, %wb;", |a, b, _| a ^ b);
    check_w("not.b32 %wd, %wa;", |a, _, _| !a);
    check_d("and.b64 %d, %a, %b;", |a, b, _| a & b);
    check_d("or.b64 %d, %a, %b;", |a, b, _| a | b);
    check_d("xor.b64 %d, %a, 0xF0F0F0F0F0F0F0F0;", |a, _, _| a ^ 0xf0f0_f0f0_f0f0_f0f0);
    check_d("not.b64 %d, %a;", |a, _, _| !a);
    check_h("and.b16 %hd, %ha, %hb;", |a, b, _| a & b);
    check_h("not.b16 %hd, %ha;", |a, _, _| !a);
}

/// Shifts by the width and more give 0, or the sign.
#[test]
fn shifts() {
    check_w("shl.b32 %wd, %wa, %wb;", |a, b, _| a.checked_shl(b).unwrap_or(0));
    check_w("shr.u32 %wd, %wa, %wb;", |a, b, _| a.checked_shr(b).unwrap_or(0));
    check_w("shr.s32 %wd, %wa, %wb;", |a, b, _| {
        if b > 31 { if a >> 31 == 1 { u32::MAX } else { 0 } } else { ((a as i32) >> b) as u32 }
    });
    check_d("shl.b64 %d, %a, %wb;", |a, b, _| a.checked_shl(b as u32).unwrap_or(0));
    check_d("shr.u64 %d, %a, %wb;", |a, b, _| a.checked_shr(b as u32).unwrap_or(0));
    check_d("shr.s64 %d, %a, %wb;", |a, b, _| {
        (a as i64).checked_shr(b as u32).unwrap_or((a as i64) >> 63) as u64
    });
    check("shl.b16 %hd, %ha, %wb;", H, &pairs(&INTEGERS), |[a, b, ..]| {
        if b as u32 > 15 { 0 } else { (a << b as u32) & 0xffff }
    });
    check("shr.u16 %hd, %ha, %wb;", H, &pairs(&INTEGERS), |[a, b, ..]| {
        if b as u32 > 15 { 0 } else { (a & 0xffff) >> b as u32 }
    });
    check("shr.s16 %hd, %ha, %wb;", H, &pairs(&INTEGERS), |[a, b, ..]| {
        u64::from(((a as u16 as i16) >> (b as u32).min(15)) as u16)
    });
    let both = |a: u32, b: u32| u64::from(b) << 32 | u64::from(a);
    check_w("shf.l.clamp.b32 %wd, %wa, %wb, %wc;", |a, b, c| (both(a, b) << c.min(32) >> 32) as u32);
    check_w("shf.l.wrap.b32 %wd, %wa, %wb, %wc;", |a, b, c| (both(a, b) << (c % 32) >> 32) as u32);
    check_w("shf.r.clamp.b32 %wd, %wa, %wb, %wc;", |a, b, c| (both(a, b) >> c.min(32)) as u32);
    check_w("shf.r.wrap.b32 %wd, %wa, %wb, %wc;", |a, b, c| (both(a, b) >> (c % 32)) as u32);
}

/// Bit by bit, as the ISA's pseudocode has it.
#[test]
fn bit_fields() {
    let rows: Vec<Row> = pairs(&[0, 1, 5, 8, 16, 31, 32, 40, 255, 256])
        .into_iter()
        .flat_map(|[p, n, ..]| {
            [0x8765_4321u32, 0x7fff_ffff, u32::MAX, 0x8000_0000].map(|a| [u64::from(a), p, n, 0x1234_5678])
        })
        .collect();
    let field = |a: u32, p: u32, n: u32, signed: bool| -> u64 {
        let (p, n) = (p & 255, n & 255);
        let sign = if signed && n > 0 { a >> (p + n - 1).min(31) & 1 } else { 0 };
        (0..32).fold(0, |d, i| {
            let bit = if i < n && p + i <= 31 { a >> (p + i) & 1 } else { sign };
            d | u64::from(bit) << i
        })
    };
    check("bfe.u32 %wd, %wa, %wb, %wc;", W, &rows, |r| field(w(r)[0], w(r)[1], w(r)[2], false));
    check("bfe.s32 %wd, %wa, %wb, %wc;", W, &rows, |r| field(w(r)[0], w(r)[1], w(r)[2], true));
    check("bfi.b32 %wd, %wa, %we, %wb, %wc;", W, &rows, |r| {
        let [a, p, n, into] = w(r);
        let (p, n) = (p & 255, n & 255);
        u64::from((0..n).take_while(|i| p + i <= 31).fold(into, |d, i| {
            let bit = if i < 32 { a >> i & 1 } else { 0 };
            d & !(1 << (p + i)) | bit << (p + i)
        }))
    });
    check_w("bfi.b32 %wd, %wa, %wb, 8, 8;", |a, b, _| b & 0xffff_00ff | (a & 255) << 8);
}

#[test]
fn bytes_and_bits() {
    let selectors: Vec<Row> =
        (0..256u64).map(|i| [0x8123_4567, 0x89ab_cdef, i * 0x0101 ^ 0x7530, 0]).collect();
    check("prmt.b32 %wd, %wa, %wb, %wc;", W, &selectors, |r| {
        let [a, b, c, _] = w(r);
        let bytes = [a.to_le_bytes(), b.to_le_bytes()].concat();
        let pick = |i: u32| {
            let nibble = c >> (4 * i) & 15;
            let byte = bytes[nibble as usize & 7];
            if nibble < 8 {
                byte
            } else if byte > 127 {
                255
            } else {
                0
            }
        };
        u64::from(u32::from_le_bytes([pick(0), pick(1), pick(2), pick(3)]))
    });
    for table in [0x00u32, 0x80, 0xe8, 0x96, 0xca, 0xff, 0x3c] {
        check_w(&format!("lop3.b32 %wd, %wa, %wb, %wc, {table};"), |a, b, c| {
            (0..32).fold(0, |d, i| {
                let row = (a >> i & 1) << 2 | (b >> i & 1) << 1 | c >> i & 1;
                d | (table >> row & 1) << i
            })
        });
    }
    check_w("popc.b32 %wd, %wa;", |a, _, _| (0..32).map(|i| a >> i & 1).sum());
    check_w("clz.b32 %wd, %wa;", |a, _, _| a.leading_zeros());
    check_w("brev.b32 %wd, %wa;", |a, _, _| a.reverse_bits());
    check_w("bfind.u32 %wd, %wa;", |a, _, _| a.checked_ilog2().unwrap_or(u32::MAX));
    check_w("bfind.shiftamt.u32 %wd, %wa;", |a, _, _| a.checked_ilog2().map_or(u32::MAX, |top| 31 - top));
}

#[test]
fn bits_of_64() {
    let rows = pairs(&INTEGERS);
    check("popc.b64 %wd, %a;", W, &rows, |[a, ..]| u64::from(a.count_ones()));
    check("clz.b64 %wd, %a;", W, &rows, |[a, ..]| u64::from(a.leading_zeros()));
    check("brev.b64 %d, %a;", D, &rows, |[a, ..]| a.reverse_bits());
}

#[test]
fn dot_products_of_bytes() {
    let signed = |x: u32| x.to_le_bytes().map(|b| i64::from(b as i8));
    let unsigned = |x: u32| x.to_le_bytes().map(i64::from);
    let sum = |x: [i64; 4], y: [i64; 4]| (0..4).map(|i| x[i] * y[i]).sum::<i64>();
    check_w("dp4a.s32.s32 %wd, %wa, %wb, %wc;", |a, b, c| {
        (i64::from(c as i32) + sum(signed(a), signed(b))) as u32
    });
    check_w("dp4a.u32.u32 %wd, %wa, %wb, %wc;", |a, b, c| {
        (i64::from(c) + sum(unsigned(a), unsigned(b))) as u32
    });
}

#[test]
fn sums_and_products_of_64_and_16_bits() {
    check_d("add.s64 %d, %a, %b;", |a, b, _| a.wrapping_add(b));
    check_d("sub.s64 %d, %a, %b;", |a, b, _| a.wrapping_sub(b));
    check_d("mul.lo.s64 %d, %a, %b;", |a, b, _| a.wrapping_mul(b));
    check_d("mad.lo.s64 %d, %a, %b, %c;", |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    check_d("mul.hi.u64 %d, %a, %b;", |a, b, _| ((u128::from(a) * u128::from(b)) >> 64) as u64);
    check_d("mul.hi.s64 %d, %a, %b;", |a, b, _| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64);
    check_d("neg.s64 %d, %a;", |a, _, _| 0u64.wrapping_sub(a));
    check_d("abs.s64 %d, %a;", |a, _, _| (a as i64).unsigned_abs());
    check_d("add.s64 %d, %a, 0x123456789ABCDEF0;", |a, _, _| a.wrapping_add(0x1234_5678_9abc_def0));
    let s = |x: u64| i64::from(x as i32);
    check_d("mul.wide.s32 %d, %wa, %wb;", |a, b, _| (s(a) * s(b)) as u64);
    check_d("mul.wide.u32 %d, %wa, %wb;", |a, b, _| (a & 0xffff_ffff) * (b & 0xffff_ffff));
    check_d("mad.wide.s32 %d, %wa, %wb, %c;", |a, b, c| ((s(a) * s(b)) as u64).wrapping_add(c));
    check_d("mad.wide.u32 %d, %wa, %wb, %c;", |a, b, c| {
        ((a & 0xffff_ffff) * (b & 0xffff_ffff)).wrapping_add(c)
    });
    check_h("add.s16 %hd, %ha, %hb;", |a, b, _| a.wrapping_add(b));
    check_h("sub.s16 %hd, %ha, %hb;", |a, b, _| a.wrapping_sub(b));
    check_h("mul.lo.s16 %hd, %ha, %hb;", |a, b, _| a.wrapping_mul(b));
    check_h("mad.lo.s16 %hd, %ha, %hb, %hc;", |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    check_h("neg.s16 %hd, %ha;", |a, _, _| a.wrapping_neg());
    check("mul.wide.s16 %wd, %ha, %hb;", W, &pairs(&INTEGERS), |[a, b, ..]| {
        u64::from((i32::from(a as i16) * i32::from(b as i16)) as u32)
    });
    check("mul.wide.u16 %wd, %ha, %hb;", W, &pairs(&INTEGERS), |[a, b, ..]| (a & 0xffff) * (b & 0xffff));
}

#[test]
fn moves_and_halves() {
    check_d("mov.u64 %d, 0xFEDCBA9876543210;", |_, _, _| 0xfedc_ba98_7654_3210);
    check_d("mov.b64 %d, {%wa, %wb};", |a, b, _| a & 0xffff_ffff | b << 32);
    check("mov.b64 {%wd, %r9}, %a;", W, &pairs(&INTEGERS), |[a, ..]| a & 0xffff_ffff);
    check("mov.b64 {%r9, %wd}, %a;", W, &pairs(&INTEGERS), |[a, ..]| a >> 32);
    check("mov.b32 %wd, {%ha, %hb};", W, &pairs(&INTEGERS), |[a, b, ..]| a & 0xffff | (b & 0xffff) << 16);
    check("mov.b32 {%h1, %hd}, %wa;", H, &pairs(&INTEGERS), |[a, ..]| a >> 16 & 0xffff);
}

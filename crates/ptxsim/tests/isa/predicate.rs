//! Comparisons, predicates, guards, selections.

use crate::rows::{FLOATS, INTEGERS, Result::*, Row, check, float_rows, pairs};

type Ordered<T> = fn(T, T) -> bool;

#[test]
fn comparisons_of_integers() {
    let rows = pairs(&INTEGERS);
    let signed: [(&str, Ordered<i64>); 6] = [
        ("eq", |a, b| a == b),
        ("ne", |a, b| a != b),
        ("lt", |a, b| a < b),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
    ];
    for (name, holds) in signed {
        let of = |a: i64, b: i64| u64::from(holds(a, b));
        check(&format!("setp.{name}.s32 %pd, %wa, %wb;"), P, &rows, |r| {
            of(i64::from(r[0] as i32), i64::from(r[1] as i32))
        });
        check(&format!("setp.{name}.s16 %pd, %ha, %hb;"), P, &rows, |r| {
            of(i64::from(r[0] as i16), i64::from(r[1] as i16))
        });
        check(&format!("setp.{name}.s64 %pd, %a, %b;"), P, &rows, |r| of(r[0] as i64, r[1] as i64));
        check(&format!("setp.{name}.u32 %pd, %wa, %wb;"), P, &rows, |r| {
            of(i64::from(r[0] as u32), i64::from(r[1] as u32))
        });
        check(&format!("setp.{name}.u16 %pd, %ha, %hb;"), P, &rows, |r| {
            of(i64::from(r[0] as u16), i64::from(r[1] as u16))
        });
        // In another order of the same strength: with the highest bit turned, unsigned compare as signed.
        check(&format!("setp.{name}.u64 %pd, %a, %b;"), P, &rows, |r| {
            of((r[0] ^ 1 << 63) as i64, (r[1] ^ 1 << 63) as i64)
        });
    }
    for (name, same) in [("lo", "lt"), ("ls", "le"), ("hi", "gt"), ("hs", "ge")] {
        let (a, b) = (format!("setp.{name}.u32 %pd, %wa, %wb;"), format!("setp.{same}.u32 %pd, %wa, %wb;"));
        assert_eq!(crate::rows::run(&a, P, &rows), crate::rows::run(&b, P, &rows));
    }
}

#[test]
fn comparisons_of_floats_know_nan() {
    let ordered: [(&str, Ordered<f32>); 6] = [
        ("eq", |a, b| a == b),
        ("ne", |a, b| a != b),
        ("lt", |a, b| a < b),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
    ];
    let f = |r: Row| (f32::from_bits(r[0] as u32), f32::from_bits(r[1] as u32));
    let nan = |r: Row| f(r).0.is_nan() || f(r).1.is_nan();
    let wide: Vec<Row> = float_rows()
        .iter()
        .map(|r| [f64::from(f(*r).0).to_bits(), f64::from(f(*r).1).to_bits(), 0, 0])
        .collect();
    let nan64 = |r: Row| f64::from_bits(r[0]).is_nan() || f64::from_bits(r[1]).is_nan();
    for (name, holds) in ordered {
        check(&format!("setp.{name}.f32 %pd, %wa, %wb;"), P, &float_rows(), |r| {
            u64::from(!nan(r) && holds(f(r).0, f(r).1))
        });
        check(&format!("setp.{name}u.f32 %pd, %wa, %wb;"), P, &float_rows(), |r| {
            u64::from(nan(r) || holds(f(r).0, f(r).1))
        });
        check(&format!("setp.{name}u.f64 %pd, %a, %b;"), P, &wide, |r| {
            u64::from(nan64(r) || holds(f64::from_bits(r[0]) as f32, f64::from_bits(r[1]) as f32))
        });
    }
    check("setp.num.f32 %pd, %wa, %wb;", P, &float_rows(), |r| u64::from(!nan(r)));
    check("setp.nan.f32 %pd, %wa, %wb;", P, &float_rows(), |r| u64::from(nan(r)));
    assert!(FLOATS.iter().any(|x| x.is_nan()));
}

#[test]
fn predicates_combine() {
    let rows: Vec<Row> = (0..16).map(|i: u64| [i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3]).collect();
    check("and.pred %pd, %pa, %pb;", P, &rows, |[a, b, ..]| a & b);
    check("or.pred %pd, %pa, !%pb;", P, &rows, |[a, b, ..]| a | b ^ 1);
    check("xor.pred %pd, %pa, %pb;", P, &rows, |[a, b, ..]| a ^ b);
    check("not.pred %pd, %pa;", P, &rows, |[a, ..]| a ^ 1);
    check("mov.pred %pd, %pa;", P, &rows, |[a, ..]| a);
    check("mov.pred %pd, 0;", P, &rows, |_| 0);
    check("mov.pred %pd, -1;", P, &rows, |_| 1);
    check("setp.eq.and.s32 %pd, %wa, %wb, %pc;", P, &rows, |[a, b, c, _]| u64::from(a == b) & c);
    check("setp.eq.or.s32 %pd, %wa, %wb, !%pc;", P, &rows, |[a, b, c, _]| u64::from(a == b) | c ^ 1);
    check("setp.gt.xor.s32 %pd, %wa, %wb, %pc;", P, &rows, |[a, b, c, _]| u64::from(a > b) ^ c);
}

#[test]
fn selections() {
    let rows = pairs(&INTEGERS);
    check("selp.b32 %wd, %wa, %wb, %pc;", W, &rows, |[a, b, c, _]| {
        (if c & 1 != 0 { a } else { b }) & 0xffff_ffff
    });
    check("selp.b64 %d, %a, %b, !%pc;", D, &rows, |[a, b, c, _]| if c & 1 == 0 { a } else { b });
    check("selp.b16 %hd, %ha, 7, %pc;", H, &rows, |[a, _, c, _]| if c & 1 != 0 { a & 0xffff } else { 7 });
}

/// A guarded instruction leaves the register of other lanes alone.
#[test]
fn guards() {
    let rows = pairs(&INTEGERS);
    check("mov.u32 %wd, %wb; @%pa add.s32 %wd, %wb, 1; @!%pc mov.u32 %wd, 5;", W, &rows, |[a, b, c, _]| {
        let b = b as u32;
        u64::from(if c & 1 == 0 {
            5
        } else if a & 1 != 0 {
            b.wrapping_add(1)
        } else {
            b
        })
    });
    check(
        "mov.u64 %d, %b; @!%pa shl.b64 %d, %b, 3;",
        D,
        &rows,
        |[a, b, ..]| {
            if a & 1 != 0 { b } else { b << 3 }
        },
    );
    check(
        "mov.pred %pd, %pb; @%pa setp.ne.s32 %pd, %wa, %wa;",
        P,
        &rows,
        |[a, b, ..]| {
            if a & 1 != 0 { 0 } else { b & 1 }
        },
    );
}

//! Conversions: roundings, saturation, NaN.

use crate::rows::{FLOATS, INTEGERS, Result::*, Row, check, pairs};

fn floats() -> Vec<Row> {
    let more = [0.5f32, 1.5, 2.5, -0.5, -1.5, 127.5, 128.0, 255.9, 256.0, 32767.5, 9.3e18, 1.9e19, -9.3e18];
    FLOATS.iter().chain(&more).map(|x| [u64::from(x.to_bits()), 0, 0, 0]).collect()
}

fn doubles() -> Vec<Row> {
    let more = [1.0 + 1e-9, 1.0 - 1e-9, 3.5e38, 1e-46, 0.1, -0.1, 16_777_217.0, 2147483647.5, 1e300];
    floats()
        .iter()
        .map(|r| f64::from(f32::from_bits(r[0] as u32)))
        .chain(more)
        .map(|x| [x.to_bits(), 0, 0, 0])
        .collect()
}

fn x32(r: Row) -> f32 {
    f32::from_bits(r[0] as u32)
}

fn bits(x: f32) -> u64 {
    u64::from(if x.is_nan() { 0x7fff_ffff } else { x.to_bits() })
}

#[test]
fn float_to_integer() {
    let roundings: [(&str, fn(f64) -> f64); 4] =
        [("rni", f64::round_ties_even), ("rzi", f64::trunc), ("rmi", f64::floor), ("rpi", f64::ceil)];
    for (name, round) in roundings {
        let whole = |r: Row| round(f64::from(x32(r)));
        check(&format!("cvt.{name}.s32.f32 %wd, %wa;"), W, &floats(), |r| u64::from(whole(r) as i32 as u32));
        check(&format!("cvt.{name}.u32.f32 %wd, %wa;"), W, &floats(), |r| u64::from(whole(r) as u32));
        check(&format!("cvt.{name}.s16.f32 %hd, %wa;"), H, &floats(), |r| u64::from(whole(r) as i16 as u16));
        check(&format!("cvt.{name}.u8.f32 %wd, %wa;"), W, &floats(), |r| u64::from(whole(r) as u8));
        // NaN becomes the highest bit alone where 64 bits take part.
        check(&format!("cvt.{name}.s64.f32 %d, %wa;"), D, &floats(), |r| {
            if x32(r).is_nan() { 1 << 63 } else { whole(r) as i64 as u64 }
        });
        check(&format!("cvt.{name}.u64.f32 %d, %wa;"), D, &floats(), |r| {
            if x32(r).is_nan() { 1 << 63 } else { whole(r) as u64 }
        });
        check(&format!("cvt.{name}.s32.f64 %wd, %a;"), W, &doubles(), |r| {
            let x = f64::from_bits(r[0]);
            if x.is_nan() { 1 << 31 } else { u64::from(round(x) as i32 as u32) }
        });
        check(&format!("cvt.{name}.f32.f32 %wd, %wa;"), W, &floats(), |r| bits(whole(r) as f32));
    }
    check("cvt.rpi.ftz.s32.f32 %wd, %wa;", W, &[[1, 0, 0, 0]], |_| 0);
    check("cvt.rpi.s32.f32 %wd, %wa;", W, &[[1, 0, 0, 0]], |_| 1);
}

#[test]
fn integer_to_float() {
    let rows = pairs(&INTEGERS);
    check("cvt.rn.f32.s32 %wd, %wa;", W, &rows, |r| bits(r[0] as i32 as f32));
    check("cvt.rn.f32.u32 %wd, %wa;", W, &rows, |r| bits(r[0] as u32 as f32));
    check("cvt.rn.f32.s64 %wd, %a;", W, &rows, |r| bits(r[0] as i64 as f32));
    check("cvt.rn.f32.u64 %wd, %a;", W, &rows, |r| bits(r[0] as f32));
    check("cvt.rn.f32.u16 %wd, %ha;", W, &rows, |r| bits(r[0] as u16 as f32));
    check("cvt.rn.f32.s8 %wd, %wa;", W, &rows, |r| bits(r[0] as i8 as f32));
    check("cvt.rn.f64.s32 %d, %wa;", D, &rows, |r| f64::from(r[0] as i32).to_bits());
    check("cvt.rn.f64.u64 %d, %a;", D, &rows, |r| (r[0] as f64).to_bits());
    let beside = |x: u64, up: bool| {
        let y = x as f32;
        let (side, exact) = (y as u128, u128::from(x));
        if side > exact && !up {
            y.next_down()
        } else if side < exact && up {
            y.next_up()
        } else {
            y
        }
    };
    check("cvt.rz.f32.u64 %wd, %a;", W, &rows, |r| bits(beside(r[0], false)));
    check("cvt.rp.f32.u64 %wd, %a;", W, &rows, |r| bits(beside(r[0], true)));
    check("cvt.rm.f32.u32 %wd, %wa;", W, &rows, |r| bits(beside(r[0] & 0xffff_ffff, false)));
    check("cvt.rz.f64.u64 %d, %a;", D, &rows, |r| {
        let y = r[0] as f64;
        if y as u128 > u128::from(r[0]) { y.next_down().to_bits() } else { y.to_bits() }
    });
}

#[test]
fn float_to_float() {
    check("cvt.f64.f32 %d, %wa;", D, &floats(), |r| {
        if x32(r).is_nan() { 0x7fff_ffff_ffff_ffff } else { f64::from(x32(r)).to_bits() }
    });
    check("cvt.rn.f32.f64 %wd, %a;", W, &doubles(), |r| bits(f64::from_bits(r[0]) as f32));
    let one_side = |r: Row, wanted: fn(f64, f64) -> bool, other: fn(f32) -> f32| {
        let x = f64::from_bits(r[0]);
        let y = x as f32;
        bits(if x.is_nan() || wanted(f64::from(y), x) { y } else { other(y) })
    };
    check("cvt.rm.f32.f64 %wd, %a;", W, &doubles(), |r| one_side(r, |y, x| y <= x, f32::next_down));
    check("cvt.rp.f32.f64 %wd, %a;", W, &doubles(), |r| one_side(r, |y, x| y >= x, f32::next_up));
    check("cvt.rz.f32.f64 %wd, %a;", W, &doubles(), |r| {
        let towards: fn(f32) -> f32 = if f64::from_bits(r[0]) > 0.0 { f32::next_down } else { f32::next_up };
        one_side(r, |y, x| y.abs() <= x.abs(), towards)
    });
    check("cvt.sat.f32.f32 %wd, %wa;", W, &floats(), |r| {
        let x = x32(r);
        bits(if x > 0.0 { x.min(1.0) } else { 0.0 })
    });
    check("cvt.ftz.f32.f32 %wd, %wa;", W, &[[0x8000_0001, 0, 0, 0]], |_| 0x8000_0000);
}

#[test]
fn integer_to_integer() {
    let rows = pairs(&INTEGERS);
    check("cvt.s64.s32 %d, %wa;", D, &rows, |r| i64::from(r[0] as i32) as u64);
    check("cvt.u64.u32 %d, %wa;", D, &rows, |r| r[0] & 0xffff_ffff);
    check("cvt.s64.u32 %d, %wa;", D, &rows, |r| r[0] & 0xffff_ffff);
    check("cvt.u64.s32 %d, %wa;", D, &rows, |r| i64::from(r[0] as i32) as u64);
    check("cvt.u32.u64 %wd, %a;", W, &rows, |r| r[0] & 0xffff_ffff);
    check("cvt.u16.u64 %hd, %a;", H, &rows, |r| r[0] & 0xffff);
    check("cvt.s64.s16 %d, %ha;", D, &rows, |r| i64::from(r[0] as i16) as u64);
    check("cvt.s32.s16 %wd, %ha;", W, &rows, |r| u64::from(r[0] as i16 as u32));
    check("cvt.u32.u16 %wd, %ha;", W, &rows, |r| r[0] & 0xffff);
    check("cvt.s32.s8 %wd, %wa;", W, &rows, |r| u64::from(r[0] as i8 as u32));
    check("cvt.s16.s8 %hd, %ha;", H, &rows, |r| u64::from(r[0] as i8 as i16 as u16));
    check("cvt.u32.u8 %wd, %wa;", W, &rows, |r| r[0] & 255);
    check("cvt.u64.u8 %d, %wa;", D, &rows, |r| r[0] & 255);
    check("cvt.sat.s8.s32 %wd, %wa;", W, &rows, |r| u64::from((r[0] as i32).clamp(-128, 127) as u32));
    check("cvt.sat.u8.s32 %wd, %wa;", W, &rows, |r| (r[0] as i32).clamp(0, 255) as u64);
    check("cvt.sat.s32.s64 %wd, %a;", W, &rows, |r| {
        u64::from((r[0] as i64).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as u32)
    });
    check("cvt.sat.u32.s32 %wd, %wa;", W, &rows, |r| (r[0] as i32).max(0) as u64);
}

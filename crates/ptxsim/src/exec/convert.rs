//! Conversions that have no instruction of their own here.

use crate::code::{Conversion, Rounding, Type};
use crate::float::{self, bits32, bits64};

/// The bits of `a` in another type.
#[inline(never)]
pub(super) fn convert(conversion: Conversion, a: u64) -> u64 {
    match conversion.from {
        Type::F32 => {
            let x = f32::from_bits(a as u32);
            from_float(conversion, f64::from(if conversion.flush { float::flush(x) } else { x }))
        }
        Type::F64 => from_float(conversion, f64::from_bits(a)),
        _ => from_integer(conversion, a),
    }
}

fn from_float(conversion: Conversion, x: f64) -> u64 {
    let Conversion { to, from, rounding, integral, saturate, flush } = conversion;
    if to != Type::F32 && to != Type::F64 {
        return clamp(round(x, rounding), to, from);
    }
    let x = if integral { round(x, rounding) } else { x };
    let x = match saturate {
        true if x.is_nan() => 0.0,
        true => x.clamp(0.0, 1.0) + 0.0,
        false => x,
    };
    match to {
        Type::F32 => {
            let y = narrow(x, rounding);
            u64::from(bits32(if flush { float::flush(y) } else { y }))
        }
        _ => bits64(x),
    }
}

fn from_integer(conversion: Conversion, a: u64) -> u64 {
    let Conversion { to, from, rounding, saturate, .. } = conversion;
    let value: i128 = match from {
        Type::S8 => i128::from(a as i8),
        Type::U8 => i128::from(a as u8),
        Type::S16 => i128::from(a as i16),
        Type::U16 => i128::from(a as u16),
        Type::S32 => i128::from(a as i32),
        Type::U32 => i128::from(a as u32),
        Type::S64 => i128::from(a as i64),
        _ => i128::from(a),
    };
    match to {
        Type::F32 => {
            let y = value as f32;
            u64::from(directed(y, (y as i128).cmp(&value), value > 0, rounding).to_bits())
        }
        Type::F64 => {
            let y = value as f64;
            let up = (y as i128).cmp(&value);
            let y = match (rounding, up) {
                (Rounding::Zero, std::cmp::Ordering::Greater) if value > 0 => y.next_down(),
                (Rounding::Zero, std::cmp::Ordering::Less) if value < 0 => y.next_up(),
                (Rounding::Down, std::cmp::Ordering::Greater) => y.next_down(),
                (Rounding::Up, std::cmp::Ordering::Less) => y.next_up(),
                _ => y,
            };
            y.to_bits()
        }
        _ => {
            let bits = to.bytes() * 8;
            let (least, most) = match to.signed() {
                true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
                false => (0, (1i128 << bits) - 1),
            };
            extended(if saturate { value.clamp(least, most) } else { value } as u64, to)
        }
    }
}

/// An integer of type `to` in its register: of 16 bits the upper half is zero, of 8 bits it is extended as its sign says.
fn extended(value: u64, to: Type) -> u64 {
    match to {
        Type::U8 => u64::from(value as u8),
        Type::S8 => u64::from(value as i8 as u32),
        Type::U16 | Type::S16 => u64::from(value as u16),
        _ => value,
    }
}

fn round(x: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => x.round_ties_even(),
        Rounding::Zero => x.trunc(),
        Rounding::Down => x.floor(),
        Rounding::Up => x.ceil(),
    }
}

/// To float32, rounded as asked for.
fn narrow(x: f64, rounding: Rounding) -> f32 {
    let y = x as f32;
    match f64::from(y).partial_cmp(&x) {
        Some(side) => directed(y, side, x > 0.0, rounding),
        None => y,
    }
}

/// The neighbour of the nearest value `y` that `rounding` asks for; `side`: how `y` compares with the exact value.
fn directed(y: f32, side: std::cmp::Ordering, positive: bool, rounding: Rounding) -> f32 {
    use std::cmp::Ordering::{Greater, Less};
    match (rounding, side) {
        (Rounding::Zero, Greater) if positive => y.next_down(),
        (Rounding::Zero, Less) if !positive => y.next_up(),
        (Rounding::Down, Greater) => y.next_down(),
        (Rounding::Up, Less) => y.next_up(),
        _ => y,
    }
}

/// A whole number as an integer of type `to`, the nearest there is. NaN becomes 0, or the highest bit alone when float64 or
/// 64-bit integers take part.
fn clamp(x: f64, to: Type, from: Type) -> u64 {
    if x.is_nan() {
        let wide = from == Type::F64 || to.bytes() == 8;
        return if wide { extended(1 << (to.bytes() * 8 - 1), to) } else { 0 };
    }
    match to {
        Type::U8 => u64::from(x as u8),
        Type::S8 => u64::from(x as i8 as u32),
        Type::U16 => u64::from(x as u16),
        Type::S16 => u64::from(x as i16 as u16),
        Type::U32 => u64::from(x as u32),
        Type::S32 => u64::from(x as i32 as u32),
        Type::U64 => x as u64,
        _ => x as i64 as u64,
    }
}

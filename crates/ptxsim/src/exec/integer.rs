//! Integer operations that are more than one of the host's.

/// a / b towards zero; −1 for b = 0, which the ISA leaves open.
#[inline(always)]
pub(super) fn divide(a: i64, b: i64) -> i64 {
    if b == 0 { -1 } else { a.wrapping_div(b) }
}

/// a − b·(a / b); a for b = 0, which the ISA leaves open.
#[inline(always)]
pub(super) fn remainder(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { a.wrapping_rem(b) }
}

/// The lowest `count` bits set.
#[inline(always)]
fn ones(count: u32) -> u32 {
    if count < 32 { (1 << (count & 31)) - 1 } else { u32::MAX }
}

/// `length` bits of `a` from `position` on.
#[inline(always)]
pub(super) fn extract(a: u32, position: u32, length: u32) -> u32 {
    let (position, length) = (position & 255, length & 255);
    let moved = if position < 32 { a >> (position & 31) } else { 0 };
    moved & ones(length)
}

/// As [`extract`], with the sign of the last bit that there is.
#[inline(always)]
pub(super) fn extract_signed(a: u32, position: u32, length: u32) -> u32 {
    let (position, length) = (position & 255, length & 255);
    if length == 0 {
        return 0;
    }
    let sign = a >> (position + length - 1).min(31) & 1;
    let kept = if position < 32 { ones(length) & (u32::MAX >> (position & 31)) } else { 0 };
    let field = extract(a, position, length) & kept;
    if sign != 0 { field | !kept } else { field }
}

/// `b` with its `length` bits from `position` on replaced by the lowest of `a`.
#[inline(always)]
pub(super) fn insert(a: u32, b: u32, position: u32, length: u32) -> u32 {
    let (position, length) = (position & 255, length & 255);
    let field = if position < 32 { ones(length) << (position & 31) } else { 0 };
    let moved = if position < 32 { a << (position & 31) } else { 0 };
    (moved & field) | (b & !field)
}

/// Bit by bit, the entry of `table` that the bits of a, b, c number.
#[inline(always)]
pub(super) fn logic(table: u32, a: u32, b: u32, c: u32) -> u32 {
    let mut bits = 0;
    for row in 0..8 {
        let term = (if row & 4 != 0 { a } else { !a })
            & (if row & 2 != 0 { b } else { !b })
            & (if row & 1 != 0 { c } else { !c });
        bits |= if table >> row & 1 != 0 { term } else { 0 };
    }
    bits
}

/// Bytes of b:a picked by the nibbles of `c`; the upper bit of a nibble spreads the byte's sign.
#[inline(always)]
pub(super) fn permute(a: u32, b: u32, c: u32) -> u32 {
    let all = u64::from(b) << 32 | u64::from(a);
    let mut bits = 0;
    for i in 0..4 {
        let nibble = c >> (4 * i) & 15;
        let byte = (all >> (8 * (nibble & 7))) as u8;
        let byte = if nibble & 8 != 0 { ((byte as i8) >> 7) as u8 } else { byte };
        bits |= u32::from(byte) << (8 * i);
    }
    bits
}

//! Float arithmetic as the hardware has it.
//!
//! A NaN that an operation makes is 0x7fffffff. Approximations (`ex2.approx`, `rcp.approx`, …) are rounded correctly here, which is
//! within the errors that the ISA states for them.

/// The NaN that the hardware makes.
pub(crate) const NAN32: u32 = 0x7fff_ffff;

/// Bits of a result, NaN in its one form.
#[inline(always)]
pub(crate) fn bits32(x: f32) -> u32 {
    if x.is_nan() { NAN32 } else { x.to_bits() }
}

/// Bits of a result, NaN in its one form.
#[inline(always)]
pub(crate) fn bits64(x: f64) -> u64 {
    if x.is_nan() { 0x7fff_ffff_ffff_ffff } else { x.to_bits() }
}

/// a·b + c rounded once, without a fused instruction: the product is exact in float64, the sum is rounded to odd there, and
/// then once to float32. Source: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding
/// to odd", IEEE Transactions on Computers 57(4), 2008.
#[inline(always)]
pub(crate) fn fma_without_hardware(a: f32, b: f32, c: f32) -> f32 {
    let (product, addend) = (f64::from(a) * f64::from(b), f64::from(c));
    let (sum, error) = two_sum(product, addend);
    to_odd(sum, error) as f32
}

/// As [`fma_without_hardware`], for all lanes, as bits. A sum in float64 rounds to the same float32 as the exact one unless it lies
/// half-way between two of them, or below the normal range.
#[inline(always)]
pub(crate) fn fma_lanes(a: &[u32; 32], b: &[u32; 32], c: &[u32; 32]) -> [u32; 32] {
    const LOST: u64 = (1 << 29) - 1;
    let (mut out, mut doubtful) = ([0; 32], 0);
    for l in 0..32 {
        let [a, b, c] = [a[l], b[l], c[l]].map(|bits| f64::from(f32::from_bits(bits)));
        let sum = a * b + c;
        doubtful |= u32::from(sum.to_bits() & LOST == 1 << 28);
        doubtful |= u32::from(sum.abs() < f64::from(f32::MIN_POSITIVE)) & u32::from(sum != 0.0);
        out[l] = bits32(sum as f32);
    }
    if doubtful != 0 {
        for l in 0..32 {
            let [a, b, c] = [a[l], b[l], c[l]].map(f32::from_bits);
            out[l] = bits32(fma_without_hardware(a, b, c));
        }
    }
    out
}

/// a·b + c rounded towards −∞.
pub(crate) fn fma_down(a: f32, b: f32, c: f32) -> f32 {
    let (product, addend) = (f64::from(a) * f64::from(b), f64::from(c));
    let (sum, error) = two_sum(product, addend);
    if sum == 0.0 && error == 0.0 {
        // Unlike numbers that cancel give −0.
        let both = product.is_sign_positive() && addend.is_sign_positive();
        return if both { 0.0 } else { -0.0 };
    }
    let nearest = sum as f32;
    let above = f64::from(nearest) > sum || (f64::from(nearest) == sum && error < 0.0);
    if above { nearest.next_down() } else { nearest }
}

/// a + b and what rounding lost of it. Source: Knuth, The Art of Computer Programming 2, section 4.2.2.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `sum` + `error` rounded to odd.
#[inline(always)]
fn to_odd(sum: f64, error: f64) -> f64 {
    let bits = sum.to_bits();
    let inexact = error != 0.0 && sum.is_finite();
    // Towards the error's side when the last bit is even.
    let away = (error > 0.0) == (sum > 0.0);
    let moved = if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    f64::from_bits(if inexact && bits & 1 == 0 { moved } else { bits })
}

/// The smaller number; −0 is smaller than +0, NaN loses.
#[inline(always)]
pub(crate) fn min32(a: f32, b: f32) -> u32 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => NAN32,
        (true, _) => b.to_bits(),
        (_, true) => a.to_bits(),
        _ if a == b => a.to_bits() | b.to_bits(),
        _ => a.min(b).to_bits(),
    }
}

/// The larger number; +0 is larger than −0, NaN loses.
#[inline(always)]
pub(crate) fn max32(a: f32, b: f32) -> u32 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => NAN32,
        (true, _) => b.to_bits(),
        (_, true) => a.to_bits(),
        _ if a == b => a.to_bits() & b.to_bits(),
        _ => a.max(b).to_bits(),
    }
}

/// As [`min32`].
#[inline(always)]
pub(crate) fn min64(a: f64, b: f64) -> u64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => bits64(a),
        (true, _) => b.to_bits(),
        (_, true) => a.to_bits(),
        _ if a == b => a.to_bits() | b.to_bits(),
        _ => if a < b { a } else { b }.to_bits(),
    }
}

/// As [`max32`].
#[inline(always)]
pub(crate) fn max64(a: f64, b: f64) -> u64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => bits64(a),
        (true, _) => b.to_bits(),
        (_, true) => a.to_bits(),
        _ if a == b => a.to_bits() & b.to_bits(),
        _ => if a > b { a } else { b }.to_bits(),
    }
}

/// A number below the normal range becomes 0 of its sign.
#[inline(always)]
pub(crate) fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0.0f32.copysign(x) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with every exponent and awkward mantissas.
    fn samples() -> Vec<f32> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            f32::from_bits((state >> 32) as u32)
        };
        let mut all: Vec<f32> = (0..4000).map(|_| next()).filter(|x| x.is_finite()).collect();
        all.extend([
            0.0,
            -0.0,
            1.0,
            -1.0,
            f32::MAX,
            f32::MIN_POSITIVE,
            1.0 + f32::EPSILON,
            f32::INFINITY,
            f32::NAN,
        ]);
        all
    }

    #[test]
    fn the_emulated_multiply_add_is_the_fused_one() {
        let all = samples();
        for (i, &a) in all.iter().enumerate() {
            let (b, c) = (all[(i * 7 + 3) % all.len()], all[(i * 13 + 5) % all.len()]);
            // Sums that cancel, where two roundings show.
            for c in [c, -(a * b), (-(a * b)).next_up()] {
                let (ours, fused) = (fma_without_hardware(a, b, c), a.mul_add(b, c));
                assert!(bits32(ours) == bits32(fused), "{a:e} · {b:e} + {c:e}: {ours:e}, not {fused:e}");
                let lanes = fma_lanes(&[a.to_bits(); 32], &[b.to_bits(); 32], &[c.to_bits(); 32]);
                assert!(lanes == [bits32(fused); 32], "{a:e} · {b:e} + {c:e} of all lanes, not {fused:e}");
            }
        }
    }

    #[test]
    fn rounding_down_is_never_above() {
        for (a, b, c) in [(1.0f32, 1.0, 1e-10), (1.0, 1.0, -1e-10), (3.0, 1.0 / 3.0, 0.0), (-1.0, 1.0, 1e-10)]
        {
            let exact = f64::from(a) * f64::from(b) + f64::from(c);
            let y = fma_down(a, b, c);
            assert!(f64::from(y) <= exact && f64::from(y.next_up()) > exact, "{y:e} for {exact:e}");
        }
    }

    #[test]
    fn zeros_and_nan_in_minimum_and_maximum() {
        assert_eq!(min32(0.0, -0.0), (-0.0f32).to_bits());
        assert_eq!(max32(-0.0, 0.0), 0.0f32.to_bits());
        assert_eq!(max32(f32::NAN, 1.0), 1.0f32.to_bits());
        assert_eq!(min32(f32::NAN, f32::NAN), NAN32);
        assert_eq!(max32(-3.0, 2.0), 2.0f32.to_bits());
    }
}

//! Float32 and float64 arithmetic.

use crate::rows::{FLOATS, Result::*, Row, check, float_rows, run};

/// The NaN that the hardware makes.
const NAN: u32 = 0x7fff_ffff;

fn f(row: Row) -> [f32; 4] {
    row.map(|x| f32::from_bits(x as u32))
}

fn bits(x: f32) -> u64 {
    u64::from(if x.is_nan() { NAN } else { x.to_bits() })
}

fn check_f(code: &str, expected: impl Fn(f32, f32, f32) -> f32) {
    check(code, W, &float_rows(), |row| {
        let [a, b, c, _] = f(row);
        bits(expected(a, b, c))
    });
}

#[test]
fn arithmetic_of_32_bits() {
    check_f("add.f32 %wd, %wa, %wb;", |a, b, _| a + b);
    check_f("sub.rn.f32 %wd, %wa, %wb;", |a, b, _| a - b);
    check_f("mul.f32 %wd, %wa, %wb;", |a, b, _| a * b);
    check_f("fma.rn.f32 %wd, %wa, %wb, %wc;", |a, b, c| a.mul_add(b, c));
    check_f("div.rn.f32 %wd, %wa, %wb;", |a, b, _| a / b);
    check_f("sqrt.rn.f32 %wd, %wa;", |a, _, _| a.sqrt());
    check_f("rcp.rn.f32 %wd, %wa;", |a, _, _| 1.0 / a);
    check_f("mul.f32 %wd, %wa, 0f3DCCCCCD;", |a, _, _| a * 0.1);
    check("neg.f32 %wd, %wa;", W, &float_rows(), |r| r[0] ^ 0x8000_0000);
    check("abs.f32 %wd, %wa;", W, &float_rows(), |r| r[0] & 0x7fff_ffff);
    check("copysign.f32 %wd, %wa, %wb;", W, &float_rows(), |r| r[0] & 0x8000_0000 | r[1] & 0x7fff_ffff);
}

/// (1 + 2⁻¹²)² − (1 + 2⁻¹¹) = 2⁻²⁴: a product rounded on its own loses it.
#[test]
fn a_multiply_add_rounds_once() {
    let (a, c) = (1.0 + 2.0f32.powi(-12), -(1.0 + 2.0f32.powi(-11)));
    let row = [a.to_bits(), a.to_bits(), c.to_bits(), 0].map(u64::from);
    let got = run("fma.rn.f32 %wd, %wa, %wb, %wc;", W, &[row]);
    assert_eq!(f32::from_bits(got[0] as u32), 2.0f32.powi(-24));
    assert_eq!(a * a + c, 0.0);
}

#[test]
fn minima_and_maxima_prefer_numbers_and_order_zeros() {
    let less = |a: f32, b: f32| a < b || (a == b && a.is_sign_negative());
    let pick = |a: f32, b: f32, first: bool| match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if first => a,
        _ => b,
    };
    check_f("min.f32 %wd, %wa, %wb;", |a, b, _| pick(a, b, less(a, b)));
    check_f("max.f32 %wd, %wa, %wb;", |a, b, _| pick(a, b, !less(a, b)));
}

#[test]
fn a_multiply_add_rounded_down() {
    check("fma.rm.f32 %wd, %wa, %wb, %wc;", W, &float_rows(), |row| {
        let [a, b, c, _] = f(row);
        let nearest = a.mul_add(b, c);
        if nearest.is_nan() || a.is_infinite() || b.is_infinite() || c.is_infinite() {
            return bits(nearest);
        }
        // What rounding to the nearest lost is the sign of the exact value minus it, told here by scaled integers.
        let exact = scaled(a) * scaled(b) + (scaled(c) << SCALE);
        let got = if nearest.is_infinite() {
            if nearest > 0.0 { f32::MAX } else { nearest }
        } else if (scaled(nearest) << SCALE) > exact {
            nearest.next_down()
        } else {
            nearest
        };
        let zero =
            exact == Wide::ZERO && !(a * b == 0.0 && (a * b).is_sign_positive() && c.is_sign_positive());
        bits(if zero && nearest == 0.0 { -0.0 } else { got })
    });
}

/// Exponent of the lowest bit of any float32.
const SCALE: u32 = 149;

/// A float32 times 2^149: a whole number.
fn scaled(x: f32) -> Wide {
    let bits = x.to_bits();
    let (exponent, fraction) = (bits >> 23 & 255, bits & 0x7f_ffff);
    let (whole, by) = if exponent == 0 { (fraction, 0) } else { (fraction | 0x80_0000, exponent - 1) };
    let magnitude = Wide::from(whole) << by;
    if x < 0.0 { Wide::ZERO - magnitude } else { magnitude }
}

/// A whole number of 640 bits in two's complement.
#[derive(Clone, Copy, PartialEq)]
struct Wide([u32; 20]);

impl Wide {
    const ZERO: Wide = Wide([0; 20]);
}

impl From<u32> for Wide {
    fn from(x: u32) -> Self {
        let mut words = [0; 20];
        words[0] = x;
        Wide(words)
    }
}

impl std::ops::Shl<u32> for Wide {
    type Output = Wide;
    fn shl(self, by: u32) -> Wide {
        let (words, bits) = (by as usize / 32, by % 32);
        Wide(std::array::from_fn(|i| {
            let word = |i: usize, less: usize| i.checked_sub(less).map_or(0, |at| u64::from(self.0[at]));
            ((word(i, words) << 32 | word(i, words + 1)) << bits >> 32) as u32
        }))
    }
}

impl std::ops::Add for Wide {
    type Output = Wide;
    fn add(self, other: Wide) -> Wide {
        let mut carry = 0;
        Wide(std::array::from_fn(|i| {
            carry += u64::from(self.0[i]) + u64::from(other.0[i]);
            let word = carry as u32;
            carry >>= 32;
            word
        }))
    }
}

impl std::ops::Sub for Wide {
    type Output = Wide;
    fn sub(self, other: Wide) -> Wide {
        self + Wide(other.0.map(|w| !w)) + Wide::from(1)
    }
}

impl std::ops::Mul for Wide {
    type Output = Wide;
    fn mul(self, other: Wide) -> Wide {
        (0..640).fold(Wide::ZERO, |sum, bit| {
            if other.0[bit / 32] >> (bit % 32) & 1 != 0 { sum + (self << bit as u32) } else { sum }
        })
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Wide) -> Option<std::cmp::Ordering> {
        let difference = *self - *other;
        Some(if difference == Wide::ZERO {
            std::cmp::Ordering::Equal
        } else if difference.0[19] >> 31 != 0 {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Greater
        })
    }
}

/// Within the errors that the ISA states: 1 unit in the last place for rcp, 2⁻²² for ex2 and lg2 (there absolute, near 1),
/// 2^−22.9 relative for rsqrt.
#[test]
fn approximations() {
    let rows: Vec<Row> =
        (0..400).map(|i| [u64::from((0.01f32 * 1.03f32.powi(i)).to_bits()), 0, 0, 0]).collect();
    let near = |code: &str, exact: fn(f64) -> f64, relative: f64, absolute: f64| {
        for (row, got) in rows.iter().zip(run(code, W, &rows)) {
            let (x, y) = (f64::from(f(*row)[0]), f64::from(f32::from_bits(got as u32)));
            let exact = exact(x);
            if exact.is_finite() && exact < f64::from(f32::MAX) {
                assert!(
                    (y - exact).abs() <= relative * exact.abs() + absolute,
                    "{code} of {x}: {y}, not {exact}"
                );
            }
        }
    };
    near("rcp.approx.f32 %wd, %wa;", |x| 1.0 / x, 2.0f64.powi(-23), 0.0);
    near("ex2.approx.f32 %wd, %wa;", f64::exp2, 2.0f64.powi(-22), 0.0);
    near("lg2.approx.f32 %wd, %wa;", f64::log2, 2.0f64.powi(-22), 2.0f64.powi(-22));
    near("rsqrt.approx.f32 %wd, %wa;", |x| 1.0 / x.sqrt(), 2.0f64.powf(-22.9), 0.0);
    near("sqrt.approx.f32 %wd, %wa;", f64::sqrt, 2.0f64.powi(-23), 0.0);
}

#[test]
fn special_values_of_approximations() {
    let of =
        |code: &str, x: f32| f32::from_bits(run(code, W, &[[u64::from(x.to_bits()), 0, 0, 0]])[0] as u32);
    assert_eq!(of("ex2.approx.ftz.f32 %wd, %wa;", -127.0), 0.0);
    assert_eq!(of("ex2.approx.f32 %wd, %wa;", -127.0), 2.0f32.powi(-127));
    assert_eq!(of("ex2.approx.ftz.f32 %wd, %wa;", f32::NEG_INFINITY), 0.0);
    assert_eq!(of("ex2.approx.ftz.f32 %wd, %wa;", 200.0), f32::INFINITY);
    assert_eq!(of("lg2.approx.f32 %wd, %wa;", 0.0), f32::NEG_INFINITY);
    assert!(of("lg2.approx.f32 %wd, %wa;", -1.0).is_nan());
    assert_eq!(of("lg2.approx.ftz.f32 %wd, %wa;", 1.0e-40), f32::NEG_INFINITY);
    assert_eq!(of("rcp.approx.ftz.f32 %wd, %wa;", -1.0e-40), f32::NEG_INFINITY);
    assert_eq!(of("rcp.approx.ftz.f32 %wd, %wa;", 3.0e38), 0.0);
    assert_eq!(of("rsqrt.approx.f32 %wd, %wa;", -0.0), f32::NEG_INFINITY);
    assert!(of("rsqrt.approx.f32 %wd, %wa;", -2.0).is_nan());
}

#[test]
fn arithmetic_of_64_bits() {
    let rows: Vec<Row> =
        float_rows().into_iter().map(|r| f(r).map(|x| (f64::from(x) * 1.1).to_bits())).collect();
    let bits = |x: f64| if x.is_nan() { 0x7fff_ffff_ffff_ffff } else { x.to_bits() };
    let d = |r: Row| r.map(f64::from_bits);
    check("add.f64 %d, %a, %b;", D, &rows, |r| bits(d(r)[0] + d(r)[1]));
    check("sub.f64 %d, %a, %b;", D, &rows, |r| bits(d(r)[0] - d(r)[1]));
    check("mul.f64 %d, %a, %b;", D, &rows, |r| bits(d(r)[0] * d(r)[1]));
    check("fma.rn.f64 %d, %a, %b, %c;", D, &rows, |r| bits(d(r)[0].mul_add(d(r)[1], d(r)[2])));
    check("div.rn.f64 %d, %a, %b;", D, &rows, |r| bits(d(r)[0] / d(r)[1]));
    check("sqrt.rn.f64 %d, %a;", D, &rows, |r| bits(d(r)[0].sqrt()));
    check("rcp.rn.f64 %d, %a;", D, &rows, |r| bits(1.0 / d(r)[0]));
    check("neg.f64 %d, %a;", D, &rows, |r| r[0] ^ 1 << 63);
    check("abs.f64 %d, %a;", D, &rows, |r| r[0] & !(1 << 63));
    check("mov.f64 %d, 0d3FF8000000000000;", D, &rows, |_| 1.5f64.to_bits());
    let less = |a: f64, b: f64| a < b || (a == b && a.is_sign_negative());
    check("min.f64 %d, %a, %b;", D, &rows, |r| {
        let [a, b, ..] = d(r);
        bits(if a.is_nan() || (!b.is_nan() && !less(a, b)) { b } else { a })
    });
    check("max.f64 %d, %a, %b;", D, &rows, |r| {
        let [a, b, ..] = d(r);
        bits(if a.is_nan() || (!b.is_nan() && less(a, b)) { b } else { a })
    });
    assert!(FLOATS.iter().any(|x| x.is_nan()));
}

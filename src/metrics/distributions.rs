//! Tails and quantiles of the distributions that the tests need, by `statrs`; what it lacks stands here.
//!
//! The incomplete beta function is ours: `statrs` 0.18 ends its continued fraction after 140 terms, too few for the counts of
//! 100,000 predictions.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};
use statrs::function::gamma::ln_gamma;

/// Terms after which the continued fraction is given up; it needs about the square root of its larger argument.
const MAX_TERMS: usize = 100_000;

/// The standard normal's quantile of `p`, 0 < p < 1.
pub(super) fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// P(|Z| ≥ |z|) of the standard normal.
pub(super) fn normal_two_sided(z: f64) -> f64 {
    (2.0 * Normal::standard().sf(z.abs())).min(1.0)
}

/// P(|T| ≥ |t|) of Student's t with `freedom` > 0: I_{f/(f+t²)}(f/2, 1/2) (DLMF 8.17; Abramowitz, Stegun 26.7.1).
pub(super) fn t_two_sided(t: f64, freedom: f64) -> f64 {
    beta_regularized(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The t with P(|T| ≥ t) = `p`, by the same formula from the side that keeps its digits.
pub(super) fn t_two_sided_quantile(p: f64, freedom: f64) -> f64 {
    let share = beta_quantile(0.5, freedom / 2.0, 1.0 - p);
    (freedom * share / (1.0 - share)).sqrt()
}

/// P(X ≥ x) of chi-square with `freedom` > 0.
pub(super) fn chi_square_upper(x: f64, freedom: f64) -> f64 {
    match ChiSquared::new(freedom) {
        Ok(law) if x > 0.0 => law.sf(x),
        _ => 1.0,
    }
}

/// ln n!.
pub(super) fn ln_factorial(n: u64) -> f64 {
    ln_gamma(n as f64 + 1.0)
}

/// The regularised incomplete beta function I_x(a, b), a and b > 0.
///
/// Source: DLMF 8.17.22, its continued fraction evaluated by Lentz's method, on the side of the mean where it converges fast
/// (DLMF 8.17.4 for the other).
pub(super) fn beta_regularized(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_regularized(b, a, 1.0 - x);
    }
    let ln_front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    ln_front.exp() / (a * beta_fraction(a, b, x))
}

/// 1 + d₁/(1 + d₂/(1 + …)) of DLMF 8.17.22.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away_from_zero = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    for term in 1..MAX_TERMS {
        let m = (term / 2) as f64;
        let numerator = match term % 2 {
            0 => m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            _ => -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        };
        d = 1.0 / away_from_zero(1.0 + numerator * d);
        c = away_from_zero(1.0 + numerator / c);
        value *= c * d;
        if (c * d - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    value
}

/// The x with I_x(a, b) = `p`, by halving: sixty steps end at the last bit near 1, some more near 0.
pub(super) fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high || high - low <= 1e-15 * high {
            return middle;
        }
        match beta_regularized(a, b, middle) < p {
            true => low = middle,
            false => high = middle,
        }
    }
}

/// P(X ≤ `hits`) of the binomial law with `total` trials of chance `p`, 0 < p < 1.
pub(super) fn binomial_lower(hits: u64, total: u64, p: f64) -> f64 {
    match hits >= total {
        true => 1.0,
        false => beta_regularized((total - hits) as f64, hits as f64 + 1.0, 1.0 - p),
    }
}

//! Reproducible random weights, the same on every machine: a counter-based generator in integers, + − × ÷ √ only, that
//! a few lines of NumPy repeat bit for bit (`tests/reference/weights.py`).
//!
//! mix(z) is SplitMix64's finaliser; a tensor has the key mix(seed + γ·(fnv1a(name) | 1)), its element i the 64 bits
//! mix(key + γ·(i + 1)), all modulo 2⁶⁴. Of these bits a *normal* value is (sum of the four 16-bit lanes − 131070) / σ
//! with σ² = 4·(2³² − 1)/12, a sum of uniforms of variance 1; a *uniform* one the upper 24 bits / 2²⁴. All in float64,
//! rounded once.
//!
//! Filters have He's variance 2 / (C·R·S); statistics lie near those of normalised maps, so that signals neither vanish
//! nor grow. The filters of the first convolution are centred, in integers, and four times as strong: the constant frame
//! around a padded crop excites nothing, and the crop decides the answer. A deep random network otherwise answers nearly
//! the same to every crop. The last layer's weights have a small mean, so that logits are no difference of large sums, in
//! which float32 would lose its digits.
//! Sources: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014; Fowler, Noll
//! and Vo's FNV-1a; He et al., 2015 (arXiv 1502.01852) for the variance of the filters.

use std::path::Path;

use super::{Bytes, DType, Entry, Header, Weights, checked_bytes};
use crate::error::{Error, Result};
use crate::network::Parameter;

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's finaliser.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The key of the stream called `name` under `seed`.
pub(crate) fn key(seed: u64, name: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
    mix(seed.wrapping_add(GAMMA.wrapping_mul(hash | 1)))
}

/// The 64 random bits of element `i` of a stream.
pub(crate) fn bits(key: u64, i: u64) -> u64 {
    mix(key.wrapping_add(GAMMA.wrapping_mul(i.wrapping_add(1))))
}

/// Sum of the four 16-bit lanes, about 131070.
fn lanes(bits: u64) -> i64 {
    ((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)) as i64
}

/// σ, the standard deviation of [`lanes`].
fn sigma() -> f64 {
    (4.0 * 4_294_967_295.0_f64 / 12.0).sqrt()
}

/// Variance 1, mean 0, within ±3.47.
fn normal(bits: u64, sigma: f64) -> f64 {
    (lanes(bits) - 131_070) as f64 / sigma
}

/// From 0 inclusive to 1 exclusive.
fn uniform(bits: u64) -> f64 {
    (bits >> 40) as f64 / 16_777_216.0
}

/// The layer whose filters are centred.
const FIRST: &str = "Conv2d_1a_3x3.conv.weight";

/// How much wider than He's variance the first filters spread.
const FIRST_GAIN: f64 = 4.0;

/// The last layer's mean, in its standard deviations.
const LAST_OFFSET: f64 = 0.125;

/// The elements of `parameter`.
fn draw(seed: u64, parameter: &Parameter, values: &mut Vec<f32>) {
    let Parameter { name, shape } = parameter;
    let (key, sigma) = (key(seed, name), sigma());
    let fan_in = shape[1..].iter().product::<usize>();
    let elements = 0..shape.iter().product::<usize>() as u64;
    let he = (2.0 / fan_in as f64).sqrt();
    let unit = (1.0 / fan_in as f64).sqrt();
    let normal = |i: u64| normal(bits(key, i), sigma);
    if name == FIRST {
        for filter in 0..shape[0] as u64 {
            let of = |i: usize| lanes(bits(key, filter * fan_in as u64 + i as u64));
            let sum: i64 = (0..fan_in).map(of).sum();
            let centred = |i: usize| (fan_in as i64 * of(i) - sum) as f64 / (fan_in as f64 * sigma);
            values.extend((0..fan_in).map(|i| (FIRST_GAIN * (he * centred(i))) as f32));
        }
    } else if shape.len() == 4 {
        values.extend(elements.map(|i| (he * normal(i)) as f32));
    } else if shape.len() == 2 {
        values.extend(elements.map(|i| (unit * (normal(i) + LAST_OFFSET)) as f32));
    } else if name.ends_with("bn.weight") || name.ends_with("running_var") {
        values.extend(elements.map(|i| (0.75 + 0.5 * uniform(bits(key, i))) as f32));
    } else {
        values.extend(elements.map(|i| (0.1 * normal(i)) as f32));
    }
}

impl Weights {
    /// Random weights for `parameters`, the same on every machine for one seed.
    ///
    /// # Errors
    /// [`Error::Memory`] when there is too little memory; [`Error::Tensor`] for a shape without dimensions, or too large.
    pub fn random(seed: u64, parameters: &[Parameter]) -> Result<Self> {
        let path = Path::new("random weights");
        let mut total = 0usize;
        for Parameter { name, shape } in parameters {
            let elements = checked_bytes(DType::F32, shape).filter(|_| !shape.is_empty());
            let sum = elements.and_then(|bytes| total.checked_add(bytes / size_of::<f32>()));
            total =
                sum.ok_or_else(|| Error::tensor(path, name, format!("cannot have the shape {shape:?}")))?;
        }
        let mut values: Vec<f32> = Vec::new();
        let memory = |_| Error::Memory {
            what: "random weights".into(),
            needed_bytes: total.saturating_mul(size_of::<f32>()),
        };
        values.try_reserve_exact(total).map_err(memory)?;
        let mut entries = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            let Parameter { name, shape } = parameter;
            let start = values.len() * size_of::<f32>();
            entries.push(Entry {
                name: name.clone(),
                dtype: DType::F32,
                shape: shape.clone(),
                start,
                strides: None,
            });
            draw(seed, parameter, &mut values);
        }
        let header = Header { entries, metadata: Default::default() };
        Self::assemble(path, Bytes::Values(values), header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First three, last, and sum of all bit patterns as integers, from `tests/reference/weights.py` with seed 7.
    #[test]
    fn values_are_those_of_numpy() {
        let known: [(&str, &[usize], [u32; 4], u64); 6] = [
            (FIRST, &[32, 3, 3, 3], [0xbed5f6d5, 0xc02f503e, 0x3f558d07, 0xbefafc82], 0x1b2d963d587),
            (
                "Conv2d_2a_3x3.conv.weight",
                &[32, 32, 3, 3],
                [0xbe14ac16, 0xbe080dcf, 0xbe06a61f, 0x3d346079],
                0x1194dbf9a967,
            ),
            (
                "Mixed_5b.branch1x1.bn.weight",
                &[64],
                [0x3f9fdca8, 0x3f530867, 0x3f90f4d1, 0x3f7f88f8],
                0xfde9a3bd3,
            ),
            (
                "Mixed_5b.branch1x1.bn.running_mean",
                &[64],
                [0x3c6a6ede, 0xbd9dea11, 0x3d9b3d8f, 0x3ceac78c],
                0x1ed96bc301,
            ),
            ("fc.weight", &[1, 2048], [0xbcbe223c, 0x3af53a87, 0x3cc2fc81, 0xbc83bd00], 0x3aad1a9271f),
            ("fc.bias", &[1], [0xbcbf325f, 0xbcbf325f, 0xbcbf325f, 0xbcbf325f], 0xbcbf325f),
        ];
        for (name, shape, expected, sum) in known {
            let mut values = Vec::new();
            draw(7, &Parameter { name: name.into(), shape: shape.to_vec() }, &mut values);
            let bits: Vec<u32> = values.iter().map(|x| x.to_bits()).collect();
            let last = bits.len() - 1;
            assert_eq!([bits[0], bits[1.min(last)], bits[2.min(last)], bits[last]], expected, "{name}");
            assert_eq!(bits.iter().map(|&b| u64::from(b)).sum::<u64>(), sum, "{name}");
        }
    }

    #[test]
    fn the_first_filters_sum_to_zero() {
        let mut values = Vec::new();
        draw(3, &Parameter { name: FIRST.into(), shape: vec![32, 3, 3, 3] }, &mut values);
        for filter in values.chunks(27) {
            // Each of 27 values of about 1 is rounded to float32.
            assert!(filter.iter().map(|&x| f64::from(x)).sum::<f64>().abs() <= 2e-6);
        }
    }
}

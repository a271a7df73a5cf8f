//! Reproducible random weights, the same on every machine: a counter-based generator in integers, + − × ÷ √ only, that
//! a few lines of NumPy repeat bit for bit (`tests/reference/weights.py`).
//!
//! mix(z) is SplitMix64's finaliser; a tensor has the key mix(seed + γ·(fnv1a(name) | 1)), its element i the 64 bits
//! mix(key + γ·(i + 1)), all modulo 2⁶⁴. Of these bits a *normal* value is (sum of the four 16-bit lanes − 131070) / σ
//! with σ² = 4·(2³² − 1)/12, a sum of uniforms of variance 1; a *uniform* one the upper 24 bits / 2²⁴. All in float64,
//! rounded once. Sources: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014; Fowler, Noll
//! and Vo's FNV-1a; He et al., 2015 (arXiv 1502.01852) for the variance of the filters.

use std::path::Path;

use super::{Bytes, DType, Entry, Header, Weights};
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

/// Variance 1, mean 0, within ±3.47.
fn normal(bits: u64, sigma: f64) -> f64 {
    let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
    (sum as f64 - 131_070.0) / sigma
}

/// From 0 inclusive to 1 exclusive.
fn uniform(bits: u64) -> f64 {
    (bits >> 40) as f64 / 16_777_216.0
}

/// What a parameter's elements are drawn from: a + b·normal, or a + b·uniform.
struct Law {
    uniform: bool,
    a: f64,
    b: f64,
}

impl Law {
    /// Filters after He: variance 2 / (C·R·S). Statistics near those of normalised maps, so that signals neither vanish
    /// nor grow; a last layer strong enough that the answer depends on the image.
    fn of(parameter: &Parameter) -> Law {
        let Parameter { name, shape } = parameter;
        let fan_in = shape[1..].iter().product::<usize>() as f64;
        if shape.len() == 4 {
            Law { uniform: false, a: 0.0, b: (2.0 / fan_in).sqrt() }
        } else if shape.len() == 2 {
            Law { uniform: false, a: 0.0, b: LAST_LAYER_GAIN * (1.0 / fan_in).sqrt() }
        } else if name.ends_with("bn.weight") || name.ends_with("running_var") {
            Law { uniform: true, a: 0.75, b: 0.5 }
        } else {
            Law { uniform: false, a: 0.0, b: 0.1 }
        }
    }
}

/// How much wider than unit variance the last layer spreads.
const LAST_LAYER_GAIN: f64 = 8.0;

impl Weights {
    /// Random weights for `parameters`, the same on every machine for one seed.
    ///
    /// # Errors
    /// [`Error::Memory`] when there is too little memory.
    pub fn random(seed: u64, parameters: &[Parameter]) -> Result<Self> {
        let total: usize = parameters.iter().map(|p| p.shape.iter().product::<usize>()).sum();
        let mut values: Vec<f32> = Vec::new();
        let memory =
            |_| Error::Memory { what: "random weights".into(), needed_bytes: total * size_of::<f32>() };
        values.try_reserve_exact(total).map_err(memory)?;
        let sigma = (4.0 * 4_294_967_295.0_f64 / 12.0).sqrt();
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
            let (key, law) = (key(seed, name), Law::of(parameter));
            let draw = |i: u64| {
                let bits = bits(key, i);
                let z = if law.uniform { uniform(bits) } else { normal(bits, sigma) };
                (law.a + law.b * z) as f32
            };
            values.extend((0..shape.iter().product::<usize>() as u64).map(draw));
        }
        let header = Header { entries, metadata: Default::default() };
        Self::assemble(Path::new("random weights"), Bytes::Values(values), header)
    }
}

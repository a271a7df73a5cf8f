//! linear: y[n,k] = Σ_c x[n,c] · w[k,c] + b[k]. Source: torch.nn.Linear. The sum is taken in float64: the layer is
//! small, and its result is what everybody reads. One unit is sixteen outputs of one image.

use super::elementwise::MapView;

/// Outputs of a unit.
const OUTPUTS: usize = 16;

/// A fully connected layer.
pub(super) struct Linear {
    pub values: Values,
    /// One value a channel, H = W = 1.
    pub input: MapView,
    pub output: MapView,
}

/// Weight and bias.
pub(super) enum Values {
    /// K·C and K values.
    Fixed { weight: Vec<f32>, bias: Vec<f32> },
    /// Where the former and the latter begin in the arena.
    Learned { weight: usize, bias: usize },
}

impl Linear {
    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        images * self.output.c.div_ceil(OUTPUTS)
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds both views; nobody else touches this unit's output.
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        let (k, c) = (self.output.c, self.input.c);
        let pieces = k.div_ceil(OUTPUTS);
        let (image, first) = (unit / pieces, unit % pieces * OUTPUTS);
        // SAFETY: the caller's contract; a map of one pixel is C values in a row in every layout.
        unsafe {
            let x = std::slice::from_raw_parts(arena.add(self.input.block(image, 0)), c);
            let y = arena.add(self.output.block(image, 0));
            let (weight, bias) = match &self.values {
                Values::Fixed { weight, bias } => (weight.as_slice(), bias.as_slice()),
                Values::Learned { weight, bias } => {
                    let values = |first: usize, count: usize| {
                        std::slice::from_raw_parts(arena.add(first).cast_const(), count)
                    };
                    (values(*weight, k * c), values(*bias, k))
                }
            };
            for k in first..(first + OUTPUTS).min(k) {
                let mut sums = [0.0f64; 8];
                for (i, (x, w)) in x.iter().zip(&weight[k * c..(k + 1) * c]).enumerate() {
                    sums[i % 8] += f64::from(*x) * f64::from(*w);
                }
                *y.add(k) = (sums.iter().sum::<f64>() + f64::from(bias[k])) as f32;
            }
        }
    }
}

//! softmax: p[n,k] = exp(x[n,k]) / Σ_j exp(x[n,j]), taken in float64; one logit x counts as the two logits 0 and x. Source:
//! torch.nn.Softmax, torch.nn.Sigmoid. One unit is one image.

use super::elementwise::MapView;

/// Probabilities of the classes.
pub(super) struct Softmax {
    /// K logits.
    pub input: MapView,
    /// max(K, 2) probabilities.
    pub output: MapView,
}

impl Softmax {
    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds both views; nobody else touches this unit's output.
    pub unsafe fn run(&self, image: usize, arena: *mut f32) {
        let k = self.input.c;
        // SAFETY: the caller's contract; a map of one pixel is its channels in a row.
        let (logits, p) = unsafe {
            let x = arena.add(self.input.block(image, 0));
            let p = arena.add(self.output.block(image, 0));
            (std::slice::from_raw_parts(x, k), std::slice::from_raw_parts_mut(p, self.output.c))
        };
        let logit = |k_: usize| match (k, k_) {
            (1, 0) => 0.0,
            (1, _) => f64::from(logits[0]),
            _ => f64::from(logits[k_]),
        };
        let classes = 0..self.output.c;
        let largest = classes.clone().map(logit).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = classes.clone().map(|k_| (logit(k_) - largest).exp()).sum();
        for k_ in classes {
            p[k_] = ((logit(k_) - largest).exp() / sum) as f32;
        }
    }
}

//! loss: L = −Σ_{n,k} t[n,k]·log p[n,k], p the softmax of the logits x, and dx[n,k] = p[n,k]·Σ_j t[n,j] − t[n,k]; one logit x counts as the
//! two logits 0 and x, and its gradient is that of the second. log p = x − m − log Σ_j exp(x_j − m), m the largest logit. Source:
//! torch.nn.CrossEntropyLoss with probabilities as targets, BCEWithLogitsLoss. All in float64, in order. There is one unit.

use super::elementwise::MapView;

/// The loss of a batch, and its gradient.
pub(super) struct Loss {
    /// K logits an image.
    pub logits: MapView,
    /// max(K, 2) weights an image.
    pub targets: MapView,
    /// Where the loss goes.
    pub loss: usize,
    /// K values an image.
    pub gradient: MapView,
}

impl Loss {
    /// Computes everything.
    ///
    /// # Safety
    /// `arena` holds all places; nobody else touches the loss and the gradient.
    pub unsafe fn run(&self, images: usize, arena: *mut f32) {
        // SAFETY: the caller's contract.
        unsafe {
            let loss: f64 = (0..images).map(|image| self.image(image, arena)).sum();
            *arena.add(self.loss) = loss as f32;
        }
    }

    /// Writes one image's gradient and gives its loss.
    ///
    /// # Safety
    /// As [`Loss::run`].
    unsafe fn image(&self, image: usize, arena: *mut f32) -> f64 {
        let (k, classes) = (self.logits.c, self.targets.c);
        // SAFETY: a map of one pixel is its channels in a row; the caller's contract covers the rest.
        let (logits, targets, gradient) = unsafe {
            let part = |map: &MapView| arena.add(map.block(image, 0));
            (
                std::slice::from_raw_parts(part(&self.logits), k),
                std::slice::from_raw_parts(part(&self.targets), classes),
                std::slice::from_raw_parts_mut(part(&self.gradient), k),
            )
        };
        let first = classes - k;
        let logit = |class: usize| if class < first { 0.0 } else { f64::from(logits[class - first]) };
        let largest = (0..classes).map(logit).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = (0..classes).map(|class| (logit(class) - largest).exp()).sum();
        let weight: f64 = targets.iter().map(|t| f64::from(*t)).sum();
        let mut loss = 0.0;
        for (class, t) in targets.iter().enumerate() {
            let (own, t) = (logit(class) - largest, f64::from(*t));
            // A class that does not count does not, however small its probability.
            if t != 0.0 {
                loss -= t * (own - sum.ln());
            }
            if class >= first {
                gradient[class - first] = (own.exp() / sum * weight - t) as f32;
            }
        }
        loss
    }
}

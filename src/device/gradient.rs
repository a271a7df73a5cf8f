//! An engine that takes the gradient of its logits by one layer's output.

use super::Engine;
use crate::error::{Error, Result};
use crate::network::FEATURES;

impl Engine {
    /// Runs the first `images` images of the input, and takes the gradient of Σ dy·logits by the output of the program's layer, LAYER:
    /// [`Engine::output`] has it as `grad.LAYER`, and the output as LAYER. `dy` are N·K factors of the logits.
    ///
    /// # Errors
    /// [`Error::Argument`] when the program takes no gradient; [`Error::Shape`] for more images than the batch, none, or another number
    /// of factors; [`Error::Device`] when the device fails.
    pub fn run_gradient(&mut self, images: usize, dy: &[f32]) -> Result<()> {
        let Some(gradient) = &self.program.gradient else {
            return Err(Error::Argument("the program takes no gradient by a layer's output".into()));
        };
        let seed = gradient.seed.buffer;
        self.check(images)?;
        let classes = self.program.network.classes;
        if dy.len() != images * classes {
            return Err(Error::Shape {
                what: format!("factors of the logits of {images} images and {classes} outputs"),
                expected: format!("{} values", images * classes),
                got: dy.len().to_string(),
            });
        }
        let mut values = Vec::with_capacity(images * FEATURES);
        for dy in dy.chunks_exact(classes) {
            let mut sums = vec![0.0f64; FEATURES];
            // What does not count adds nothing, not even where a weight is no number.
            for (factor, row) in
                dy.iter().zip(self.last_layer.chunks_exact(FEATURES)).filter(|(f, _)| **f != 0.0)
            {
                sums.iter_mut().zip(row).for_each(|(sum, w)| *sum += f64::from(*factor) * f64::from(*w));
            }
            values.extend(sums.into_iter().map(|sum| sum as f32));
        }
        self.executor.write(seed, 0, &values)?;
        self.executor.run(images)
    }
}

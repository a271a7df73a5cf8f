//! What changes from one training step to the next without changing the program.

/// The numbers by which a step updates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// Learning rate.
    pub lr: f32,
    /// Share of the former momentum that stays, μ.
    pub momentum: f32,
    /// λ of λ/2·‖w‖².
    pub weight_decay: f32,
    /// Whether the update looks ahead.
    pub nesterov: bool,
    /// Gradients whose norm is larger are scaled down to this norm.
    pub clip_norm: Option<f32>,
    /// Seed of dropout.
    pub seed: u32,
    /// Number of the step, by which dropout differs from step to step.
    pub step: u32,
}

impl Default for Controls {
    /// As torch.optim.SGD: lr 1e-3 and nothing else.
    fn default() -> Self {
        Controls {
            lr: 1e-3,
            momentum: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            clip_norm: None,
            seed: 0,
            step: 0,
        }
    }
}

impl Controls {
    /// Words of the controls' buffer.
    pub const WORDS: usize = 8;

    /// As devices read them: lr, momentum, weight decay, nesterov as 0 or 1, clip norm or infinity, then seed and step as the bits of
    /// 32-bit integers, and a zero.
    pub fn words(&self) -> [f32; Controls::WORDS] {
        let nesterov = if self.nesterov { 1.0 } else { 0.0 };
        let clip = self.clip_norm.unwrap_or(f32::INFINITY);
        let [seed, step] = [self.seed, self.step].map(f32::from_bits);
        [self.lr, self.momentum, self.weight_decay, nesterov, clip, seed, step, 0.0]
    }
}

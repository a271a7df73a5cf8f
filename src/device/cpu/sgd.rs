//! gradient_norm: ‖g‖₂ = √(Σ g²), float64 throughout.
//! update: g ← g·min(1, clip/‖g‖) + λ·w, v ← μ·v + g, w ← w − lr·v, or with Nesterov w ← w − lr·(g + μ·v). Source: torch.optim.SGD,
//! torch.nn.utils.clip_grad_norm_, without the 1e-6 that the latter adds to the norm. Gradients stay as they are.
//! One unit is [`VALUES`] values.

use super::partials::Partials;
use super::simd::{Isa, Simd, dispatch};
use crate::program::Controls;

/// Values of a unit.
const VALUES: usize = 1 << 15;

/// The norm of a run of values.
pub(super) struct GradientNorm {
    pub isa: Isa,
    /// Where they begin.
    pub gradients: usize,
    /// How many.
    pub count: usize,
    /// Where the norm goes.
    pub norm: usize,
    pub partials: Partials,
}

impl GradientNorm {
    /// Room for the sum over `count` values.
    pub fn partials(count: usize) -> Partials {
        Partials::new(1, count.div_ceil(VALUES), 1)
    }

    /// Units.
    pub fn units(&self) -> usize {
        self.count.div_ceil(VALUES)
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds all places; nobody else touches the norm; each unit runs once.
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        let mut sum = [0.0];
        let own = VALUES.min(self.count - unit * VALUES);
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe {
            let g = std::slice::from_raw_parts(arena.add(self.gradients + unit * VALUES), own);
            squares(self.isa, g, &mut sum);
            if self.partials.add(0, unit, self.units(), &mut sum) {
                *arena.add(self.norm) = sum[0].sqrt() as f32;
            }
        }
    }
}

dispatch!(fn squares = squares_body(g: &[f32], sum: &mut [f64; 1]));

/// Σ g², by sixteen sums side by side.
#[inline(always)]
unsafe fn squares_body<S: Simd>(g: &[f32], sum: &mut [f64; 1]) {
    let mut sums = [0.0f64; 16];
    let whole = g.chunks_exact(16);
    for (lane, g) in whole.remainder().iter().enumerate() {
        sums[lane] = f64::from(*g) * f64::from(*g);
    }
    for g in whole {
        for lane in 0..16 {
            sums[lane] += f64::from(g[lane]) * f64::from(g[lane]);
        }
    }
    sum[0] = sums.iter().sum();
}

/// One step of stochastic gradient descent over a run of values.
pub(super) struct Update {
    pub isa: Isa,
    /// Where w, g and v begin.
    pub parameters: usize,
    pub gradients: usize,
    pub momentum: usize,
    /// How many.
    pub count: usize,
    /// Where ‖g‖₂ lies.
    pub norm: usize,
    /// Where the controls lie.
    pub controls: usize,
}

impl Update {
    /// Units.
    pub fn units(&self) -> usize {
        self.count.div_ceil(VALUES)
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds all places; nobody else touches this unit's w and v.
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe { values(self.isa, self, unit, arena) }
    }
}

dispatch!(fn values = values_body(update: &Update, unit: usize, arena: *mut f32));

#[inline(always)]
unsafe fn values_body<S: Simd>(update: &Update, unit: usize, arena: *mut f32) {
    let (first, own) = (unit * VALUES, VALUES.min(update.count - unit * VALUES));
    // SAFETY: the caller's contract.
    let (w, g, v, controls, norm) = unsafe {
        (
            std::slice::from_raw_parts_mut(arena.add(update.parameters + first), own),
            std::slice::from_raw_parts(arena.add(update.gradients + first), own),
            std::slice::from_raw_parts_mut(arena.add(update.momentum + first), own),
            std::slice::from_raw_parts(arena.add(update.controls), Controls::WORDS),
            *arena.add(update.norm),
        )
    };
    let (lr, mu, decay, nesterov, clip) = (controls[0], controls[1], controls[2], controls[3], controls[4]);
    let scale = if norm > clip { clip / norm } else { 1.0 };
    for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
        let g = g * scale + decay * *w;
        *v = mu * *v + g;
        *w -= lr * if nesterov != 0.0 { g + mu * *v } else { *v };
    }
}

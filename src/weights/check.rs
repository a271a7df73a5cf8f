//! Whether weights are those of a network.

use std::collections::HashSet;

use super::{PREPROCESS, Weights};
use crate::error::{Error, Result};
use crate::network::{AUXILIARY_HEAD, Parameter};

/// The counter torchvision's batch norms keep.
const COUNTER: &str = ".num_batches_tracked";

/// Whether `name` belongs to the auxiliary head of torchvision's file, which only training uses.
fn is_auxiliary(name: &str) -> bool {
    name.split('.').next() == Some(AUXILIARY_HEAD)
}

impl Weights {
    /// Whether these are exactly the `expected` tensors, finite, with no negative variance. The auxiliary head, batch
    /// counters and `preprocess.*` may stand beside them.
    ///
    /// # Errors
    /// [`Error::Tensor`] naming the first tensor that is missing, superfluous, mis-shaped or has a bad element.
    pub fn check(&self, expected: &[Parameter]) -> Result<()> {
        for parameter in expected {
            self.check_tensor(parameter)?;
        }
        let known: HashSet<&str> = expected.iter().map(|p| p.name.as_str()).collect();
        let allowed = |name: &str| {
            known.contains(name)
                || is_auxiliary(name)
                || name.starts_with(PREPROCESS)
                || name.ends_with(COUNTER)
        };
        match self.names().find(|name| !allowed(name)) {
            Some(name) => {
                Err(Error::tensor(self.path(), name, "superfluous: Inception-v3 has no such tensor"))
            }
            None => Ok(()),
        }
    }

    fn check_tensor(&self, Parameter { name, shape }: &Parameter) -> Result<()> {
        let wrong = |problem: String| Err(Error::tensor(self.path(), name, problem));
        match self.shape(name) {
            None if is_auxiliary(name) => {
                return wrong("missing: the weights have no auxiliary head, or not all of it".into());
            }
            None => return wrong("missing: Inception-v3 needs it".into()),
            Some(got) if got != shape => return wrong(format!("expected shape {shape:?}, got {got:?}")),
            _ => {}
        }
        if self.dtype(name).is_some_and(|dtype| !dtype.is_float()) {
            return wrong("holds integers where real numbers belong".into());
        }
        let values = self.f32(name)?;
        // All bits of the exponent set: infinite or not a number.
        const EXPONENT: u32 = 0x7f80_0000;
        let bad = |x: &f32| x.to_bits() & EXPONENT == EXPONENT;
        if values.iter().fold(false, |any, x| any | bad(x)) {
            let at = values.iter().position(bad).unwrap_or_default();
            return wrong(format!("element {at} is {}; weights must be finite", values[at]));
        }
        if name.ends_with(".running_var")
            && let Some(at) = values.iter().position(|&x| x < 0.0)
        {
            return wrong(format!("element {at} is {}; a variance cannot be negative", values[at]));
        }
        Ok(())
    }
}

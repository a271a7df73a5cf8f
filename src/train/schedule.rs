//! Learning rates: lr(t) for step t = 0, 1, …, at n steps an epoch.
//!
//! Warm-up multiplies the rate of the first w steps by (t + 1)/w. Then `constant`: lr; `time:d`: lr/(1 + d·t), Keras' time-based
//! decay; `step:e,f`: lr·f^⌊epoch/e⌋; `cosine`: lr·(1 + cos(π·t/T))/2 over all T steps. Taken in float64, rounded once.
//! Sources: keras.optimizers.SGD (`decay`); torch.optim.lr_scheduler.StepLR; Loshchilov and Hutter, arXiv 1608.03983.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// Not at all.
    Constant,
    /// By 1/(1 + d·step).
    Time(f64),
    /// By a factor every so many epochs.
    Step {
        /// Epochs.
        every: usize,
        /// Factor.
        factor: f64,
    },
    /// Along half a cosine, to zero at the end.
    Cosine,
}

/// The learning rate of every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate it starts from.
    pub lr: f64,
    /// How it falls.
    pub decay: Decay,
    /// Steps over which it rises to `lr` first.
    pub warmup: usize,
    /// Steps of an epoch.
    pub steps_per_epoch: usize,
    /// Epochs.
    pub epochs: usize,
}

impl Schedule {
    /// The rate of step number `step`, counted from 0.
    pub fn at(&self, step: usize) -> f32 {
        let t = step as f64;
        let falling = match self.decay {
            Decay::Constant => 1.0,
            Decay::Time(decay) => 1.0 / (1.0 + decay * t),
            Decay::Step { every, factor } => {
                let times = step / self.steps_per_epoch.max(1) / every.max(1);
                (0..times).fold(1.0, |product, _| product * factor)
            }
            Decay::Cosine => {
                let all = (self.steps_per_epoch * self.epochs).max(1) as f64;
                (1.0 + (std::f64::consts::PI * t / all).cos()) / 2.0
            }
        };
        let rising = if step < self.warmup { (t + 1.0) / self.warmup as f64 } else { 1.0 };
        (self.lr * falling * rising) as f32
    }
}

impl FromStr for Decay {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Argument(format!(
                "a schedule is constant, time:DECAY, step:EPOCHS,FACTOR or cosine, not `{text}`"
            ))
        };
        let number = |text: &str| {
            let number: f64 = text.parse().map_err(|_| wrong())?;
            if (0.0..=1e6).contains(&number) { Ok(number) } else { Err(wrong()) }
        };
        match text.split_once(':') {
            None if text == "constant" => Ok(Decay::Constant),
            None if text == "cosine" => Ok(Decay::Cosine),
            Some(("time", decay)) => Ok(Decay::Time(number(decay)?)),
            Some(("step", rest)) => {
                let (every, factor) = rest.split_once(',').ok_or_else(wrong)?;
                let every = every.parse().ok().filter(|every| *every > 0).ok_or_else(wrong)?;
                Ok(Decay::Step { every, factor: number(factor)? })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Decay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decay::Constant => f.write_str("constant"),
            Decay::Time(decay) => write!(f, "time:{decay}"),
            Decay::Step { every, factor } => write!(f, "step:{every},{factor}"),
            Decay::Cosine => f.write_str("cosine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str, warmup: usize) -> Schedule {
        Schedule { lr: 0.1, decay: text.parse().unwrap(), warmup, steps_per_epoch: 10, epochs: 4 }
    }

    #[test]
    fn rates_are_those_of_the_formulas() {
        assert_eq!(schedule("constant", 0).at(39), 0.1);
        assert_eq!(schedule("time:0.5", 0).at(2), 0.05);
        let steps = schedule("step:2,0.1", 0);
        assert_eq!((steps.at(19), steps.at(20), steps.at(39)), (0.1, 0.01, 0.01));
        let cosine = schedule("cosine", 0);
        assert_eq!((cosine.at(0), cosine.at(20)), (0.1, 0.05));
        assert!(cosine.at(39) < 2e-4);
        let warm = schedule("constant", 4);
        assert_eq!((warm.at(0), warm.at(3), warm.at(4)), (0.025, 0.1, 0.1));
    }

    #[test]
    fn texts_come_back_and_others_are_refused() {
        for text in ["constant", "time:0.000001", "step:30,0.1", "cosine"] {
            assert_eq!(text.parse::<Decay>().unwrap().to_string(), text);
        }
        for text in ["", "linear", "time", "time:-1", "time:NaN", "step:0,0.1", "step:3", "cosine:1"] {
            assert!(text.parse::<Decay>().unwrap_err().to_string().contains("a schedule is"), "{text}");
        }
    }
}

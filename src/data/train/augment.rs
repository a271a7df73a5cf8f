//! What may be done to a training image before it is normalised, and what is drawn for one.
//!
//! As text, parts with commas between them: `hflip=P`, `vflip=P`, `rotate=DEGREES`, `noise=STD`, `fill=zero|edge`; the
//! probability of a rotation or of noise follows as `@P` and is 1 where it is left out: `hflip=0.5,rotate=180@0.75,noise=5@0.5`.
//! `none` is nothing at all; `paper` the four of doi 10.21037/qims-20-525, whose ranges it does not state.
//!
//! What is drawn for an image is a function of seed, epoch and the image's index; parts are drawn independently, so that one that
//! is left out changes no other.

use std::str::FromStr;

use super::random::Stream;
use super::{Fill, Transform};
use crate::error::{Error, Result};

/// The paper's four.
const PAPER: &str = "hflip=0.5,vflip=0.5,rotate=180,noise=5";

/// A rotation, now and then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    /// How often, from 0 to 1.
    pub probability: f32,
    /// The angle is drawn evenly from −degrees to degrees.
    pub degrees: f32,
}

/// Gaussian noise, now and then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// How often, from 0 to 1.
    pub probability: f32,
    /// The standard deviation is drawn evenly from 0 to this, in grey levels of 0 to 255.
    pub std: f32,
}

/// What may be done to training images.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// How often left and right are swapped, from 0 to 1.
    pub hflip: f32,
    /// How often top and bottom are swapped, from 0 to 1.
    pub vflip: f32,
    /// How the image is turned.
    pub rotate: Option<Rotation>,
    /// What a flip and a rotation move, and what comes in from outside.
    pub fill: Fill,
    /// How noise is added.
    pub noise: Option<Noise>,
}

impl Augmentation {
    /// What is done to image `sample` in `epoch`.
    pub fn draw(&self, seed: u64, epoch: u64, sample: usize) -> Transform {
        let stream = Stream::new(seed, "augment").below(epoch).below(sample as u64);
        let draws = stream.below(0);
        let happens = |i: u64, probability: f32| draws.uniform(i) < f64::from(probability);
        let rotation = self.rotate.filter(|rotation| happens(2, rotation.probability));
        let noise = self.noise.filter(|noise| happens(4, noise.probability));
        Transform {
            hflip: happens(0, self.hflip),
            vflip: happens(1, self.vflip),
            degrees: rotation.map_or(0.0, |r| f64::from(r.degrees) * (2.0 * draws.uniform(3) - 1.0)),
            fill: self.fill,
            noise_std: noise.map_or(0.0, |noise| (f64::from(noise.std) * draws.uniform(5)) as f32),
            noise_key: stream.below(1).key(),
        }
    }

    /// Takes one part of the text in.
    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let (range, probability) = match value.split_once('@') {
            Some((range, probability)) if matches!(name, "rotate" | "noise") => {
                (range, number(name, probability, 1.0)?)
            }
            _ => (value, 1.0),
        };
        match name {
            "hflip" => self.hflip = number(name, value, 1.0)?,
            "vflip" => self.vflip = number(name, value, 1.0)?,
            "rotate" => self.rotate = Some(Rotation { probability, degrees: number(name, range, 180.0)? }),
            "noise" => self.noise = Some(Noise { probability, std: number(name, range, 255.0)? }),
            "fill" => self.fill = value.parse()?,
            _ => {
                return Err(Error::Argument(format!(
                    "augment has hflip, vflip, rotate, noise and fill, and no `{name}`"
                )));
            }
        }
        Ok(())
    }
}

/// A number from 0 to `most`.
fn number(name: &str, text: &str, most: f32) -> Result<f32> {
    let number = text.parse().ok().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| {
        Error::Argument(format!("augment: `{name}` takes numbers from 0 to {most}, not `{text}`"))
    })
}

impl FromStr for Augmentation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = match text {
            "none" => return Ok(Augmentation::default()),
            "paper" => PAPER,
            _ => text,
        };
        let (mut all, mut seen) = (Augmentation::default(), Vec::new());
        for part in text.split(',') {
            let Some((name, value)) = part.split_once('=') else {
                return Err(Error::Argument(format!(
                    "augment is `none`, `paper` or parts such as `{PAPER}`, not `{part}`"
                )));
            };
            if seen.contains(&name) {
                return Err(Error::Argument(format!("augment names `{name}` twice: keep one")));
            }
            seen.push(name);
            all.set(name, value)?;
        }
        Ok(all)
    }
}

impl std::fmt::Display for Augmentation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        for (name, probability) in [("hflip", self.hflip), ("vflip", self.vflip)] {
            if probability != 0.0 {
                parts.push(format!("{name}={probability}"));
            }
        }
        let rotate = self.rotate.map(|r| ("rotate", r.degrees, r.probability));
        let noise = self.noise.map(|n| ("noise", n.std, n.probability));
        for (name, range, probability) in [rotate, noise].into_iter().flatten() {
            match probability {
                1.0 => parts.push(format!("{name}={range}")),
                _ => parts.push(format!("{name}={range}@{probability}")),
            }
        }
        if self.fill != Fill::default() {
            parts.push(format!("fill={}", self.fill));
        }
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_round() {
        for text in [
            "none",
            PAPER,
            "hflip=0.25",
            "vflip=1",
            "rotate=15@0.75",
            "noise=0.1@0.3",
            "fill=edge",
            "hflip=0.5,vflip=0.5,rotate=180@0.5,noise=5@0.5,fill=edge",
        ] {
            let parsed: Augmentation = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
        }
        assert_eq!("paper".parse::<Augmentation>().unwrap().to_string(), PAPER);
        let parsed: Augmentation = "noise=5@0.5,fill=zero,hflip=1".parse().unwrap();
        let expected = Augmentation {
            hflip: 1.0,
            noise: Some(Noise { probability: 0.5, std: 5.0 }),
            ..Default::default()
        };
        assert_eq!(parsed, expected);
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, says) in [
            ("", "not ``"),
            ("flip", "not `flip`"),
            ("flip=1", "no `flip`"),
            ("hflip=1.5", "`hflip` takes numbers from 0 to 1, not `1.5`"),
            ("hflip=-0.1", "not `-0.1`"),
            ("hflip=NaN", "not `NaN`"),
            ("hflip=0.5@0.5", "not `0.5@0.5`"),
            ("rotate=181", "from 0 to 180, not `181`"),
            ("rotate=inf", "not `inf`"),
            ("rotate=90@2", "`rotate` takes numbers from 0 to 1, not `2`"),
            ("noise=256", "from 0 to 255"),
            ("noise=5,noise=6", "names `noise` twice"),
            ("fill=black", "fill is `zero` or `edge`, not `black`"),
            ("hflip=0.5,", "not ``"),
            ("paper,hflip=1", "not `paper`"),
        ] {
            let message = text.parse::<Augmentation>().unwrap_err().to_string();
            assert!(message.contains(says), "{text}: {message}");
        }
    }

    #[test]
    fn each_part_has_its_probability_and_range_and_its_own_numbers() {
        let all: Augmentation = "hflip=0.3,vflip=0.6,rotate=30@0.5,noise=8@0.2".parse().unwrap();
        let draws: Vec<Transform> = (0..20_000).map(|i| all.draw(7, i / 100, (i % 100) as usize)).collect();
        let share = |what: &dyn Fn(&Transform) -> bool| {
            draws.iter().filter(|draw| what(draw)).count() as f64 / draws.len() as f64
        };
        // Five standard errors: 5 · √(¼ / 20,000).
        let near =
            |share: f64, expected: f64| assert!((share - expected).abs() <= 0.018, "{share}, {expected}");
        near(share(&|d| d.hflip), 0.3);
        near(share(&|d| d.vflip), 0.6);
        near(share(&|d| d.degrees != 0.0), 0.5);
        near(share(&|d| d.noise_std != 0.0), 0.2);
        near(share(&|d| d.degrees > 15.0), 0.125);
        near(share(&|d| d.degrees < -15.0), 0.125);
        near(share(&|d| d.noise_std > 4.0), 0.1);
        near(share(&|d| d.hflip && d.vflip), 0.18);
        near(share(&|d| d.hflip && d.degrees != 0.0), 0.15);
        assert!(draws.iter().all(|d| d.degrees.abs() <= 30.0 && (0.0..=8.0).contains(&d.noise_std)));

        let less: Augmentation = "vflip=0.6,noise=8@0.2".parse().unwrap();
        for i in 0..100 {
            let (more, less) = (all.draw(7, 3, i), less.draw(7, 3, i));
            assert_eq!((more.vflip, more.noise_std), (less.vflip, less.noise_std));
        }
        assert_eq!(all.draw(1, 2, 3), all.draw(1, 2, 3));
        let differ = |a: Transform, b: Transform| assert!(a != b, "{a:?}");
        differ(all.draw(1, 2, 3), all.draw(2, 2, 3));
        differ(all.draw(1, 2, 3), all.draw(1, 3, 3));
        differ(all.draw(1, 2, 3), all.draw(1, 2, 4));
    }
}

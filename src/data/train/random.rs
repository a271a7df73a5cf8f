//! Random numbers by place, not by turn: number i of a stream is a function of the stream's key and of i, so that whoever asks
//! for it, and when, makes no difference. Same generator as the random weights': `weights/random.rs`.

use crate::weights::random;

/// Numbers of 64 random bits, and streams below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    /// The stream called `name` under `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        Stream(random::key(seed, name))
    }

    /// The stream of a key.
    pub fn of_key(key: u64) -> Self {
        Stream(key)
    }

    /// Its key.
    pub fn key(self) -> u64 {
        self.0
    }

    /// Stream `i` below this one. A stream that has streams below gives no numbers itself.
    pub fn below(self, i: u64) -> Self {
        Stream(random::bits(self.0, i))
    }

    /// From 0 inclusive to 1 exclusive, in steps of 2⁻⁵³.
    pub fn uniform(self, i: u64) -> f64 {
        (random::bits(self.0, i) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of mean 0 and variance 1: the sum of twelve 16-bit numbers, less its mean. Within ±6; what tells it from a normal
    /// distribution is a kurtosis of 2.9 instead of 3. Integers until the last step: the same bits on every machine.
    pub fn normal(self, i: u64) -> f32 {
        let lanes = |bits: u64| (0..4).map(|lane| (bits >> (16 * lane) & 0xFFFF) as i32).sum::<i32>();
        let sum: i32 = (0..3).map(|part| lanes(random::bits(self.0, 3 * i + part))).sum();
        // 12 · 65535 / 2, and σ = √(12 · (2³² − 1) / 12).
        (sum - 393_210) as f32 / 65_536.0
    }

    /// Puts `items` into random order: Fisher and Yates' shuffle; each number below a bound by multiplication (Lemire 2019).
    pub fn shuffle<T>(self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bits = random::bits(self.0, last as u64);
            let other = (u128::from(bits) * (last as u128 + 1)) >> 64;
            items.swap(last, other as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_the_moments_of_a_normal_distribution() {
        let stream = Stream::new(1, "test").below(3);
        let count = 200_000;
        let values: Vec<f64> = (0..count).map(|i| f64::from(stream.normal(i))).collect();
        let moment = |power: i32| values.iter().map(|x| x.powi(power)).sum::<f64>() / count as f64;
        // Five standard errors of each: √(1, 2, 6 and 24 / count), and 0.1 of kurtosis by construction.
        let error = 5.0 / (count as f64).sqrt();
        assert!(moment(1).abs() <= error, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() <= error * 2f64.sqrt(), "variance {}", moment(2));
        assert!(moment(3).abs() <= error * 15f64.sqrt(), "skewness {}", moment(3));
        assert!((moment(4) - 2.9).abs() <= error * 96f64.sqrt(), "kurtosis {}", moment(4));
        let within = |bound: f64| values.iter().filter(|x| x.abs() <= bound).count() as f64 / count as f64;
        // A normal distribution's 0.5, 0.6827, 0.95 and 0.99, each with Edgeworth's correction for the kurtosis.
        for (bound, share) in [(0.6745, 0.4955f64), (1.0, 0.6787), (1.96, 0.9508), (2.576, 0.9911)] {
            let error = (share * (1.0 - share)).sqrt() * error;
            assert!((within(bound) - share).abs() <= error, "{} within {bound}", within(bound));
        }
    }

    #[test]
    fn every_order_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for i in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            Stream::new(5, "test").below(i).shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        // 1000 expected, five standard deviations of √1000.
        assert!(counts.values().all(|count| (842..=1158).contains(count)), "{counts:?}");
    }

    #[test]
    fn seeds_names_and_places_tell_streams_apart() {
        let all = [
            Stream::new(1, "a").uniform(0),
            Stream::new(2, "a").uniform(0),
            Stream::new(1, "b").uniform(0),
            Stream::new(1, "a").uniform(1),
            Stream::new(1, "a").below(0).uniform(0),
            Stream::new(1, "a").below(1).uniform(0),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!((0.0..1.0).contains(a) && all[..i].iter().all(|b| a != b), "{all:?}");
        }
    }
}

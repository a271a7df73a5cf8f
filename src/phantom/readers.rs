//! Readers who look at phantoms: three criteria, each seen wrongly at a stated rate, and a diameter with a stated error.

use super::node::Node;
use crate::data::train::random::Stream;
use crate::metrics::reading::Criteria;

/// From these values on a criterion truly holds: irregularity, heterogeneity, roundness.
pub(super) const HOLDS_FROM: [f64; 3] = [0.5, 0.5, 0.75];

/// The least diameter that is read, in mm.
const LEAST_MM: f64 = 1.0;

/// A made reader.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// As `readers.csv` has it.
    pub name: &'static str,
    /// How often a criterion is seen wrongly, each by itself, in each view anew.
    pub criterion_error: f64,
    /// Standard deviation of a read diameter from the true one.
    pub short_axis_sd_mm: f64,
}

/// The two readers.
pub const READERS: [Reader; 2] = [
    Reader { name: "phantom reader A", criterion_error: 0.25, short_axis_sd_mm: 1.0 },
    Reader { name: "phantom reader B", criterion_error: 0.15, short_axis_sd_mm: 0.5 },
];

impl Reader {
    /// What the reader sees of a view of `node`, and reads as its diameter in mm, to a tenth.
    pub(super) fn read(&self, node: &Node, stream: Stream) -> (Criteria, f64) {
        let numbers = [node.irregularity, node.heterogeneity, node.roundness];
        let seen = |k: usize| {
            let wrong = stream.uniform(k as u64) < self.criterion_error;
            (numbers[k] >= HOLDS_FROM[k]) != wrong
        };
        let criteria =
            Criteria { irregular_border: seen(0), heterogeneous_signal: seen(1), round_shape: seen(2) };
        // A normal number takes three places of a stream.
        let mm = node.short_axis_mm + self.short_axis_sd_mm * f64::from(stream.normal(1));
        (criteria, ((mm * 10.0 + 0.5).floor() / 10.0).max(LEAST_MM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_err_as_often_as_stated() {
        let count = 20_000;
        for (k, reader) in READERS.iter().enumerate() {
            let (mut wrong, mut squares) = (0, 0.0);
            for i in 0..count {
                let node = Node::draw(Stream::new(1, "nodes").below(i));
                let (seen, mm) = reader.read(&node, Stream::new(k as u64, "readers").below(i));
                wrong += u64::from(seen.round_shape != (node.roundness >= 0.75));
                squares += (mm - node.short_axis_mm) * (mm - node.short_axis_mm);
            }
            let (rate, sd) = (wrong as f64 / count as f64, (squares / count as f64).sqrt());
            // Four standard errors; a diameter is rounded and has a least value besides.
            assert!((rate - reader.criterion_error).abs() <= 0.013, "{}: {rate}", reader.name);
            assert!((sd / reader.short_axis_sd_mm - 1.0).abs() <= 0.03, "{}: {sd}", reader.name);
        }
    }
}

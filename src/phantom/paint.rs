//! A crop of a node: the smallest rectangle around its outline, on a noisy background.
//!
//! The outline in a plane, in coordinates where the ellipse is the unit circle: h(θ) = 1 + 0.35·irregularity·⅕·Σₖ cos(kθ + φₖ), k from 3 to
//! 7. Angles never appear: directions are unit vectors, multiples of an angle powers of a complex number.

use super::VIEWS;
use super::node::Node;
use crate::data::train::random::Stream;

/// Height and width of the smallest crop.
pub(super) const SMALLEST: (usize, usize) = (21, 20);

/// Height and width of the largest crop, unless another is asked for.
pub(super) const LARGEST: (usize, usize) = (111, 102);

/// Pixels a millimetre where the largest crop is [`LARGEST`].
const PIXELS_PER_MM: f64 = 4.0;

/// Background around the node, in pixels, on each side.
const MARGIN: f64 = 2.0;

/// Orders of the border's harmonics, and what they do together at most.
const ORDERS: std::ops::RangeInclusive<usize> = 3..=7;
const BORDER: f64 = 0.35;

/// Grey levels: background and its slow variation, node and its texture, and the noise's standard deviation.
const BACKGROUND: (f64, f64) = (165.0, 20.0);
const INSIDE: (f64, f64) = (95.0, 60.0);
const NOISE: f64 = 7.0;

/// Pixels from one knot of the background's variation to the next, and knots of the texture in half a node.
const CELL: f64 = 12.0;
const KNOTS: f64 = 2.5;

/// Grey pixels [H, W].
pub(super) struct Painted {
    pub height: usize,
    pub width: usize,
    pub pixels: Vec<u8>,
}

/// View number `view` of `node`; `body` says how the node lies in the body, `stream` all that is the view's own. No crop exceeds
/// `largest`, height and width: what would is seen at a coarser scale.
pub(super) fn paint(
    node: &Node,
    view: usize,
    body: Stream,
    stream: Stream,
    largest: (usize, usize),
) -> Painted {
    let outline = Outline::new(node, view, body, stream.below(0));
    let (low, high) = outline.bounds();
    let extent = [0, 1].map(|axis| high[axis] - low[axis]);
    let (most_height, most_width) = (largest.0 as f64, largest.1 as f64);
    let zoom = (most_height / LARGEST.0 as f64).min(most_width / LARGEST.1 as f64);
    let per_mm = (PIXELS_PER_MM * zoom)
        .min((most_width - 2.0 * MARGIN) / extent[0])
        .min((most_height - 2.0 * MARGIN) / extent[1]);
    let side = |axis: usize, least: usize, most: usize| {
        ((extent[axis] * per_mm + 2.0 * MARGIN).ceil() as usize).clamp(least, most)
    };
    let (height, width) = (side(1, SMALLEST.0, largest.0), side(0, SMALLEST.1, largest.1));
    let centre = [0, 1].map(|axis| (low[axis] + high[axis]) / 2.0);
    let [slow, texture, noise] = [1, 2, 3].map(|i| stream.below(i));
    let grey = |row: usize, column: usize| {
        let place = |at: usize, size: usize| at as f64 + 0.5 - size as f64 / 2.0;
        let x = place(column, width) / per_mm + centre[0];
        let y = place(row, height) / per_mm + centre[1];
        let background = BACKGROUND.0 + BACKGROUND.1 * waves(slow, column as f64 / CELL, row as f64 / CELL);
        let (inside, [u, v]) = outline.inside(x, y, per_mm);
        let knot = |q: f64| KNOTS * (q.clamp(-2.0, 2.0) + 2.0);
        let own = INSIDE.0 + INSIDE.1 * node.heterogeneity * waves(texture, knot(u), knot(v));
        let value = background + inside * (own - background);
        let value = value + NOISE * f64::from(noise.normal((row * width + column) as u64));
        (value + 0.5).floor().clamp(0.0, 255.0) as u8
    };
    let pixels = (0..height * width).map(|i| grey(i / width, i % width)).collect();
    Painted { height, width, pixels }
}

/// The border of a node in one plane, in mm.
struct Outline {
    /// Half the axes of its ellipse.
    half: [f64; 2],
    /// Cosine and sine of the turn in the plane.
    turn: [f64; 2],
    amplitude: f64,
    /// Cosines and sines of the harmonics' phases.
    phases: Vec<[f64; 2]>,
}

impl Outline {
    fn new(node: &Node, view: usize, body: Stream, stream: Stream) -> Self {
        let short = node.short_axis_mm;
        let long = short / node.roundness;
        let middle = short + (long - short) * body.below(0).uniform(0);
        let mut axes = [short, middle, long];
        body.below(1).shuffle(&mut axes);
        let half = VIEWS[view].1.map(|axis| axes[axis] / 2.0);
        let phases = ORDERS.map(|k| direction(stream, k as u64)).collect();
        Outline { half, turn: direction(stream, 0), amplitude: BORDER * node.irregularity, phases }
    }

    /// The border's distance in the direction of the unit vector (c, s), where the ellipse has the distance 1.
    fn distance(&self, c: f64, s: f64) -> f64 {
        let by = |[a, b]: [f64; 2]| [a * c - b * s, a * s + b * c];
        let mut power = (1..*ORDERS.start()).fold([c, s], |power, _| by(power));
        let mut sum = 0.0;
        for phase in &self.phases {
            sum += power[0] * phase[0] - power[1] * phase[1];
            power = by(power);
        }
        1.0 + self.amplitude * sum / self.phases.len() as f64
    }

    /// The least and greatest x and y, over 512 directions.
    fn bounds(&self) -> ([f64; 2], [f64; 2]) {
        let (mut low, mut high) = ([0.0f64; 2], [0.0f64; 2]);
        for i in 0..128 {
            // From corner to corner of a square, and its three quarter turns.
            let along = f64::from(2 * i - 127) / 128.0;
            for [x, y] in [[1.0, along], [-along, 1.0], [-1.0, -along], [along, -1.0]] {
                let [c, s] = unit(x, y);
                let far = self.distance(c, s);
                let (u, v) = (far * c * self.half[0], far * s * self.half[1]);
                let point = [u * self.turn[0] - v * self.turn[1], u * self.turn[1] + v * self.turn[0]];
                for axis in 0..2 {
                    low[axis] = low[axis].min(point[axis]);
                    high[axis] = high[axis].max(point[axis]);
                }
            }
        }
        (low, high)
    }

    /// How far (x, y) is inside, from 0 to 1 over two pixels at the border, and its place where the ellipse is the unit circle.
    fn inside(&self, x: f64, y: f64, per_mm: f64) -> (f64, [f64; 2]) {
        let u = (x * self.turn[0] + y * self.turn[1]) / self.half[0];
        let v = (y * self.turn[0] - x * self.turn[1]) / self.half[1];
        let far = (u * u + v * v).sqrt();
        let [c, s] = unit(u, v);
        let pixels = (self.distance(c, s) - far) * self.half[0].min(self.half[1]) * per_mm;
        (smooth((0.5 + pixels / 2.0).clamp(0.0, 1.0)), [u, v])
    }
}

/// A direction, drawn uniformly: that of two normal numbers.
fn direction(stream: Stream, i: u64) -> [f64; 2] {
    let stream = stream.below(i);
    unit(f64::from(stream.normal(0)), f64::from(stream.normal(1)))
}

/// (x, y) at length 1; the first axis where it has none.
fn unit(x: f64, y: f64) -> [f64; 2] {
    let length = (x * x + y * y).sqrt();
    if length > 0.0 { [x / length, y / length] } else { [1.0, 0.0] }
}

/// 0 to 1 with level ends.
fn smooth(t: f64) -> f64 {
    t * t * (3.0 - 2.0 * t)
}

/// A slow variation within ±1: numbers at whole places, joined smoothly. `x` and `y` are not negative.
fn waves(stream: Stream, x: f64, y: f64) -> f64 {
    let (column, row) = (x.floor(), y.floor());
    let knot = |dx: u64, dy: u64| 2.0 * stream.uniform((row as u64 + dy) << 32 | (column as u64 + dx)) - 1.0;
    let (across, down) = (smooth(x - column), smooth(y - row));
    let between = |dy: u64| knot(0, dy) + across * (knot(1, dy) - knot(0, dy));
    between(0) + down * (between(1) - between(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Node =
        Node { short_axis_mm: 10.0, irregularity: 0.0, heterogeneity: 0.0, roundness: 1.0, positive: false };

    fn painted(node: &Node, view: usize, seed: u64, largest: (usize, usize)) -> Painted {
        let stream = Stream::new(seed, "test");
        paint(node, view, stream.below(0), stream.below(1), largest)
    }

    #[test]
    fn a_round_node_is_a_disc_of_its_diameter() {
        let crop = painted(&ROUND, 0, 1, LARGEST);
        assert_eq!((crop.height, crop.width), (44, 44), "ten millimetres and two margins");
        let dark = crop.pixels.iter().filter(|&&value| value < 130).count() as f64;
        let disc = std::f64::consts::PI * 20.0 * 20.0;
        assert!((dark - disc).abs() <= 0.04 * disc, "{dark} pixels, not {disc}");
    }

    #[test]
    fn every_size_keeps_its_bounds() {
        for seed in 0..300 {
            let node = Node::draw(Stream::new(seed, "nodes"));
            for largest in [LARGEST, SMALLEST, (64, 48), (222, 204)] {
                let crop = painted(&node, seed as usize % 3, seed, largest);
                assert!((SMALLEST.0..=largest.0).contains(&crop.height), "{node:?}: {}", crop.height);
                assert!((SMALLEST.1..=largest.1).contains(&crop.width), "{node:?}: {}", crop.width);
                assert_eq!(crop.pixels.len(), crop.height * crop.width);
            }
        }
    }

    #[test]
    fn a_rough_border_is_rougher_and_a_mixed_inside_more_mixed() {
        let roughness = |node: &Node| {
            let outline = Outline::new(node, 0, Stream::new(2, "body"), Stream::new(2, "view"));
            let all: Vec<f64> = (0..100)
                .map(|i| direction(Stream::new(3, "test"), i))
                .map(|[c, s]| outline.distance(c, s))
                .collect();
            all.iter().map(|h| (h - 1.0) * (h - 1.0)).sum::<f64>() / all.len() as f64
        };
        assert_eq!(roughness(&ROUND), 0.0);
        // The mean of (0.35 / 5)² · 5 / 2, by half either way for the draw of a hundred directions.
        let rough = roughness(&Node { irregularity: 1.0, ..ROUND });
        assert!((0.006..0.019).contains(&rough), "{rough}");
        let spread = |node: &Node| {
            let crop = painted(node, 0, 4, LARGEST);
            let middle: Vec<f64> = (12..32)
                .flat_map(|row| (12..32).map(move |column| row * 44 + column))
                .map(|i| f64::from(crop.pixels[i]))
                .collect();
            let mean = middle.iter().sum::<f64>() / 400.0;
            (middle.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 400.0).sqrt()
        };
        let plain = spread(&ROUND);
        assert!((plain - NOISE).abs() <= 1.0, "{plain}");
        assert!(spread(&Node { heterogeneity: 1.0, ..ROUND }) > 1.7 * plain);
    }
}

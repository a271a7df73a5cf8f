//! Plain computations and what compares with them.

use nodal::network::{AvgPoolPadding, Network};
use nodal::{Tensor, Weights};

pub fn network(size: (usize, usize), classes: usize) -> Network {
    Network::inception_v3(size, classes, AvgPoolPadding::Include).unwrap()
}

pub fn random(seed: u64, classes: usize) -> Weights {
    Weights::random(seed, &network((75, 75), classes).parameters()).unwrap()
}

pub fn relative(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut theirs.iter().map(|x| f64::from(*x)))
}

/// A close one is at most `bound` away; what is no number is not.
pub fn holds(what: &str, error: f64, bound: f64) {
    println!("{what}: {error:.1e}");
    assert!(error <= bound, "{what}: {error:.2e}, at most {bound:.0e}");
}

/// Σ_k α_k·A_k in float64, α_k the mean of channel k of the gradient.
pub fn cam(output: &Tensor, gradient: &Tensor) -> Vec<f32> {
    let &[_, channels, h, w] = output.shape() else { panic!("{:?}", output.shape()) };
    let at = |tensor: &Tensor, c: usize, i: usize| f64::from(tensor.data()[c * h * w + i]);
    let alpha = |c: usize| (0..h * w).map(|i| at(gradient, c, i)).sum::<f64>() / (h * w) as f64;
    let alphas: Vec<f64> = (0..channels).map(alpha).collect();
    (0..h * w).map(|i| (0..channels).map(|c| alphas[c] * at(output, c, i)).sum::<f64>() as f32).collect()
}

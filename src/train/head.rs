//! The last layer, and the auxiliary head's, for other classes than the weights know.

use crate::error::Result;
use crate::network::{AUXILIARY_FEATURES, AUXILIARY_HEAD, FEATURES, Network};
use crate::tensor::Tensor;
use crate::weights::{Weights, random};

/// Weight [K, 2048] and bias [K] of a new last layer with `outputs` outputs: uniform within ±√(6/(2048 + K)), bias 0. Source: Glorot
/// and Bengio, AISTATS 2010, the default of Keras' `Dense`.
///
/// # Errors
/// None for any number of outputs that fits memory.
pub fn new_head(outputs: usize, seed: u64) -> Result<[(String, Tensor); 2]> {
    new_linear("fc", (outputs, FEATURES), random::key(seed, "head"))
}

/// The same for the auxiliary head: weight [K, 768] and bias [K].
///
/// # Errors
/// As [`new_head`].
pub fn new_auxiliary_head(outputs: usize, seed: u64) -> Result<[(String, Tensor); 2]> {
    let layer = format!("{AUXILIARY_HEAD}.fc");
    new_linear(&layer, (outputs, AUXILIARY_FEATURES), random::key(seed, "auxiliary head"))
}

/// Weight [K, C] and bias [K] of a new fully connected layer.
fn new_linear(layer: &str, (outputs, features): (usize, usize), key: u64) -> Result<[(String, Tensor); 2]> {
    let limit = (6.0 / (features + outputs) as f64).sqrt();
    let value = |i: usize| {
        let unit = (random::bits(key, i as u64) >> 40) as f64 / 16_777_216.0;
        (limit * (2.0 * unit - 1.0)) as f32
    };
    let weight = Tensor::new(&[outputs, features], (0..outputs * features).map(value).collect())?;
    Ok([(format!("{layer}.weight"), weight), (format!("{layer}.bias"), Tensor::zeros(&[outputs]))])
}

/// `weights` with the tensors of `changed` in the place of their own and new ones behind; the metadata stays.
///
/// # Errors
/// Those of [`Weights::f32`].
pub fn with_tensors(weights: &Weights, changed: &[(String, Tensor)]) -> Result<Weights> {
    let own = |name: &str| changed.iter().any(|(other, _)| other == name);
    let mut tensors = Vec::new();
    for name in weights.names().filter(|name| !own(name)) {
        // Batch counters are integers that nothing here reads.
        if weights.dtype(name).is_some_and(|dtype| dtype.is_float()) {
            let shape = weights.shape(name).unwrap_or_default().to_vec();
            tensors.push((name.to_string(), Tensor::new(&shape, weights.f32(name)?.into_owned())?));
        }
    }
    let all = tensors.iter().chain(changed).map(|(name, tensor)| (name.as_str(), tensor));
    let mut whole = Weights::from_tensors(all)?;
    for (key, value) in weights.metadata() {
        whole.set_metadata(key, value);
    }
    Ok(whole)
}

/// The tensors of `file` that are weights of `network` or belong to preprocessing, and its metadata but a checkpoint's: an auxiliary
/// head that does not learn would no longer belong to the rest.
///
/// # Errors
/// Those of [`Weights::f32`].
pub fn weights_of(file: &Weights, network: &Network) -> Result<Weights> {
    let mut tensors = Vec::new();
    let own: Vec<String> = network.parameters().into_iter().map(|parameter| parameter.name).collect();
    let preprocess = file.names().filter(|name| name.starts_with("preprocess."));
    for name in own.iter().map(String::as_str).chain(preprocess) {
        let values = file.f32(name)?.into_owned();
        tensors.push((name, Tensor::new(file.shape(name).unwrap_or_default(), values)?));
    }
    let mut weights = Weights::from_tensors(tensors.iter().map(|(name, tensor)| (*name, tensor)))?;
    for (key, value) in file.metadata().iter().filter(|(key, _)| !key.starts_with("checkpoint.")) {
        weights.set_metadata(key, value);
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_head_lies_within_its_bounds_and_differs_by_seed() {
        let [(_, weight), (_, bias)] = new_head(3, 7).unwrap();
        let limit = (6.0f32 / 2051.0).sqrt();
        assert!(weight.data().iter().all(|x| x.abs() <= limit) && bias.data() == [0.0; 3]);
        let mean: f32 = weight.data().iter().sum::<f32>() / weight.data().len() as f32;
        let square: f32 = weight.data().iter().map(|x| x * x).sum::<f32>() / weight.data().len() as f32;
        assert!(mean.abs() < limit / 20.0 && (square / (limit * limit / 3.0) - 1.0).abs() < 0.05);
        assert_ne!(weight, new_head(3, 8).unwrap()[0].1);
    }

    #[test]
    fn changed_tensors_take_their_places() {
        let one = Tensor::new(&[1], vec![1.0]).unwrap();
        let two = Tensor::new(&[2], vec![2.0, 3.0]).unwrap();
        let mut weights = Weights::from_tensors([("a", &one), ("b", &one)].into_iter()).unwrap();
        weights.set_metadata("k", "v");
        let whole = with_tensors(&weights, &[("b".into(), two.clone()), ("c".into(), one)]).unwrap();
        assert_eq!(whole.names().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(&*whole.f32("b").unwrap(), two.data());
        assert_eq!(whole.metadata().get("k").unwrap(), "v");
    }
}

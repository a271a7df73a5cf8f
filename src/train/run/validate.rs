//! Validation, and running statistics taken anew.

use serde_json::json;

use super::{Run, put};
use crate::device::Engine;
use crate::error::Result;
use crate::program::{Options, Program};
use crate::tensor::Tensor;
use crate::train::features::head_of;
use crate::train::job::Use;
use crate::train::watch::Watch;
use crate::train::{Tally, tally};
use crate::weights::Weights;

impl Run<'_> {
    /// What the network says of the validation part; `None` when it was asked to stop meanwhile.
    pub(super) fn validate(&self, weights: &Weights, watch: &dyn Watch) -> Result<Option<Tally>> {
        let network = self.job.config.network()?;
        let options = Options::new(self.job.config.hyper.batch, self.device.target());
        let mut engine = match &self.features {
            Some(_) => {
                let program = Program::lower(&network.last_layer(), &options)?;
                Engine::new(program, &head_of(weights)?, self.device)?
            }
            None => Engine::new(Program::lower(&network, &options)?, weights, self.device)?,
        };
        let (mut tally, mut targets) = (Tally::default(), Vec::new());
        let outputs = self.job.config.outputs;
        for batch in self.val.epoch(0, 0)? {
            let batch = batch?;
            if watch.stop() {
                return Ok(None);
            }
            let images = batch.labels.len();
            put(&self.features, &batch, &mut engine);
            engine.run(images)?;
            let mut logits = vec![0.0; images * outputs];
            engine.logits(images, &mut logits)?;
            if let Some(bad) = logits.iter().find(|x| !x.is_finite()) {
                return Err(self.diverged("an output in validation after it", *bad, self.place.step)?);
            }
            let probabilities: Vec<f32> =
                logits.chunks_exact(outputs).flat_map(tally::probabilities).collect();
            self.job.targets.fill(&batch.labels, &mut targets);
            let (loss, weight) =
                (tally::loss(&targets, &logits, outputs), self.job.targets.weight(&batch.labels));
            tally.add(loss, weight, &batch.labels, &probabilities);
        }
        Ok(Some(tally))
    }

    /// Running statistics anew: the mean over the training part's batches of their means and variances, without an update. False when
    /// it was asked to stop.
    pub(super) fn reestimate(&mut self, watch: &dyn Watch) -> Result<bool> {
        let momentum = f64::from(self.job.config.hyper.training().batch_norm_momentum);
        let statistics = |engine: &Engine| -> Result<Vec<(String, Tensor)>> {
            let all = engine.trained()?.into_iter();
            Ok(all.filter(|(name, _)| name.contains(".running_")).collect())
        };
        let zeros: Vec<(String, Tensor)> = statistics(&self.engine)?
            .into_iter()
            .map(|(name, tensor)| (name, Tensor::zeros(tensor.shape())))
            .collect();
        let zeros = Weights::from_tensors(zeros.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
        let mut sums: Vec<(String, Vec<usize>, Vec<f64>)> = Vec::new();
        let mut images = 0.0;
        for batch in self.job.loader(&self.job.split.train, Use::Statistics)?.epoch(0, 0)? {
            let batch = batch?;
            if watch.stop() {
                return Ok(false);
            }
            put(&self.features, &batch, &mut self.engine);
            self.job.targets.fill(&batch.labels, &mut self.targets);
            // From zero a step leaves momentum times the batch's own statistics.
            self.engine.set_statistics(&zeros)?;
            let own = batch.labels.len() as f64;
            let controls = self.job.config.hyper.controls(0.0, 0);
            self.engine.train_step(batch.labels.len(), &self.targets, &controls)?;
            images += own;
            for (i, (name, tensor)) in statistics(&self.engine)?.into_iter().enumerate() {
                if sums.len() <= i {
                    sums.push((name, tensor.shape().to_vec(), vec![0.0; tensor.data().len()]));
                }
                let values = sums[i].2.iter_mut().zip(tensor.data());
                values.for_each(|(sum, x)| *sum += own * f64::from(*x) / momentum);
            }
        }
        let mean = |(name, shape, sums): &(String, Vec<usize>, Vec<f64>)| {
            let values = sums.iter().map(|sum| (sum / images) as f32).collect();
            Ok((name.clone(), Tensor::new(shape, values)?))
        };
        let means: Vec<(String, Tensor)> = sums.iter().map(mean).collect::<Result<_>>()?;
        let means = Weights::from_tensors(means.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
        self.engine.set_statistics(&means)?;
        let weights = self.current()?;
        let Some(validated) = self.validate(&weights, watch)? else { return Ok(false) };
        let figures = validated.figures(self.job.config.classes.len())?;
        self.log.line(&json!({
            "kind": "reestimated",
            "validation": {"loss": figures.loss, "accuracy": figures.accuracy, "auc": figures.auc},
        }))?;
        Ok(true)
    }
}

//! The loop over epochs.

mod validate;

use std::time::{Duration, Instant};

use serde_json::json;

use super::checkpoint::{self, Best, MOMENTUM, Place};
use super::features::Features;
use super::head::with_tensors;
use super::job::{Job, Use};
use super::outcome::BEST;
use super::watch::{End, EpochReport, StepReport, Watch};
use super::{Figures, Log, Tally, curves, tally};
use crate::data::train::{Batch, Loader};
use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// A run in progress.
pub(super) struct Run<'a> {
    job: &'a Job,
    device: &'a Device,
    engine: Engine,
    /// As it was when the run began; only what does not learn is read from it.
    weights: Weights,
    place: Place,
    log: Log,
    train: Loader,
    val: Loader,
    targets: Vec<f32>,
    /// What the last layer reads, where it learns alone.
    features: Option<Features>,
    /// Step whose checkpoint is the last.
    saved: usize,
}

impl<'a> Run<'a> {
    /// Takes up the run where its checkpoint stands.
    pub fn new(job: &'a Job, device: &'a Device) -> Result<Self> {
        let network = job.config.learning_network()?;
        let (weights, place, file) = checkpoint::read(&job.folder.checkpoint(), &network)?;
        let engine = job.engine(&network, &weights, device)?;
        let mut run = Run {
            job,
            device,
            engine,
            log: Log::open(&job.folder.metrics(), place.log_bytes)?,
            train: job.loader(&job.split.train, Use::Learn)?,
            val: job.loader(&job.split.val, Use::AsIs)?,
            targets: Vec::new(),
            features: None,
            saved: place.step,
            weights,
            place,
        };
        if run.place.step > 0 {
            run.engine.set_momenta(&file, MOMENTUM)?;
        }
        Ok(run)
    }

    pub fn go(mut self, watch: &mut dyn Watch) -> Result<End> {
        let hyper = &self.job.config.hyper;
        if self.job.config.features()? && self.place.epoch < hyper.epochs {
            let network = self.job.config.network()?;
            let stop = || watch.stop();
            self.features = self.job.features(&network, &self.weights, self.device, &stop)?;
            if self.features.is_none() {
                return Ok(End::Stopped { epoch: self.place.epoch, batch: self.place.batch });
            }
        }
        while self.place.epoch < self.job.config.hyper.epochs {
            if self.epoch(watch)? {
                self.save()?;
                return Ok(End::Stopped { epoch: self.place.epoch, batch: self.place.batch });
            }
        }
        if hyper.reestimate && !self.job.config.features()? && !self.reestimate(watch)? {
            return Ok(End::Stopped { epoch: self.place.epoch, batch: 0 });
        }
        self.current()?.save_safetensors(&self.job.folder.file("weights-last.safetensors"))?;
        Ok(End::Finished(self.place.best))
    }

    /// One epoch, or what is left of it; true when it was asked to stop.
    fn epoch(&mut self, watch: &mut dyn Watch) -> Result<bool> {
        let begin = Instant::now();
        let every = self.job.config.hyper.checkpoint_every;
        let mut batches = self.train.epoch(self.place.epoch as u64, self.place.batch)?;
        let mut before = Instant::now();
        let (mut waited, mut images) = (Duration::ZERO, 0);
        while let Some(batch) = batches.next() {
            let wait = batches.waited() - waited;
            waited = batches.waited();
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    // The steps that are done are good.
                    let _ = self.save();
                    return Err(error);
                }
            };
            let report = self.step(&batch, before, wait)?;
            images += batch.labels.len();
            watch.step(&report);
            if watch.stop() {
                return Ok(true);
            }
            if every > 0 && self.place.step - self.saved >= every {
                self.save()?;
            }
            before = Instant::now();
        }
        let images_per_s = images as f64 / begin.elapsed().as_secs_f64();
        self.finish_epoch(begin, waited, images_per_s, watch)
    }

    fn step(&mut self, batch: &Batch, begin: Instant, wait: Duration) -> Result<StepReport> {
        let hyper = &self.job.config.hyper;
        let images = batch.labels.len();
        put(&self.features, batch, &mut self.engine);
        self.job.targets.fill(&batch.labels, &mut self.targets);
        let lr = hyper.schedule(self.train.batches())?.at(self.place.step);
        let controls = hyper.controls(lr, self.place.step);
        let result = self.engine.train_step(images, &self.targets, &controls)?;
        let total = result.total_loss();
        if !(total.is_finite() && result.gradient_norm.is_finite()) {
            let (what, value) = match total.is_finite() {
                true => ("the gradient's norm", result.gradient_norm),
                false => ("the loss", total),
            };
            return Err(self.diverged(what, value, self.place.step + 1)?);
        }
        let probabilities = self.probabilities(images)?;
        let mut own = Tally::default();
        let weight = self.job.targets.weight(&batch.labels);
        own.add(f64::from(result.loss), weight, &batch.labels, &probabilities);
        self.place.tally.add(f64::from(result.loss), weight, &batch.labels, &probabilities);
        let figures = own.figures(self.job.config.classes.len())?;
        let images_per_s = images as f64 / begin.elapsed().as_secs_f64();
        let report =
            StepReport { epoch: self.place.epoch, batch: self.place.batch, loss: figures.loss, images_per_s };
        let mut line = json!({
            "kind": "step", "epoch": report.epoch + 1, "step": self.place.step + 1, "loss": result.loss,
            "accuracy": figures.accuracy, "auc": figures.auc, "lr": lr, "gradient_norm": result.gradient_norm,
            "images_per_s": images_per_s, "wait_ms": wait.as_secs_f64() * 1e3,
        });
        if let Some(loss) = result.auxiliary_loss {
            line["auxiliary_loss"] = loss.into();
        }
        self.log.line(&line)?;
        self.place.batch += 1;
        self.place.step += 1;
        Ok(report)
    }

    /// `what` is no number at or after step number `step`, counted from 1.
    fn diverged(&self, what: &str, value: f32, step: usize) -> Result<Error> {
        let batches = self.train.batches();
        let lr = self.job.config.hyper.schedule(batches)?.at(step.saturating_sub(1));
        Ok(Error::Argument(format!(
            "step {step} (epoch {}): {what} is {value} at a learning rate of {lr}: begin anew with a smaller --lr or with \
             --clip-norm; {} holds the state after step {}",
            step.saturating_sub(1) / batches + 1,
            self.job.folder.checkpoint().display(),
            self.saved,
        )))
    }

    /// Whether everything that learns is a number.
    fn check_finite(&self, tensors: &[(String, Tensor)]) -> Result<()> {
        let values = || tensors.iter().flat_map(|(_, tensor)| tensor.data());
        match values().find(|x| !x.is_finite()) {
            Some(bad) => Err(self.diverged("a weight after it", *bad, self.place.step)?),
            None => Ok(()),
        }
    }

    /// Probabilities of the classes in the step before its update.
    fn probabilities(&self, images: usize) -> Result<Vec<f32>> {
        let outputs = self.job.config.outputs;
        let mut logits = vec![0.0; images * outputs];
        self.engine.logits(images, &mut logits)?;
        Ok(logits.chunks_exact(outputs).flat_map(tally::probabilities).collect())
    }

    /// Figures, validation, pictures, checkpoint; true when it was asked to stop before the epoch counted as done.
    fn finish_epoch(
        &mut self,
        begin: Instant,
        waited: Duration,
        images_per_s: f64,
        watch: &mut dyn Watch,
    ) -> Result<bool> {
        let classes = self.job.config.classes.len();
        let training = self.place.tally.figures(classes)?;
        let weights = self.current()?;
        let Some(validated) = self.validate(&weights, watch)? else { return Ok(true) };
        let validation = validated.figures(classes)?;
        let own = Best { epoch: self.place.epoch, auc: validation.auc.unwrap_or(0.0), loss: validation.loss };
        let best = own.beats(&self.place.best);
        let took = begin.elapsed();
        let report = EpochReport { epoch: self.place.epoch, training, validation, best, took, waited };
        self.log_epoch(&report, images_per_s)?;
        if best {
            self.place.best = Some(own);
            weights.save_safetensors(&self.job.folder.file(BEST))?;
            self.draw_roc(&validated, validation.auc)?;
        }
        self.draw_loss()?;
        self.place = Place {
            epoch: self.place.epoch + 1,
            batch: 0,
            tally: Tally::default(),
            ..std::mem::take(&mut self.place)
        };
        self.save_weights(&weights)?;
        watch.epoch(&report);
        Ok(false)
    }

    fn log_epoch(&mut self, report: &EpochReport, images_per_s: f64) -> Result<()> {
        let figures = |f: Figures| json!({"loss": f.loss, "accuracy": f.accuracy, "auc": f.auc});
        self.log.line(&json!({
            "kind": "epoch", "epoch": report.epoch + 1, "training": figures(report.training),
            "validation": figures(report.validation), "best": report.best, "images_per_s": images_per_s,
            "took_ms": report.took.as_secs_f64() * 1e3, "wait_ms": report.waited.as_secs_f64() * 1e3,
        }))
    }

    fn draw_roc(&self, tally: &Tally, auc: Option<f64>) -> Result<()> {
        match auc {
            Some(auc) if self.job.config.classes.len() == 2 => {
                self.job.folder.write("roc.svg", &curves::roc_curve(&tally.scored()?.roc()?, auc)?)
            }
            _ => Ok(()),
        }
    }

    fn draw_loss(&mut self) -> Result<()> {
        let epochs = self.job.folder.epochs()?;
        let (training, validation): (Vec<f64>, Vec<f64>) =
            epochs.iter().map(|own| (own.training.loss, own.validation.loss)).unzip();
        self.job.folder.write("loss.svg", &curves::loss_curve(&training, &validation)?)
    }

    /// All weights as they are now.
    fn current(&self) -> Result<Weights> {
        with_tensors(&self.weights, &self.engine.trained()?)
    }

    fn save(&mut self) -> Result<()> {
        let weights = self.current()?;
        self.save_weights(&weights)
    }

    fn save_weights(&mut self, weights: &Weights) -> Result<()> {
        let momenta = self.engine.momenta()?;
        self.check_finite(&momenta)?;
        self.check_finite(&self.engine.trained()?)?;
        self.place.log_bytes = self.log.settle()?;
        let whole = checkpoint::checkpoint(weights, momenta, &self.place)?;
        whole.save_safetensors(&self.job.folder.checkpoint())?;
        self.saved = self.place.step;
        Ok(())
    }
}

/// Makes `batch` the engine's input: its images, or their features.
fn put(features: &Option<Features>, batch: &Batch, engine: &mut Engine) {
    match features {
        Some(features) => features.put(&batch.samples, engine.input()),
        None => engine.input()[..batch.inputs.len()].copy_from_slice(&batch.inputs),
    }
}

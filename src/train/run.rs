//! The loop over epochs.

use std::time::{Duration, Instant};

use serde_json::json;

use super::checkpoint::{self, Best, MOMENTUM, Place};
use super::features::{Features, head_of};
use super::head::with_tensors;
use super::job::Job;
use super::{Figures, Log, Tally, curves, tally};
use crate::data::train::{Batch, Loader};
use crate::device::{Device, Engine};
use crate::error::{Error, Result};
use crate::program::{Options, Program};
use crate::weights::Weights;

/// What a step gave.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Epoch and step within it, from 0.
    pub epoch: usize,
    /// Step within the epoch, from 0.
    pub batch: usize,
    /// Loss of the batch.
    pub loss: f64,
    /// Images a second, waiting included.
    pub images_per_s: f64,
}

/// What an epoch gave.
#[derive(Clone, Copy, Debug)]
pub struct EpochReport {
    /// From 0.
    pub epoch: usize,
    /// On the training part, while it learned.
    pub training: Figures,
    /// On the validation part, where there is one.
    pub validation: Option<Figures>,
    /// Whether it is the best so far.
    pub best: bool,
    /// How long it took.
    pub took: Duration,
    /// How much of that the device waited for data.
    pub waited: Duration,
}

/// Whoever looks on.
pub trait Watch {
    /// A step is done.
    fn step(&mut self, report: &StepReport);
    /// An epoch is done.
    fn epoch(&mut self, report: &EpochReport);
    /// Whether to stop after this step.
    fn stop(&self) -> bool;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// After its last epoch.
    Finished(Option<Best>),
    /// Because it was asked to.
    Stopped {
        /// Epoch, from 0.
        epoch: usize,
        /// Steps of it that are done.
        batch: usize,
    },
}

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
    val: Option<Loader>,
    targets: Vec<f32>,
    /// What the last layer reads, where it learns alone.
    features: Option<Features>,
    /// Step whose checkpoint is the last.
    saved: usize,
}

impl<'a> Run<'a> {
    /// Takes up the run where its checkpoint stands.
    pub fn new(job: &'a Job, device: &'a Device) -> Result<Self> {
        let network = job.config.network()?;
        let (weights, place, file) = checkpoint::read(&job.folder.checkpoint(), &network)?;
        let engine = job.engine(&network, &weights, device)?;
        let mut run = Run {
            job,
            device,
            engine,
            log: Log::open(&job.folder.metrics(), place.log_bytes)?,
            train: job.loader(&job.split.train, true)?,
            val: match job.split.val.is_empty() {
                true => None,
                false => Some(job.loader(&job.split.val, false)?),
            },
            targets: Vec::new(),
            features: job.features(&network, &weights, device)?,
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
        while self.place.epoch < self.job.config.hyper.epochs {
            if self.epoch(watch)? {
                self.save()?;
                return Ok(End::Stopped { epoch: self.place.epoch, batch: self.place.batch });
            }
        }
        if self.job.config.hyper.reestimate {
            self.reestimate()?;
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
        let mut waited = Duration::ZERO;
        while let Some(batch) = batches.next() {
            let wait = batches.waited() - waited;
            waited = batches.waited();
            let report = self.step(&batch?, before, wait)?;
            before = Instant::now();
            watch.step(&report);
            if watch.stop() {
                return Ok(true);
            }
            if every > 0 && self.place.step - self.saved >= every {
                self.save()?;
            }
        }
        self.finish_epoch(begin, waited, watch)?;
        Ok(false)
    }

    fn step(&mut self, batch: &Batch, begin: Instant, wait: Duration) -> Result<StepReport> {
        let hyper = &self.job.config.hyper;
        let images = batch.labels.len();
        put(&self.features, batch, &mut self.engine);
        self.job.targets.fill(&batch.labels, &mut self.targets);
        let lr = hyper.schedule(self.train.batches())?.at(self.place.step);
        let controls = hyper.controls(lr, self.place.step);
        let result = self.engine.train_step(images, &self.targets, &controls)?;
        if !(result.loss.is_finite() && result.gradient_norm.is_finite()) {
            return Err(self.diverged(result.loss, result.gradient_norm, lr));
        }
        let probabilities = self.probabilities(images)?;
        let mut own = Tally::default();
        own.add(f64::from(result.loss), &batch.labels, &probabilities);
        self.place.tally.add(f64::from(result.loss), &batch.labels, &probabilities);
        let figures = own.figures(self.job.config.classes.len())?;
        let images_per_s = images as f64 / begin.elapsed().as_secs_f64();
        let report =
            StepReport { epoch: self.place.epoch, batch: self.place.batch, loss: figures.loss, images_per_s };
        self.log.line(&json!({
            "kind": "step", "epoch": report.epoch + 1, "step": self.place.step + 1, "loss": result.loss,
            "accuracy": figures.accuracy, "auc": figures.auc, "lr": lr, "gradient_norm": result.gradient_norm,
            "images_per_s": images_per_s, "wait_ms": wait.as_secs_f64() * 1e3,
        }))?;
        self.place.batch += 1;
        self.place.step += 1;
        Ok(report)
    }

    /// A loss or gradient that is no number.
    fn diverged(&self, loss: f32, norm: f32, lr: f32) -> Error {
        let Place { epoch, step, .. } = self.place;
        let (what, value) = if loss.is_finite() { ("gradient's norm", norm) } else { ("loss", loss) };
        let problem = format!(
            "step {} (epoch {}): the {what} is {value} at a learning rate of {lr}: begin anew with a smaller --lr or with \
             --clip-norm; {} holds the state after step {}",
            step + 1,
            epoch + 1,
            self.job.folder.checkpoint().display(),
            self.saved,
        );
        Error::Argument(problem)
    }

    /// Probabilities of the classes in the step before its update.
    fn probabilities(&self, images: usize) -> Result<Vec<f32>> {
        let outputs = self.job.config.outputs;
        let mut logits = vec![0.0; images * outputs];
        self.engine.logits(images, &mut logits)?;
        Ok(logits.chunks_exact(outputs).flat_map(tally::probabilities).collect())
    }

    /// Figures, validation, pictures, checkpoint.
    fn finish_epoch(&mut self, begin: Instant, waited: Duration, watch: &mut dyn Watch) -> Result<()> {
        let classes = self.job.config.classes.len();
        let training = self.place.tally.figures(classes)?;
        let weights = self.current()?;
        let validated = self.validate(&weights)?;
        let validation = validated.as_ref().map(|tally| tally.figures(classes)).transpose()?;
        let judged = validation.unwrap_or(training);
        let own = Best { epoch: self.place.epoch, auc: judged.auc.unwrap_or(0.0), loss: judged.loss };
        let best = own.beats(&self.place.best);
        let took = begin.elapsed();
        let report = EpochReport { epoch: self.place.epoch, training, validation, best, took, waited };
        self.log_epoch(&report)?;
        if best {
            self.place.best = Some(own);
            weights.save_safetensors(&self.job.folder.file("weights-best.safetensors"))?;
            self.draw_roc(validated.as_ref().unwrap_or(&self.place.tally), judged.auc)?;
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
        Ok(())
    }

    fn log_epoch(&mut self, report: &EpochReport) -> Result<()> {
        let figures = |f: Figures| json!({"loss": f.loss, "accuracy": f.accuracy, "auc": f.auc});
        self.log.line(&json!({
            "kind": "epoch", "epoch": report.epoch + 1, "training": figures(report.training),
            "validation": report.validation.map(figures), "best": report.best,
            "images_per_s": self.place.tally.labels.len() as f64 / report.took.as_secs_f64(),
            "took_ms": report.took.as_secs_f64() * 1e3, "wait_ms": report.waited.as_secs_f64() * 1e3,
        }))
    }

    /// What the network says of the validation part.
    fn validate(&self, weights: &Weights) -> Result<Option<Tally>> {
        let Some(val) = &self.val else { return Ok(None) };
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
        let classes = self.job.config.classes.len();
        for batch in val.epoch(0, 0)? {
            let batch = batch?;
            let images = batch.labels.len();
            put(&self.features, &batch, &mut engine);
            engine.run(images)?;
            let mut probabilities = vec![0.0; images * classes];
            engine.probabilities(images, &mut probabilities)?;
            self.job.targets.fill(&batch.labels, &mut targets);
            tally.add(tally::loss(&targets, &probabilities), &batch.labels, &probabilities);
        }
        Ok(Some(tally))
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
        let (training, validation) = self.job.folder.losses()?;
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
        self.place.log_bytes = self.log.settle()?;
        let whole = checkpoint::checkpoint(weights, self.engine.momenta()?, &self.place)?;
        whole.save_safetensors(&self.job.folder.checkpoint())?;
        self.saved = self.place.step;
        Ok(())
    }

    /// Running statistics anew, from one pass over the training part as it is, without an update.
    fn reestimate(&mut self) -> Result<()> {
        let loader = self.job.loader(&self.job.split.train, false)?;
        for batch in loader.epoch(0, 0)? {
            let batch = batch?;
            put(&self.features, &batch, &mut self.engine);
            self.job.targets.fill(&batch.labels, &mut self.targets);
            let controls = self.job.config.hyper.controls(0.0, 0);
            self.engine.train_step(batch.labels.len(), &self.targets, &controls)?;
        }
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

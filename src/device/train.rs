//! An engine that learns: what a training program reads and leaves beside images and logits.

use super::Engine;
use crate::error::{Error, Result};
use crate::program::{AuxiliaryLoss, BufferId, Controls, Learned, LearnedSet, View};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// What one step gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// The batch's loss before the update, that of the last layer alone.
    pub loss: f32,
    /// What the auxiliary head adds to it, its weight included, where there is that head.
    pub auxiliary_loss: Option<f32>,
    /// L2 norm of all gradients before clipping.
    pub gradient_norm: f32,
}

impl StepResult {
    /// All that was minimised.
    pub fn total_loss(&self) -> f32 {
        self.loss + self.auxiliary_loss.unwrap_or(0.0)
    }
}

impl Engine {
    /// Trains on the first `images` images of the input: forward, loss, backward, update. `targets` are N·max(K, 2) weights t of the
    /// loss −Σ t·log p; for the mean cross-entropy 1/N at the image's class and 0 elsewhere. An auxiliary head has the same, times its weight.
    ///
    /// # Errors
    /// [`Error::Argument`] when the program does not train; [`Error::Shape`] for more images than the batch, none, or another number of
    /// targets; [`Error::Device`] when the device fails.
    pub fn train_step(&mut self, images: usize, targets: &[f32], controls: &Controls) -> Result<StepResult> {
        let learned = self.learned()?.clone();
        self.check(images)?;
        let classes = self.program.network.classes.max(2);
        if targets.len() != images * classes {
            return Err(Error::Shape {
                what: format!("targets of {images} images and {classes} classes"),
                expected: format!("{} values", images * classes),
                got: targets.len().to_string(),
            });
        }
        self.executor.write(learned.targets, 0, targets)?;
        if let Some(AuxiliaryLoss { weight, targets: room, .. }) = learned.auxiliary {
            let weighted: Vec<f32> = targets.iter().map(|target| weight * target).collect();
            self.executor.write(room, 0, &weighted)?;
        }
        self.executor.write(learned.controls, 0, &controls.words())?;
        self.executor.run(images)?;
        let value = |buffer| self.flat(View { buffer, channel: 0, channels: 1 });
        let auxiliary_loss = learned.auxiliary.map(|own| value(own.loss)).transpose()?.map(|loss| loss[0]);
        Ok(StepResult {
            loss: value(learned.loss)?[0],
            auxiliary_loss,
            gradient_norm: value(learned.norm)?[0],
        })
    }

    /// The parameter called `name`, which learns, as it is now.
    ///
    /// # Errors
    /// [`Error::Argument`] when nothing of that name learns.
    pub fn parameter(&self, name: &str) -> Result<Tensor> {
        let learned = self.learned()?;
        self.tensor(&learned.parameters, learned.values, name)
    }

    /// The gradient of the last step's loss by the parameter called `name`, without weight decay.
    ///
    /// # Errors
    /// As [`Engine::parameter`].
    pub fn gradient(&self, name: &str) -> Result<Tensor> {
        let learned = self.learned()?;
        self.tensor(&learned.parameters, learned.gradients, name)
    }

    /// The running mean or variance called `name`, of a batch norm that learns.
    ///
    /// # Errors
    /// As [`Engine::parameter`].
    pub fn buffer(&self, name: &str) -> Result<Tensor> {
        let learned = self.learned()?;
        self.tensor(&learned.statistics, learned.running, name)
    }

    /// All that training has changed: parameters and running statistics, by torchvision's names.
    ///
    /// # Errors
    /// As [`Engine::parameter`].
    pub fn trained(&self) -> Result<Vec<(String, Tensor)>> {
        let learned = self.learned()?;
        let parameters = self.tensors(&learned.parameters, learned.values)?;
        Ok(parameters.into_iter().chain(self.tensors(&learned.statistics, learned.running)?).collect())
    }

    /// The momentum of all that learns, by torchvision's names.
    ///
    /// # Errors
    /// As [`Engine::parameter`].
    pub fn momenta(&self) -> Result<Vec<(String, Tensor)>> {
        let learned = self.learned()?;
        self.tensors(&learned.parameters, learned.momentum)
    }

    /// Puts parameters and running statistics of `weights` in the place of those that learn.
    ///
    /// # Errors
    /// [`Error::Tensor`] for one that is missing or has another size.
    pub fn set_trained(&mut self, weights: &Weights) -> Result<()> {
        let learned = self.learned()?.clone();
        self.put(&learned.parameters, learned.values, weights, "")?;
        self.set_statistics(weights)
    }

    /// Puts running statistics of `weights` in the place of those of batch norms that learn.
    ///
    /// # Errors
    /// As [`Engine::set_trained`].
    pub fn set_statistics(&mut self, weights: &Weights) -> Result<()> {
        let learned = self.learned()?.clone();
        self.put(&learned.statistics, learned.running, weights, "")
    }

    /// Puts tensors of `momenta`, called as the parameters with `prefix` before, in the place of the momenta.
    ///
    /// # Errors
    /// As [`Engine::set_trained`].
    pub fn set_momenta(&mut self, momenta: &Weights, prefix: &str) -> Result<()> {
        let learned = self.learned()?.clone();
        self.put(&learned.parameters, learned.momentum, momenta, prefix)
    }

    /// Parameters from `weights`, momenta 0: where training begins.
    pub(super) fn begin_training(&mut self, weights: &Weights) -> Result<()> {
        let Some(learned) = self.program.learned.clone() else { return Ok(()) };
        self.set_trained(weights)?;
        self.executor.write(learned.momentum, 0, &vec![0.0; learned.len()])
    }

    fn put(&mut self, list: &[Learned], buffer: BufferId, tensors: &Weights, prefix: &str) -> Result<()> {
        let mut values = Vec::with_capacity(list.iter().map(|own| own.values).sum());
        for own in list {
            let name = format!("{prefix}{}", own.name);
            let tensor = tensors.f32(&name)?;
            if tensor.len() != own.values {
                let problem = format!("expected {} values, got {}", own.values, tensor.len());
                return Err(Error::tensor(tensors.path(), &name, problem));
            }
            values.extend_from_slice(&tensor);
        }
        self.executor.write(buffer, 0, &values)
    }

    fn learned(&self) -> Result<&LearnedSet> {
        let none = || Error::Argument("the program does not train".into());
        self.program.learned.as_ref().ok_or_else(none)
    }

    fn tensor(&self, list: &[Learned], buffer: BufferId, name: &str) -> Result<Tensor> {
        let none = || Error::Argument(format!("nothing that learns is called `{name}`"));
        let own = list.iter().find(|own| own.name == name).ok_or_else(none)?;
        let values = self.flat(View { buffer, channel: own.first, channels: own.values })?;
        Tensor::new(&self.shape_of(name), values)
    }

    fn tensors(&self, list: &[Learned], buffer: BufferId) -> Result<Vec<(String, Tensor)>> {
        let channels = list.iter().map(|own| own.values).sum();
        let values = self.flat(View { buffer, channel: 0, channels })?;
        let tensor = |own: &Learned| {
            let values = values[own.first..own.first + own.values].to_vec();
            Ok((own.name.clone(), Tensor::new(&self.shape_of(&own.name), values)?))
        };
        list.iter().map(tensor).collect()
    }

    fn shape_of(&self, name: &str) -> Vec<usize> {
        let all = self.program.network.parameters();
        all.into_iter().find(|parameter| parameter.name == name).map(|p| p.shape).unwrap_or_default()
    }

    /// Values of a buffer that belongs to no image.
    fn flat(&self, view: View) -> Result<Vec<f32>> {
        let mut values = vec![0.0; view.channels];
        self.executor.read(view, 1, &mut values)?;
        Ok(values)
    }
}

//! A program bound to weights on a device, ready to run again and again.

use std::time::Duration;

use super::{Device, Executor};
use crate::error::{Error, Result};
use crate::network::MapShape;
use crate::program::{Crop, Input, Keep, Program, View, crop_bytes};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// Runs one [`Program`]. All memory is taken when it is made; a run takes none, but that a card's first run with another number of
/// images makes its graph, and the simulator keeps books.
pub struct Engine {
    pub(super) program: Program,
    pub(super) executor: Box<dyn Executor>,
    /// The last layer's weight [K, C], in a program that takes a gradient of the logits.
    pub(super) last_layer: Vec<f32>,
}

impl Engine {
    /// Takes memory on `device` and puts `weights` there, packed for it. The weights are not needed afterwards.
    ///
    /// # Errors
    /// [`Error::Tensor`] for weights that do not fit the program's network, [`Error::Memory`] or [`Error::Device`]
    /// when the device cannot take them.
    pub fn new(program: Program, weights: &Weights, device: &Device) -> Result<Self> {
        weights.check(&program.network.parameters())?;
        let executor = executor(&program, weights, device)?;
        let last_layer = match &program.gradient {
            Some(_) => weights.f32("fc.weight")?.into_owned(),
            None => Vec::new(),
        };
        let mut engine = Engine { program, executor, last_layer };
        engine.begin_training(weights)?;
        Ok(engine)
    }

    /// What it runs.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Where the images of a program that reads [`Input::Values`] go: N·3·H·W, fitted and normalised. To be filled before each
    /// run, which may overwrite them. Crops go through [`Engine::put_crop`].
    pub fn input(&mut self) -> &mut [f32] {
        self.executor.input()
    }

    /// Makes `crop` the image number `image` of a program that reads [`Input::Crops`].
    ///
    /// # Errors
    /// [`Error::Shape`] for a number beyond the batch or a crop larger than the input; [`Error::Argument`] when the program reads
    /// values.
    pub fn put_crop(&mut self, image: usize, crop: &Crop<'_>) -> Result<()> {
        if self.program.options.input == Input::Values {
            return Err(Error::Argument("the program reads values, not crops".into()));
        }
        self.check(image.saturating_add(1))?;
        let shape = self.program.shape(self.program.input);
        let bytes = crop_bytes(shape);
        let memory: &mut [u8] = bytemuck::cast_slice_mut(self.executor.input());
        crop.store(shape, &mut memory[image * bytes..(image + 1) * bytes])
    }

    /// Runs the first `images` images of the input.
    ///
    /// # Errors
    /// [`Error::Shape`] for more images than the program's batch, or none; [`Error::Argument`] for a program that takes a gradient, which
    /// [`Engine::run_gradient`] runs; [`Error::Device`] when the device fails.
    pub fn run(&mut self, images: usize) -> Result<()> {
        self.check(images)?;
        self.check_whole()?;
        self.executor.run(images)
    }

    /// As [`Engine::run`], one step after the other; `times` receives one duration a step, in the program's order.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_timed(&mut self, images: usize, times: &mut Vec<Duration>) -> Result<()> {
        self.check(images)?;
        self.check_whole()?;
        self.executor.run_timed(images, times)
    }

    /// Copies the last layer's output for the first `images` images to `out`, N·K values.
    ///
    /// # Errors
    /// [`Error::Shape`] when `out` has another length.
    pub fn logits(&self, images: usize, out: &mut [f32]) -> Result<()> {
        self.read(self.program.logits, images, out)
    }

    /// Copies the classes' probabilities for the first `images` images to `out`, N·max(K, 2) values: the softmax of the
    /// logits, or 1 − sigmoid and sigmoid of the one logit.
    ///
    /// # Errors
    /// [`Error::Shape`] when `out` has another length.
    pub fn probabilities(&self, images: usize, out: &mut [f32]) -> Result<()> {
        self.read(self.program.probabilities, images, out)
    }

    /// The output of the layer called `name` for the first `images` images, N·C·H·W.
    ///
    /// # Errors
    /// [`Error::Argument`] when the program does not keep it.
    pub fn output(&self, name: &str, images: usize) -> Result<Tensor> {
        let gradient = self.program.gradient.as_ref().map(|gradient| gradient.layer.as_str());
        let kept = self.program.options.keep == Keep::Layers
            || gradient.is_some_and(|layer| name.strip_prefix("grad.").unwrap_or(name) == layer);
        let found = self.program.outputs.iter().find(|(layer, _)| layer == name).filter(|_| kept);
        let Some(&(_, view)) = found else {
            return Err(Error::Argument(format!("the program keeps no output called `{name}`")));
        };
        let MapShape { c, h, w } = self.program.shape(view);
        let mut tensor = Tensor::zeros(&[images, c, h, w]);
        self.read(view, images, tensor.data_mut())?;
        Ok(tensor)
    }

    fn read(&self, view: View, images: usize, out: &mut [f32]) -> Result<()> {
        self.check(images)?;
        let expected = images * self.program.shape(view).elements();
        if out.len() != expected {
            return Err(Error::Shape {
                what: format!("room for the output of {images} images"),
                expected: format!("{expected} values"),
                got: out.len().to_string(),
            });
        }
        self.executor.read(view, images, out)
    }

    /// Whether the program needs nothing but its input.
    fn check_whole(&self) -> Result<()> {
        match &self.program.gradient {
            Some(_) => {
                Err(Error::Argument("a program that takes a gradient runs through run_gradient".into()))
            }
            None => Ok(()),
        }
    }

    pub(super) fn check(&self, images: usize) -> Result<()> {
        let batch = self.program.options.batch;
        if images == 0 || images > batch {
            return Err(Error::Shape {
                what: "number of images".into(),
                expected: format!("1 to {batch}"),
                got: images.to_string(),
            });
        }
        Ok(())
    }
}

/// `device`'s own way to run `program`.
fn executor(program: &Program, weights: &Weights, device: &Device) -> Result<Box<dyn Executor>> {
    match device {
        #[cfg(feature = "cpu")]
        Device::Cpu { threads, isa } => {
            Ok(Box::new(super::cpu::Cpu::new(program, weights, *threads, isa.as_deref())?))
        }
        #[cfg(feature = "cuda")]
        Device::Cuda { index, graph, properties, .. } => {
            Ok(Box::new(super::cuda::Cuda::new(program, weights, *index, properties, *graph)?))
        }
        #[cfg(feature = "sim")]
        Device::Sim { checks, threads, .. } => {
            Ok(Box::new(super::sim::Sim::new(program, weights, *checks, *threads)?))
        }
        #[cfg(not(feature = "cpu"))]
        Device::Cpu { .. } => {
            let _ = (program, weights);
            let problem = "this build of nodal has no cpu device: build it with --features cpu".to_string();
            Err(Error::Device { device: device.to_string(), problem })
        }
    }
}

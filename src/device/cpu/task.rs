//! A step bound to its weights and its places in the arena.

use std::sync::Mutex;

use super::conv2d::{Conv2d, Operands, OutputBlock};
use super::conv2d_backward_weight::Conv2dBackwardWeight;
use super::crop::Crop;
use super::elementwise::{Elementwise, Function, MapView};
use super::linear::{Linear, Values};
use super::map_view;
use super::pack_filters::PackFilters;
use super::pool2d::{GlobalAvgPool, Kind, Pool2d};
use super::simd::Isa;
use super::softmax::Softmax;
use super::threads::Threads;
use super::train::TrainTask;
use crate::error::{Error, Result};
use crate::network::AvgPoolPadding;
use crate::program::{self, Epilogue, FoldedBatchNorm, PoolKind, Program, StepOp, TrainOp};
use crate::weights::Weights;

/// One step, ready to run.
pub(super) enum Task {
    Conv2d {
        conv: Conv2d,
        input: MapView,
        outputs: Vec<Place>,
    },
    Pool2d(Pool2d),
    GlobalAvgPool(GlobalAvgPool),
    Elementwise(Elementwise),
    /// Copies behind one another.
    Concat(Vec<Elementwise>),
    Linear(Linear),
    Softmax(Softmax),
    Crop(Crop),
    PackFilters(PackFilters),
    Conv2dBackwardWeight(Conv2dBackwardWeight),
    Train(TrainTask),
}

/// Where sixteen output channels of a convolution go.
pub(super) struct Place {
    pub offset: usize,
    pub image_stride: usize,
    pub epilogue: Epilogue,
}

/// Output blocks a convolution has at most; their places are kept on the stack while a unit runs.
const MAX_BLOCKS: usize = 128;

impl Task {
    /// Tasks of all steps of `program`, in order, packed side by side.
    ///
    /// # Errors
    /// As [`Weights::f32`].
    pub fn all(isa: Isa, program: &Program, weights: &Weights, threads: &mut Threads) -> Result<Vec<Task>> {
        let done: Vec<Mutex<Option<Result<Task>>>> = program.steps.iter().map(|_| Mutex::new(None)).collect();
        let count = threads.count();
        let order = largest_first(program);
        threads.run(order.len(), &|unit| {
            let step = &program.steps[order[unit]];
            let task = Binder { isa, program, weights, threads: count }.bind(&step.op);
            if let Ok(mut slot) = done[order[unit]].lock() {
                *slot = Some(task);
            }
        });
        let lost = || Error::Device { device: "cpu".into(), problem: "a step was not packed".into() };
        done.into_iter().map(|slot| slot.into_inner().ok().flatten().ok_or_else(lost)?).collect()
    }

    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        match self {
            Task::Conv2d { conv, .. } => conv.units(),
            Task::Pool2d(pool) => pool.units(images),
            Task::GlobalAvgPool(_) => images,
            Task::Elementwise(map) => map.units(images),
            Task::Concat(copies) => copies.iter().map(|copy| copy.units(images)).sum(),
            Task::Linear(linear) => linear.units(images),
            Task::Softmax(_) | Task::Crop(_) => images,
            Task::PackFilters(pack) => pack.units(),
            Task::Conv2dBackwardWeight(conv) => conv.units(),
            Task::Train(task) => task.units(images),
        }
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` is the program's; all that the step reads has been written, and nobody else touches what it writes.
    pub unsafe fn run(&self, mut unit: usize, images: usize, arena: *mut f32) {
        // SAFETY: the caller's contract; places lie inside the arena by the program's construction.
        unsafe {
            match self {
                Task::Conv2d { conv, input, outputs } => {
                    let none = OutputBlock { data: arena, image_stride: 0, epilogue: Epilogue::None };
                    let mut blocks = [none; MAX_BLOCKS];
                    for (block, place) in blocks.iter_mut().zip(outputs) {
                        let Place { offset, image_stride, epilogue } = *place;
                        *block = OutputBlock { data: arena.add(offset), image_stride, epilogue };
                    }
                    let (input, input_stride) = (arena.add(input.offset).cast_const(), input.image_stride);
                    let outputs = &blocks[..outputs.len()];
                    conv.run(unit, Operands { input, input_stride, arena, outputs, images });
                }
                Task::Pool2d(pool) => pool.run(unit, arena),
                Task::GlobalAvgPool(pool) => pool.run(unit, arena),
                Task::Elementwise(map) => map.run(unit, arena),
                Task::Concat(copies) => {
                    for copy in copies {
                        let own = copy.units(images);
                        if unit < own {
                            return copy.run(unit, arena);
                        }
                        unit -= own;
                    }
                }
                Task::Linear(linear) => linear.run(unit, arena),
                Task::Softmax(softmax) => softmax.run(unit, arena),
                Task::Crop(crop) => crop.run(unit, arena),
                Task::PackFilters(pack) => pack.run(unit, arena),
                Task::Conv2dBackwardWeight(conv) => conv.run(unit, images, arena),
                Task::Train(task) => task.run(unit, images, arena),
            }
        }
    }
}

/// Steps by the size of their parameters, so that packing ends on all threads at about the same time.
fn largest_first(program: &Program) -> Vec<usize> {
    let mut order: Vec<usize> = (0..program.steps.len()).collect();
    order.sort_by_key(|&step| std::cmp::Reverse(program.steps[step].parameter_bytes(program)));
    order
}

/// What binding a step needs.
pub(super) struct Binder<'a> {
    pub isa: Isa,
    pub program: &'a Program,
    pub weights: &'a Weights,
    pub threads: usize,
}

impl Binder<'_> {
    fn bind(&self, op: &StepOp) -> Result<Task> {
        let view = |view| map_view(self.program, view);
        Ok(match op {
            StepOp::Train(TrainOp::PackFilters { parameters, convs }) => {
                self.bind_pack_filters(*parameters, convs)
            }
            StepOp::Train(TrainOp::Conv2dBackwardWeight { conv, dz, gradients, .. }) => {
                self.bind_conv2d_backward_weight(conv, *dz, gradients)
            }
            StepOp::Train(op) => Task::Train(TrainTask::new(self.isa, self.program, op)?),
            StepOp::Conv2dGroup(_) | StepOp::Pack { .. } => {
                let problem = "the program was lowered for another device".to_string();
                return Err(Error::Device { device: "cpu".into(), problem });
            }
            StepOp::Conv2d(conv) => self.bind_conv2d(conv)?,
            StepOp::Pool2d(pool) => {
                let kind = match &pool.kind {
                    PoolKind::Max => Kind::Max,
                    PoolKind::Average(average) => Kind::Average {
                        whole: average.padding == AvgPoolPadding::Include,
                        bias: average
                            .bias_relu
                            .as_deref()
                            .map(|l| Ok(FoldedBatchNorm::of(self.weights, l)?.bias))
                            .transpose()?,
                    },
                };
                let (input, output) = (view(pool.input), view(pool.output));
                Task::Pool2d(Pool2d { isa: self.isa, kind, window: pool.window, input, output })
            }
            StepOp::GlobalAvgPool { input, output } => {
                Task::GlobalAvgPool(GlobalAvgPool { input: view(*input), output: view(*output) })
            }
            StepOp::BatchNorm { layer, input, output } => {
                let FoldedBatchNorm { scale, bias } = FoldedBatchNorm::of(self.weights, layer)?;
                let function = Function::BatchNorm { scale, bias };
                Task::Elementwise(Elementwise { function, input: view(*input), output: view(*output) })
            }
            StepOp::Relu { input, output } => Task::Elementwise(Elementwise {
                function: Function::Relu,
                input: view(*input),
                output: view(*output),
            }),
            StepOp::Concat { inputs, output } => {
                let mut to = *output;
                let copy = |from: &program::View| {
                    to.channels = from.channels;
                    let copy = Elementwise { function: Function::Copy, input: view(*from), output: view(to) };
                    to.channel += from.channels;
                    copy
                };
                Task::Concat(inputs.iter().map(copy).collect())
            }
            StepOp::Crop { normalization, input, output } => Task::Crop(Crop {
                normalization: normalization.clone(),
                crops: self.program.buffers[input.buffer].offset_bytes / size_of::<f32>(),
                output: view(*output),
                shape: self.program.shape(*output),
            }),
            StepOp::Softmax { input, output } => {
                Task::Softmax(Softmax { input: view(*input), output: view(*output) })
            }
            StepOp::Linear { layer, learned, input, output } => {
                let values = match learned {
                    Some([weight, bias]) => {
                        Values::Learned { weight: view(*weight).offset, bias: view(*bias).offset }
                    }
                    None => Values::Fixed {
                        weight: self.weights.f32(&format!("{layer}.weight"))?.into_owned(),
                        bias: self.weights.f32(&format!("{layer}.bias"))?.into_owned(),
                    },
                };
                Task::Linear(Linear { values, input: view(*input), output: view(*output) })
            }
        })
    }
}

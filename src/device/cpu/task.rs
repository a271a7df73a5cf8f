//! A step bound to its weights and its places in the arena.

use std::sync::Mutex;

use super::conv2d::{Conv2d, Geometry, Operands, OutputBlock};
use super::crop::Crop;
use super::elementwise::{Elementwise, Function, MapView};
use super::filter::{FilterRow, PackedFilter};
use super::linear::{Linear, Values};
use super::map_view;
use super::pool2d::{GlobalAvgPool, Kind, Pool2d};
use super::simd::Isa;
use super::softmax::Softmax;
use super::threads::Threads;
use super::train::TrainTask;
use crate::error::{Error, Result};
use crate::network::AvgPoolPadding;
use crate::program::{self, Epilogue, Filters, FoldedBatchNorm, Layout, PoolKind, Program, StepOp};
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
    Train(TrainTask),
}

/// Where sixteen output channels of a convolution go.
pub(super) struct Place {
    offset: usize,
    image_stride: usize,
    bias_relu: bool,
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
                    let none = OutputBlock { data: arena, image_stride: 0, bias_relu: false };
                    let mut blocks = [none; MAX_BLOCKS];
                    for (block, place) in blocks.iter_mut().zip(outputs) {
                        let Place { offset, image_stride, bias_relu } = *place;
                        *block = OutputBlock { data: arena.add(offset), image_stride, bias_relu };
                    }
                    let (input, input_stride) = (arena.add(input.offset).cast_const(), input.image_stride);
                    conv.run(
                        unit,
                        Operands { input, input_stride, outputs: &blocks[..outputs.len()], images },
                    );
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
struct Binder<'a> {
    isa: Isa,
    program: &'a Program,
    weights: &'a Weights,
    threads: usize,
}

impl Binder<'_> {
    fn bind(&self, op: &StepOp) -> Result<Task> {
        let view = |view| map_view(self.program, view);
        Ok(match op {
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
                    Some(learned) => Values::Learned(view(*learned).offset),
                    None => Values::Fixed {
                        weight: self.weights.f32(&format!("{layer}.weight"))?.into_owned(),
                        bias: self.weights.f32(&format!("{layer}.bias"))?.into_owned(),
                    },
                };
                Task::Linear(Linear { values, input: view(*input), output: view(*output) })
            }
        })
    }

    fn bind_conv2d(&self, conv: &program::Conv2d) -> Result<Task> {
        let input = map_view(self.program, conv.input);
        let (p, q) = conv.window.output(input.h, input.w);
        let planar = self.program.buffers[conv.input.buffer].layout == Layout::Nchw;
        let geometry = Geometry { c: input.c, h: input.h, w: input.w, window: conv.window, p, q, planar };
        let taps = conv.window.kernel.0 * conv.window.kernel.1;

        let (mut values, mut scales, mut bias, mut outputs) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for part in &conv.parts {
            values.push(self.weights.f32(&format!("{}.conv.weight", part.layer))?);
            let k = part.output.channels;
            let folded = if conv.filters == Filters::Folded {
                FoldedBatchNorm::of(self.weights, &part.layer)?
            } else {
                FoldedBatchNorm { scale: vec![1.0; k], bias: vec![0.0; k] }
            };
            scales.extend(folded.scale);
            bias.extend(folded.bias);
            let to = map_view(self.program, part.output);
            outputs.extend((0..k / 16).map(|block| Place {
                offset: to.block(0, block),
                image_stride: to.image_stride,
                bias_relu: part.epilogue == Epilogue::BiasRelu,
            }));
        }
        let filters = values.iter().flat_map(|part| part.chunks_exact(input.c * taps));
        let rows: Vec<FilterRow<'_>> =
            filters.zip(&scales).map(|(values, &scale)| FilterRow { values, scale }).collect();
        let batch = self.program.options.batch;
        let filter = PackedFilter::pack(self.isa, &rows, input.c, geometry.c_block(), taps, p * q);
        let conv = Conv2d::new(self.isa, geometry, filter, bias, batch, self.threads);
        Ok(Task::Conv2d { conv, input, outputs })
    }
}

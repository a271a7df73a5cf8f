//! The steps that only training has, bound to their places in the arena.

use super::batch_norm::{BatchNorm, Pass};
use super::dropout::Dropout;
use super::elementwise_backward::ElementwiseBackward;
use super::linear_backward::LinearBackward;
use super::loss::Loss;
use super::map_view;
use super::pool2d_backward::{GlobalAvgPoolBackward, Pool2dBackward, Taken};
use super::sgd::{GradientNorm, Update};
use super::simd::Isa;
use crate::error::{Error, Result};
use crate::network::AvgPoolPadding;
use crate::program::{GradientCopy, PoolBackward, Program, TrainOp, View};

/// One training step, ready to run.
pub(super) enum TrainTask {
    BatchNorm(BatchNorm),
    /// Of ReLU, or of each input of a concat.
    ElementwiseBackward(Vec<ElementwiseBackward>),
    Pool2dBackward(Pool2dBackward),
    GlobalAvgPoolBackward(GlobalAvgPoolBackward),
    LinearBackward(LinearBackward),
    Dropout(Dropout),
    Loss(Loss),
    GradientNorm(GradientNorm),
    Update(Update),
}

impl TrainTask {
    /// Binds `op` of `program`.
    ///
    /// # Errors
    /// [`Error::Device`] for a step of another kind.
    pub fn new(isa: Isa, program: &Program, op: &TrainOp) -> Result<TrainTask> {
        let view = |view: &View| map_view(program, *view);
        let place = |view: &View| map_view(program, *view).offset;
        Ok(match op {
            TrainOp::BatchNormStats { .. }
            | TrainOp::Normalize { .. }
            | TrainOp::NormalizeSums { .. }
            | TrainOp::NormalizeBackward { .. } => TrainTask::BatchNorm(batch_norm(isa, program, op)?),
            TrainOp::ReluBackward { output, dy, dx, accumulate } => {
                let (relu, dy, dx, accumulate) = (Some(view(output)), view(dy), view(dx), *accumulate);
                TrainTask::ElementwiseBackward(vec![ElementwiseBackward { isa, relu, dy, dx, accumulate }])
            }
            TrainOp::ConcatBackward { parts } => {
                let copy = |part: &GradientCopy| {
                    let (dy, dx, accumulate) = (view(&part.dy), view(&part.dx), part.accumulate);
                    ElementwiseBackward { isa, relu: None, dy, dx, accumulate }
                };
                TrainTask::ElementwiseBackward(parts.iter().map(copy).collect())
            }
            TrainOp::Dropout { input, output, controls, keep } => {
                let (input, output) = (view(input), view(output));
                TrainTask::Dropout(Dropout { input, output, controls: place(controls), keep: *keep })
            }
            TrainOp::Loss { logits, targets, loss, gradient } => TrainTask::Loss(Loss {
                logits: view(logits),
                targets: view(targets),
                loss: place(loss),
                gradient: view(gradient),
            }),
            TrainOp::LinearBackward { input, dy, dx, parameters, gradients, .. } => {
                TrainTask::LinearBackward(LinearBackward {
                    isa,
                    input: view(input),
                    dy: view(dy),
                    dx: dx.as_ref().map(view),
                    weight: place(&parameters[0]),
                    gradients: gradients.each_ref().map(place),
                })
            }
            TrainOp::GlobalAvgPoolBackward { dy, dx } => {
                TrainTask::GlobalAvgPoolBackward(GlobalAvgPoolBackward { dy: view(dy), dx: view(dx) })
            }
            TrainOp::Pool2dBackward { kind, window, dy, dx, accumulate } => {
                let taken = match kind {
                    PoolBackward::Max { input } => Taken::Max(view(input)),
                    PoolBackward::Average(padding) => {
                        Taken::Average { whole: *padding == AvgPoolPadding::Include }
                    }
                };
                let (window, accumulate, dy, dx) = (*window, *accumulate, view(dy), view(dx));
                TrainTask::Pool2dBackward(Pool2dBackward { isa, taken, window, dy, dx, accumulate })
            }
            TrainOp::GradientNorm { gradients, norm, .. } => TrainTask::GradientNorm(GradientNorm {
                isa,
                gradients: place(gradients),
                count: gradients.channels,
                norm: place(norm),
                partials: GradientNorm::partials(gradients.channels),
            }),
            TrainOp::Update { parameters, gradients, momentum, norm, controls } => {
                TrainTask::Update(Update {
                    isa,
                    parameters: place(parameters),
                    gradients: place(gradients),
                    momentum: place(momentum),
                    count: parameters.channels,
                    norm: place(norm),
                    controls: place(controls),
                })
            }
            TrainOp::PackFilters { .. } | TrainOp::Conv2dBackwardWeight { .. } => return Err(unknown()),
        })
    }

    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        match self {
            TrainTask::BatchNorm(op) => op.units(images),
            TrainTask::ElementwiseBackward(parts) => parts.iter().map(|part| part.units(images)).sum(),
            TrainTask::Pool2dBackward(pool) => pool.units(images),
            TrainTask::GlobalAvgPoolBackward(pool) => pool.units(images),
            TrainTask::LinearBackward(linear) => linear.units(images),
            TrainTask::Dropout(_) => images,
            TrainTask::Loss(_) => 1,
            TrainTask::GradientNorm(norm) => norm.units(),
            TrainTask::Update(update) => update.units(),
        }
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// As [`Task::run`](super::task::Task::run); each unit runs once in a run.
    pub unsafe fn run(&self, mut unit: usize, images: usize, arena: *mut f32) {
        // SAFETY: the caller's contract; places lie inside the arena by the program's construction.
        unsafe {
            match self {
                TrainTask::BatchNorm(op) => op.run(unit, images, arena),
                TrainTask::ElementwiseBackward(parts) => {
                    for part in parts {
                        let own = part.units(images);
                        if unit < own {
                            return part.run(unit, arena);
                        }
                        unit -= own;
                    }
                }
                TrainTask::Pool2dBackward(pool) => pool.run(unit, arena),
                TrainTask::GlobalAvgPoolBackward(pool) => pool.run(unit, arena),
                TrainTask::LinearBackward(linear) => linear.run(unit, images, arena),
                TrainTask::Dropout(dropout) => dropout.run(unit, arena),
                TrainTask::Loss(loss) => loss.run(images, arena),
                TrainTask::GradientNorm(norm) => norm.run(unit, arena),
                TrainTask::Update(update) => update.run(unit, arena),
            }
        }
    }
}

/// Binds one of the four passes of batch norm.
fn batch_norm(isa: Isa, program: &Program, op: &TrainOp) -> Result<BatchNorm> {
    let view = |view: &View| map_view(program, *view);
    let place = |view: &View| map_view(program, *view).offset;
    let partials = |input: &View| BatchNorm::partials(&view(input), program.options.batch);
    let make = |input: &View, stats: &View, parameters: usize, gradients: usize, pass: Pass| BatchNorm {
        isa,
        input: view(input),
        stats: place(stats),
        parameters,
        gradients,
        relu: false,
        pass,
    };
    Ok(match op {
        TrainOp::BatchNormStats { input, stats, running, momentum, .. } => {
            let (running, momentum) = (place(running), *momentum);
            make(input, stats, 0, 0, Pass::Stats { running, momentum, partials: partials(input) })
        }
        TrainOp::Normalize { input, stats, parameters, relu, output, .. } => {
            let pass = Pass::Normalize { y: view(output) };
            BatchNorm { relu: *relu, ..make(input, stats, place(parameters), 0, pass) }
        }
        TrainOp::NormalizeSums { input, stats, parameters, relu, dy, gradients, .. } => {
            let pass = Pass::Sums { dy: view(dy), partials: partials(input) };
            BatchNorm { relu: *relu, ..make(input, stats, place(parameters), place(gradients), pass) }
        }
        TrainOp::NormalizeBackward { input, stats, parameters, relu, gradients, dy, dz, .. } => {
            let pass = Pass::Backward { dy: view(dy), dz: view(dz) };
            BatchNorm { relu: *relu, ..make(input, stats, place(parameters), place(gradients), pass) }
        }
        _ => return Err(unknown()),
    })
}

fn unknown() -> Error {
    Error::Device { device: "cpu".into(), problem: "a step of the program cannot run here".into() }
}

//! The CPU: native float32 on all cores, and the oracle that other devices are compared with.
//!
//! Maps lie as `[N][C/16][H][W][16]` in one arena. Filters are packed once, with batch norm folded in. The steps of one
//! level are cut into units that all threads claim together; a unit writes what no other unit touches, always in the
//! same order, so that the result does not depend on the number of threads.

mod batch_norm;
mod bind_conv2d;
mod conv2d;
mod conv2d_backward_weight;
mod crop;
mod dropout;
mod elementwise;
mod elementwise_backward;
mod filter;
mod linear;
mod linear_backward;
mod loss;
mod pack_filters;
mod partials;
mod peak;
mod pool2d;
mod pool2d_backward;
mod sgd;
mod simd;
mod softmax;
mod task;
mod threads;
mod train;

pub use peak::peak_gflops;
pub use simd::Isa;

use std::time::{Duration, Instant};

use super::Executor;
use crate::error::{Error, Result};
use crate::network::MapShape;
use crate::program::{BufferId, Program, Target, View};
use crate::weights::Weights;
use elementwise::MapView;
use filter::Line;
use task::Task;
use threads::Threads;

#[cfg(test)]
mod tests;

/// A program on the CPU: its arena, its packed weights, its threads.
pub(super) struct Cpu {
    arena: Vec<Line>,
    /// One a step, in the program's order.
    tasks: Vec<Task>,
    /// First task of each level, and their number.
    levels: Vec<usize>,
    threads: Threads,
    program: Program,
}

/// A pointer that units on several threads may use: they write disjoint parts.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: units write disjoint parts of the arena and read only what earlier levels wrote.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    fn get(self) -> *mut f32 {
        self.0
    }
}

impl Cpu {
    /// Packs `weights` for `program` and takes its memory. `isa` is an [`Isa`] by name, the best one when `None`.
    ///
    /// # Errors
    /// [`Error::Device`] for an instruction set this processor lacks, [`Error::Tensor`] for missing weights,
    /// [`Error::Memory`] when the arena cannot be had.
    pub fn new(program: &Program, weights: &Weights, threads: usize, isa: Option<&str>) -> Result<Self> {
        let isa = isa.map_or(Ok(Isa::detect()), Isa::named)?;
        if program.options.target != Target::cpu() {
            let problem = "the program was lowered for another device".to_string();
            return Err(Error::Device { device: "cpu".into(), problem });
        }
        let lines = program.arena_bytes.div_ceil(size_of::<Line>());
        let what = format!("a batch of {}", program.options.batch);
        let memory = Error::Memory { what, needed_bytes: program.arena_bytes };
        if super::available_bytes().is_some_and(|available| program.arena_bytes > available) {
            return Err(memory);
        }
        let mut arena = Vec::new();
        arena.try_reserve_exact(lines).map_err(|_| memory)?;
        // Never a right answer.
        arena.resize(lines, Line([f32::NAN; 16]));

        let mut threads = Threads::new(threads);
        let tasks = Task::all(isa, program, weights, &mut threads)?;
        let mut levels: Vec<usize> = (0..program.levels())
            .map(|level| program.steps.partition_point(|step| step.level < level))
            .collect();
        levels.push(tasks.len());
        Ok(Cpu { arena, tasks, levels, threads, program: program.clone() })
    }

    fn run_tasks(&mut self, first: usize, end: usize, images: usize) {
        let arena = Shared(self.arena.as_mut_ptr().cast());
        let tasks = &self.tasks[first..end];
        let units: usize = tasks.iter().map(|task| task.units(images)).sum();
        self.threads.run(units, &|mut unit| {
            for task in tasks {
                let own = task.units(images);
                if unit < own {
                    // SAFETY: the arena has the program's size; the steps of a level, and the units of a step, write
                    // disjoint parts of it and read what earlier levels wrote.
                    return unsafe { task.run(unit, images, arena.get()) };
                }
                unit -= own;
            }
        });
    }

    fn values(&self) -> &[f32] {
        let values = self.arena.len() * 16;
        // SAFETY: a `Line` is sixteen float32 without padding.
        unsafe { std::slice::from_raw_parts(self.arena.as_ptr().cast(), values) }
    }
}

impl Executor for Cpu {
    fn input(&mut self) -> &mut [f32] {
        let buffer = &self.program.buffers[self.program.input.buffer];
        let (offset, values) = (buffer.offset_bytes / size_of::<f32>(), buffer.bytes / size_of::<f32>());
        // SAFETY: the program places the buffer inside the arena.
        unsafe { std::slice::from_raw_parts_mut(self.arena.as_mut_ptr().cast::<f32>().add(offset), values) }
    }

    fn run(&mut self, images: usize) -> Result<()> {
        for level in 0..self.levels.len() - 1 {
            self.run_tasks(self.levels[level], self.levels[level + 1], images);
        }
        Ok(())
    }

    fn run_timed(&mut self, images: usize, times: &mut Vec<Duration>) -> Result<()> {
        times.clear();
        for task in 0..self.tasks.len() {
            let begin = Instant::now();
            self.run_tasks(task, task + 1, images);
            times.push(begin.elapsed());
        }
        Ok(())
    }

    fn read(&self, view: View, images: usize, out: &mut [f32]) -> Result<()> {
        let buffer = &self.program.buffers[view.buffer];
        let first = buffer.offset_bytes / size_of::<f32>();
        self.program.unpack(view, images, &self.values()[first..], out);
        Ok(())
    }

    fn write(&mut self, buffer: BufferId, first: usize, values: &[f32]) -> Result<()> {
        let own = &self.program.buffers[buffer];
        let (begin, room) = (own.offset_bytes / size_of::<f32>(), own.bytes / size_of::<f32>());
        // SAFETY: the program places the buffer inside the arena.
        let own =
            unsafe { std::slice::from_raw_parts_mut(self.arena.as_mut_ptr().cast::<f32>().add(begin), room) };
        own[first..first + values.len()].copy_from_slice(values);
        Ok(())
    }
}

/// Where `view` lies in the arena.
fn map_view(program: &Program, view: View) -> MapView {
    let buffer = &program.buffers[view.buffer];
    let MapShape { h, w, .. } = buffer.shape;
    MapView {
        offset: buffer.offset_bytes / size_of::<f32>() + view.channel * h * w,
        image_stride: buffer.shape.elements(),
        c: view.channels,
        h,
        w,
    }
}

//! The ways to run a program: as a graph, step by step, and step by step between events.

use std::ffi::c_void;
use std::time::Duration;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::CUresult;

use super::driver::{self, Capture, Event, Function, Graph, Stream};
use super::plan::Command;
use super::properties::problem;
use super::{Cuda, Output};
use crate::error::Result;
use crate::kernels::{Kernel, Pointer, Region};
use crate::program::{BufferId, View};

/// A launch whose addresses are filled in.
struct Prepared {
    kernel: Kernel,
    function: Function,
    grid: [u32; 3],
    /// The struct that the kernel takes, aligned to eight bytes.
    parameters: Vec<u64>,
}

impl Cuda {
    /// The launch of step number `step` for `images` images, its addresses filled in.
    fn prepare(&self, step: usize, images: usize) -> driver::Result<Prepared> {
        let launch = self.launches.launch(step, images);
        let bytes = launch.bound(|Pointer { region, offset_bytes, .. }| {
            let base = match region {
                Region::Arena => self.arena.address,
                Region::Input => self.input.address,
                Region::Constants => self.constants.address,
            };
            base + offset_bytes as u64
        });
        let mut parameters = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut parameters[..])[..bytes.len()].copy_from_slice(&bytes);
        let function = self.kernels.get(launch.kernel.name);
        let function = *function.ok_or(DriverError(CUresult::CUDA_ERROR_NOT_FOUND))?;
        Ok(Prepared { kernel: launch.kernel, function, grid: launch.grid, parameters })
    }

    fn prepare_all(&self, images: usize) -> driver::Result<Vec<Prepared>> {
        (0..self.program.steps.len()).map(|step| self.prepare(step, images)).collect()
    }

    /// Starts a kernel in `stream`: the only place where that happens.
    fn launch(&self, launch: &Prepared, stream: &Stream) -> driver::Result<()> {
        let [x, y, z] = launch.grid;
        let mut parameters = [launch.parameters.as_ptr().cast_mut().cast::<c_void>()];
        // SAFETY:
        // - The function belongs to a module that `self` keeps; callers have made its context current.
        // - The kernel takes one parameter, a struct by value of at most these bytes (a test compares both), aligned to
        //   eight, which the driver copies before it returns, into the graph's node too.
        // - `Launches` checked the grid, `load` the threads of a block; no kernel takes dynamic shared memory.
        // - Addresses in the struct lie within the arena, the constants and the pinned input, which go, and the last is written
        //   again, only after the stream was waited for.
        // - What the kernel reads is written by lower levels, and `plan` and the one stream of the other ways to run put those
        //   before it; steps of one level write disjoint memory.
        unsafe {
            result::launch_kernel(
                launch.function.raw,
                (x, y, z),
                (launch.kernel.threads, 1, 1),
                0,
                stream.raw,
                &mut parameters,
            )
        }
    }

    /// Copies the outputs of the first `images` images to the host in stream 0.
    fn download(&self, images: usize) -> driver::Result<()> {
        self.outputs.iter().try_for_each(|Output { buffer, host }| {
            let buffer = &self.program.buffers[*buffer];
            let values = buffer.layout.values(buffer.shape) * images;
            // SAFETY: the buffer lies in the arena; every way to run waits for stream 0 before it returns.
            unsafe {
                host.download(values, self.arena.address + buffer.offset_bytes as u64, &self.streams[0])
            }
        })
    }

    /// The graph for `images` images.
    pub(super) fn capture(&self, images: usize) -> driver::Result<Graph> {
        let prepared = self.prepare_all(images)?;
        let capture = Capture::begin(&self.streams[0])?;
        for command in &self.commands {
            match *command {
                Command::Record { event, stream } => self.events[event].record(&self.streams[stream])?,
                Command::Wait { event, stream } => self.streams[stream].wait(&self.events[event])?,
                Command::Launch { step, stream } => self.launch(&prepared[step], &self.streams[stream])?,
            }
        }
        self.download(images)?;
        capture.end()
    }

    /// Runs by the graph for `images` images, which is captured where there is none yet.
    pub(super) fn replay(&mut self, images: usize) -> Result<()> {
        let graph = match self.graphs[images - 1].take() {
            Some(graph) => graph,
            None => self.capture(images).map_err(|error| self.not_captured(error))?,
        };
        let graph = self.graphs[images - 1].insert(graph);
        // SAFETY: all that the capture used belongs to `self`, and stream 0 is waited for here and in `drop`.
        let launched = unsafe { graph.launch(&self.streams[0]) };
        launched.and_then(|()| self.streams[0].synchronize()).map_err(|error| self.faulted(error))
    }

    /// Runs step by step and waits for each, so that a fault is known by its step.
    pub(super) fn walk(&self, images: usize) -> Result<()> {
        for step in 0..self.program.steps.len() {
            let ran = self.prepare(step, images).and_then(|prepared| {
                self.launch(&prepared, &self.streams[0])?;
                self.streams[0].synchronize()
            });
            let kernel = || self.launches.launch(step, images).kernel.name;
            let fault = |error: DriverError| step_fault(&self.program.steps[step].name, kernel(), error.0);
            ran.map_err(|error| problem(&self.name, &fault(error)))?;
        }
        self.download(images).and_then(|()| self.streams[0].synchronize()).map_err(|error| {
            problem(&self.name, &format!("copying the results to the host failed ({:?})", error.0))
        })
    }

    /// Runs all steps in one stream, with an event before and behind each: as a graph, so that the card and not the host sets
    /// the pace, or without one.
    pub(super) fn walk_timed(&mut self, images: usize, times: &mut Vec<Duration>) -> driver::Result<()> {
        while self.timers.len() <= self.program.steps.len() {
            self.timers.push(Event::timing(&self.context)?);
        }
        if self.graph {
            let graph = match self.timed.take().filter(|(captured, _)| *captured == images) {
                Some((_, graph)) => graph,
                None => {
                    let prepared = self.prepare_all(images)?;
                    let capture = Capture::begin(&self.streams[0])?;
                    self.between_timers(&prepared, images, Event::record_in_graph)?;
                    capture.end()?
                }
            };
            let (_, graph) = self.timed.insert((images, graph));
            // SAFETY: as in `replay`.
            unsafe { graph.launch(&self.streams[0]) }?;
        } else {
            // All at once: between two launches there is to be as little as possible.
            self.between_timers(&self.prepare_all(images)?, images, Event::record)?;
        }
        self.streams[0].synchronize()?;
        for pair in self.timers[..=self.program.steps.len()].windows(2) {
            let ms = pair[0].milliseconds_to(&pair[1])?;
            times.push(Duration::from_secs_f64(f64::from(ms.max(0.0)) / 1e3));
        }
        Ok(())
    }

    /// Puts all launches into stream 0, an event before and behind each, and the read-back.
    fn between_timers(
        &self,
        prepared: &[Prepared],
        images: usize,
        record: impl Fn(&Event, &Stream) -> driver::Result<()>,
    ) -> driver::Result<()> {
        let stream = &self.streams[0];
        record(&self.timers[0], stream)?;
        for (launch, timer) in prepared.iter().zip(&self.timers[1..]) {
            self.launch(launch, stream)?;
            record(timer, stream)?;
        }
        self.download(images)
    }

    /// Copies `values` to the card, into a buffer from its value number `first` on.
    pub(super) fn put(&self, buffer: BufferId, first: usize, values: &[f32]) -> driver::Result<()> {
        let own = &self.program.buffers[buffer];
        assert!((first + values.len()) * size_of::<f32>() <= own.bytes, "the buffer has room for the values");
        let address = self.arena.address + (own.offset_bytes + first * size_of::<f32>()) as u64;
        // SAFETY: the buffer lies in the arena and has room; the stream is waited for before `values` is the caller's again.
        unsafe { result::memcpy_htod_async(address, values, self.streams[0].raw) }?;
        self.streams[0].synchronize()
    }

    /// Copies the buffer of `view` from the card, the first `images` images.
    pub(super) fn fetch(&self, view: View, images: usize) -> driver::Result<Vec<f32>> {
        let buffer = &self.program.buffers[view.buffer];
        let mut map = vec![0.0f32; buffer.layout.values(buffer.shape) * images];
        let address = self.arena.address + buffer.offset_bytes as u64;
        // SAFETY: the buffer lies in the arena and is that large; the stream is waited for before the copy is looked at.
        unsafe { result::memcpy_dtoh_async(&mut map, address, self.streams[0].raw) }?;
        self.streams[0].synchronize()?;
        Ok(map)
    }
}

/// A failed run, which does not tell where.
pub(super) fn run_fault(code: CUresult) -> String {
    format!(
        "the run failed ({code:?}) without telling in which kernel: --no-graph runs step by step and names it"
    )
}

/// A failed step.
pub(super) fn step_fault(step: &str, kernel: &str, code: CUresult) -> String {
    format!("step {step}, kernel {kernel}, failed ({code:?})")
}

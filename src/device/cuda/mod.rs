//! CUDA cards: a program's launches, captured as one CUDA graph and replayed for each run.
//!
//! The graph runs all steps, those of one level side by side (`plan.rs`), and copies logits and probabilities back; the first step
//! reads the input where the host wrote it, in pinned memory, so that no more of it travels than is used; a run is one graph launch and one wait. There is a graph for each number of images that was asked for.
//! Without graphs every step is waited for, so that a fault can be told with its kernel. Everything happens in streams of the
//! engine's own; the legacy default stream is never used.

mod driver;
mod load;
mod plan;
mod properties;
mod run;
#[cfg(test)]
mod tests;

pub use properties::{Properties, devices, unusable};
pub(super) use properties::{device, first};

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::result::{self, DriverError};

use super::Executor;
use crate::error::{Error, Result};
use crate::kernels::Launches;
use crate::program::{BufferId, Program, View};
use crate::weights::Weights;
use driver::{Context, Event, Function, Graph, Memory, Module, Pinned, Stream};
use load::{check_memory, load};
use plan::{Command, plan};
use properties::problem;
use run::run_fault;

/// A program on a card. Fields are dropped in this order: what may use the others first.
pub(super) struct Cuda {
    /// One for each number of images; the first is for one image.
    graphs: Vec<Option<Graph>>,
    /// All steps in one stream with `timers` between them, and for how many images.
    timed: Option<(usize, Graph)>,
    /// Around each step; made when the first run is timed.
    timers: Vec<Event>,
    events: Vec<Event>,
    streams: Vec<Stream>,
    input: Pinned,
    outputs: Vec<Output>,
    arena: Memory,
    constants: Memory,
    kernels: HashMap<&'static str, Function>,
    /// What `kernels` lie in.
    _modules: Vec<Module>,
    context: Arc<Context>,
    commands: Vec<Command>,
    launches: Launches,
    program: Program,
    /// Whether runs replay a graph.
    graph: bool,
    /// Images whose outputs lie on the host.
    done: usize,
    /// What went wrong first: after that nothing on the card can be trusted.
    fault: OnceCell<String>,
    /// As the user names it.
    name: String,
}

/// A buffer that each run copies to the host.
struct Output {
    buffer: BufferId,
    host: Pinned,
}

impl Cuda {
    /// Puts `weights`, packed, and the kernels that `program` needs on card number `index`, and takes all memory.
    ///
    /// # Errors
    /// Those of [`Launches::new`]; [`Error::Device`] for too little memory, code that the driver refuses, a card that fails.
    pub fn new(
        program: &Program,
        weights: &Weights,
        index: usize,
        properties: &Properties,
        graph: bool,
    ) -> Result<Self> {
        let name = format!("cuda:{index}");
        let failed = |doing: &str| {
            let name = name.clone();
            let doing = doing.to_string();
            move |error: DriverError| problem(&name, &format!("{doing} failed ({:?})", error.0))
        };
        let launches = Launches::new(program, weights)?;
        let context = Context::retain(index).map_err(failed("taking the card into use"))?;
        let owner = context.clone();
        let _entered = owner.enter().map_err(failed("taking the card into use"))?;
        let (modules, kernels) = load(&context, &name, properties, program, &launches)?;

        let bytes = [program.arena_bytes, size_of_val(launches.constants())];
        let (free, _) = result::mem_get_info().map_err(failed("asking for the free memory"))?;
        check_memory(&name, program.options.batch, bytes.iter().sum(), free)?;
        let memory = |bytes| Memory::new(&context, bytes).map_err(failed("taking memory on the card"));
        let [arena, constants] = [memory(bytes[0])?, memory(bytes[1])?];

        let pinned =
            |values| Pinned::new(&context, values).map_err(failed("taking pinned memory on the host"));
        let values = |buffer: BufferId| program.buffers[buffer].bytes / size_of::<f32>();
        let mut buffers = vec![program.logits.buffer, program.probabilities.buffer];
        buffers.dedup();
        let output = |buffer| Ok(Output { buffer, host: pinned(values(buffer))? });
        let outputs = buffers.into_iter().map(output).collect::<Result<Vec<_>>>()?;

        let commands = plan(program);
        let count = plan::streams(&commands);
        let streams: driver::Result<Vec<_>> = (0..count).map(|_| Stream::new(&context)).collect();
        let events: driver::Result<Vec<_>> = (0..count).map(|_| Event::ordering(&context)).collect();
        let mut cuda = Cuda {
            graphs: (0..program.options.batch).map(|_| None).collect(),
            timed: None,
            timers: Vec::new(),
            events: events.map_err(failed("making events"))?,
            streams: streams.map_err(failed("making streams"))?,
            input: pinned(values(program.input.buffer))?,
            outputs,
            arena,
            constants,
            kernels,
            _modules: modules,
            context,
            commands,
            program: program.clone(),
            graph,
            done: 0,
            fault: OnceCell::new(),
            name: name.clone(),
            launches,
        };
        cuda.fill().map_err(failed("copying the weights to the card"))?;
        cuda.launches.drop_constants();
        if graph {
            let batch = program.options.batch;
            cuda.graphs[batch - 1] = Some(cuda.capture(batch).map_err(|e| cuda.not_captured(e))?);
        }
        Ok(cuda)
    }

    /// Copies the constants, sets tickets to zero, and the rest of the arena to NaNs, which is never a right answer.
    fn fill(&self) -> driver::Result<()> {
        let stream = &self.streams[0];
        let (arena, constants) = (self.arena.address, self.launches.constants());
        // SAFETY: both allocations have the sizes that are written; the stream is waited for before the host's copy goes.
        unsafe {
            result::memset_d8_async(arena, 0xff, self.program.arena_bytes.max(1), stream.raw)?;
            if let Some(tickets) = self.program.tickets {
                let buffer = &self.program.buffers[tickets];
                result::memset_d8_async(arena + buffer.offset_bytes as u64, 0, buffer.bytes, stream.raw)?;
            }
            if !constants.is_empty() {
                result::memcpy_htod_async(self.constants.address, constants, stream.raw)?;
            }
        }
        stream.synchronize()
    }

    /// Waits for what may still be copied after a failure, since the host's side of it is the caller's again.
    fn drain(&self) {
        let _ = self.streams[0].synchronize();
    }

    /// The context, as long as nothing has failed.
    fn usable(&self) -> Result<Arc<Context>> {
        match self.fault.get() {
            Some(fault) => Err(problem(&self.name, &format!("an earlier call failed, start anew: {fault}"))),
            None => Ok(self.context.clone()),
        }
    }

    /// Keeps the first failure: a fault spoils the context for good, and results on the host may be old ones.
    fn settled<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(Error::Device { problem, .. }) = &outcome {
            let _ = self.fault.set(problem.clone());
        }
        outcome
    }

    fn faulted(&self, error: DriverError) -> Error {
        problem(&self.name, &run_fault(error.0))
    }

    fn not_captured(&self, error: DriverError) -> Error {
        let text = "the program cannot be made a CUDA graph";
        problem(&self.name, &format!("{text} ({:?}): --no-graph runs without one", error.0))
    }
}

impl Executor for Cuda {
    fn input(&mut self) -> &mut [f32] {
        self.input.values_mut()
    }

    fn run(&mut self, images: usize) -> Result<()> {
        let context = self.usable()?;
        self.done = 0;
        let outcome = match context.enter() {
            Ok(_entered) => {
                let outcome = if self.graph { self.replay(images) } else { self.walk(images) };
                outcome.inspect_err(|_| self.drain())
            }
            Err(error) => Err(self.faulted(error)),
        };
        self.settled(outcome)?;
        self.done = images;
        Ok(())
    }

    fn run_timed(&mut self, images: usize, times: &mut Vec<Duration>) -> Result<()> {
        let context = self.usable()?;
        self.done = 0;
        times.clear();
        let outcome = match context.enter() {
            Ok(_entered) => self.walk_timed(images, times).inspect_err(|_| self.drain()),
            Err(error) => Err(error),
        };
        self.settled(outcome.map_err(|error| self.faulted(error)))?;
        self.done = images;
        Ok(())
    }

    fn read(&self, view: View, images: usize, out: &mut [f32]) -> Result<()> {
        let context = self.usable()?;
        if view.buffer == self.program.input.buffer {
            self.program.unpack(view, images, self.input.values(), out);
            return Ok(());
        }
        let on_host = self.outputs.iter().find(|output| output.buffer == view.buffer);
        if let Some(output) = on_host.filter(|_| images <= self.done) {
            self.program.unpack(view, images, output.host.values(), out);
            return Ok(());
        }
        let outcome = match context.enter() {
            Ok(_entered) => self.fetch(view, images),
            Err(error) => Err(error),
        };
        let failed = |error: DriverError| {
            problem(&self.name, &format!("copying results to the host failed ({:?})", error.0))
        };
        let map = self.settled(outcome.map_err(failed))?;
        self.program.unpack(view, images, &map, out);
        Ok(())
    }

    fn write(&mut self, buffer: BufferId, first: usize, values: &[f32]) -> Result<()> {
        let context = self.usable()?;
        let outcome = match context.enter() {
            Ok(_entered) => self.put(buffer, first, values).inspect_err(|_| self.drain()),
            Err(error) => Err(error),
        };
        let failed = |error: DriverError| {
            problem(&self.name, &format!("copying values to the card failed ({:?})", error.0))
        };
        self.settled(outcome.map_err(failed))
    }
}

impl Drop for Cuda {
    /// Waits for what may be running before the fields go.
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            self.drain();
        }
    }
}

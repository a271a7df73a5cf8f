//! The simulator: the launches that `cuda` runs, from the same sources, on a processor without a GPU.
//!
//! Every view that a launch touches is a window with bounds of its own, and memory counts as never written from the moment
//! on at which a buffer's life begins, so that a kernel that reads or writes beside its views is an error with its source
//! line. Slow, and exact: the bits are those of the PTX, not those of the machine code of any card.

mod model;

pub use model::{Modelled, ProgramModel, model};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ptxsim::{Counters, Module, Simulator};

use super::{Checks, Executor};
use crate::error::{Error, Result};
use crate::kernels::{Image, Launches, Pointer, Region};
use crate::program::{BufferId, Program, View};
use crate::weights::Weights;

/// A program on the simulator.
pub(super) struct Sim {
    simulator: Simulator,
    modules: HashMap<&'static str, Arc<Module>>,
    launches: Launches,
    arena: u64,
    constants: u64,
    /// What the host writes, in a buffer of its own.
    host: u64,
    windows: HashMap<Pointer, u64>,
    input: Vec<f32>,
    program: Program,
    /// What went wrong first: after that memory holds half of a run.
    fault: Option<String>,
}

impl Sim {
    /// Puts `weights`, packed, into the simulator's memory.
    ///
    /// # Errors
    /// Those of [`Launches::new`]; [`Error::Device`] when a kernel's PTX cannot be read.
    pub fn new(program: &Program, weights: &Weights, checks: Checks, threads: usize) -> Result<Self> {
        let checks = match checks {
            Checks::Fast => ptxsim::Checks::fast(),
            Checks::All => ptxsim::Checks::all(),
        };
        Sim::with_checks(program, weights, checks, threads)
    }

    fn with_checks(
        program: &Program,
        weights: &Weights,
        checks: ptxsim::Checks,
        threads: usize,
    ) -> Result<Self> {
        let mut launches = Launches::new(program, weights)?;
        let mut simulator = Simulator::new(checks, threads);
        let smaller = |e| failed(format!("{e}: choose a smaller batch"));
        let arena = simulator.allocate("arena", program.arena_bytes).map_err(smaller)?;
        let host =
            simulator.allocate("input", program.buffers[program.input.buffer].bytes).map_err(failed)?;
        let bytes: &[u8] = bytemuck::cast_slice(launches.constants());
        let constants = simulator.allocate("weights", bytes.len().max(4)).map_err(failed)?;
        simulator.write(constants, bytes).map_err(failed)?;
        launches.drop_constants();
        if let Some(tickets) = program.tickets {
            let buffer = &program.buffers[tickets];
            simulator.write(arena + buffer.offset_bytes as u64, &vec![0; buffer.bytes]).map_err(failed)?;
        }
        let mut modules = HashMap::new();
        for kernel in crate::kernels::all() {
            if !modules.contains_key(kernel.module) {
                modules.insert(kernel.module, module(kernel.module)?);
            }
        }
        let values = program.buffers[program.input.buffer].bytes / size_of::<f32>();
        let input = vec![0.0; values];
        Ok(Sim {
            simulator,
            modules,
            launches,
            arena,
            constants,
            host,
            windows: HashMap::new(),
            input,
            program: program.clone(),
            fault: None,
        })
    }

    /// Runs step number `step` for `images` images: all its blocks, or some.
    fn step(&mut self, step: usize, images: usize, blocks: Option<&[u32]>) -> Result<Counters> {
        if let Some(fault) = &self.fault {
            return Err(failed(format!("an earlier run failed, start anew: {fault}")));
        }
        self.begin_lives(step)?;
        let launch = self.launches.launch(step, images);
        let mut windows = Vec::with_capacity(launch.pointers.len());
        for relocation in &launch.pointers {
            windows.push(self.window(step, relocation.pointer)?);
        }
        let mut windows = windows.into_iter();
        let parameters = launch.bound(|_| windows.next().unwrap_or(0));
        let module = &self.modules[launch.kernel.module];
        let launched = ptxsim::Launch {
            grid: launch.grid,
            block: [launch.kernel.threads, 1, 1],
            dynamic_shared_bytes: 0,
            parameters: &parameters,
            blocks,
        };
        self.simulator.launch(module, launch.kernel.name, &launched).map_err(|fault| {
            let fault = format!("step {}: {fault}", self.program.steps[step].name);
            self.fault = Some(fault.clone());
            failed(fault)
        })
    }

    /// Forgets what lies in buffers that this step's level writes first.
    fn begin_lives(&mut self, step: usize) -> Result<()> {
        let level = self.program.steps[step].level;
        if step > 0 && self.program.steps[step - 1].level == level {
            return Ok(());
        }
        for (id, buffer) in self.program.buffers.iter().enumerate() {
            let kept = self.program.outlasts(id);
            if buffer.live.0 == level && !kept {
                self.simulator
                    .forget(self.arena + buffer.offset_bytes as u64, buffer.bytes)
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    fn window(&mut self, step: usize, pointer: Pointer) -> Result<u64> {
        if let Some(&window) = self.windows.get(&pointer) {
            return Ok(window);
        }
        let (base, what) = match pointer.region {
            Region::Arena => (self.arena, "arena"),
            Region::Input => (self.host, "input"),
            Region::Constants => (self.constants, "weights"),
        };
        let name = format!("{what} of {}", self.program.steps[step].name);
        let window = self.simulator.window(&name, base + pointer.offset_bytes as u64, pointer.bytes);
        let window = window.map_err(failed)?;
        self.windows.insert(pointer, window);
        Ok(window)
    }

    fn write_input(&mut self, images: usize) -> Result<()> {
        let values = self.input.len() / self.program.options.batch * images;
        self.simulator.write(self.host, bytemuck::cast_slice(&self.input[..values])).map_err(failed)
    }
}

impl Executor for Sim {
    fn input(&mut self) -> &mut [f32] {
        &mut self.input
    }

    fn run(&mut self, images: usize) -> Result<()> {
        self.write_input(images)?;
        (0..self.program.steps.len()).try_for_each(|step| self.step(step, images, None).map(drop))
    }

    fn run_timed(&mut self, images: usize, times: &mut Vec<Duration>) -> Result<()> {
        times.clear();
        self.write_input(images)?;
        for step in 0..self.program.steps.len() {
            let begin = Instant::now();
            self.step(step, images, None)?;
            times.push(begin.elapsed());
        }
        Ok(())
    }

    fn read(&self, view: View, images: usize, out: &mut [f32]) -> Result<()> {
        let buffer = &self.program.buffers[view.buffer];
        let mut map = vec![0.0f32; buffer.layout.values(buffer.shape) * images];
        let bytes = bytemuck::cast_slice_mut(&mut map);
        let from = match view.buffer == self.program.input.buffer {
            true => self.host,
            false => self.arena + buffer.offset_bytes as u64,
        };
        self.simulator.read(from, bytes).map_err(failed)?;
        self.program.unpack(view, images, &map, out);
        Ok(())
    }

    fn write(&mut self, buffer: BufferId, first: usize, values: &[f32]) -> Result<()> {
        let offset = self.program.buffers[buffer].offset_bytes + first * size_of::<f32>();
        self.simulator.write(self.arena + offset as u64, bytemuck::cast_slice(values)).map_err(failed)
    }
}

/// The PTX of `name`, read.
fn module(name: &str) -> Result<Arc<Module>> {
    let absent = || failed(format!("the build embedded no PTX of `{name}`"));
    let ptx = Image::for_simulator(name).ok_or_else(absent)?.code()?;
    let module = Module::parse(&String::from_utf8_lossy(&ptx));
    module.map(Arc::new).map_err(|e| failed(format!("{name}: {e}")))
}

fn failed(problem: impl std::fmt::Display) -> Error {
    Error::Device { device: "sim".into(), problem: problem.to_string() }
}

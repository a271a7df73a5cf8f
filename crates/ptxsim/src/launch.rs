//! A simulator: its memory, and launches on it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::counters::{self, Cost, Counters};
use crate::error::{Error, Fault, Result};
use crate::exec::{Isa, Runner, Setting, Trap};
use crate::lower::{Kernel, Module};
use crate::memory::Memory;
use crate::order::Order;

/// What is looked after beside what always is; the crate's documentation has the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Unwritten words of shared memory, and races in it.
    pub shared: bool,
    /// Unwritten words of global memory.
    pub global_init: bool,
    /// Races between blocks in global memory.
    pub global_races: bool,
    /// Memory costs: sectors and wavefronts. Instructions are always counted.
    pub counters: bool,
}

impl Checks {
    /// Bounds, alignment and shared memory.
    pub const fn fast() -> Self {
        Checks { shared: true, global_init: false, global_races: false, counters: false }
    }

    /// Everything.
    pub const fn all() -> Self {
        Checks { shared: true, global_init: true, global_races: true, counters: true }
    }
}

/// A kernel launch.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Shared memory beside what the kernel declares.
    pub dynamic_shared_bytes: u32,
    /// The kernel's parameters as they lie in memory.
    pub parameters: &'a [u8],
    /// Numbers of the blocks to run, all when `None`: a sample suffices to count by.
    pub blocks: Option<&'a [u32]>,
}

/// A device that exists only here.
///
/// ```
/// use ptxsim::{Checks, Error, FaultKind, Launch, Module, Simulator};
///
/// let ptx = "
///     .version 8.8
///     .target sm_61
///     .address_size 64
///     .visible .entry twice(.param .u64 values) {
///         .reg .b32 %r<4>;
///         .reg .f32 %f<3>;
///         .reg .b64 %rd<4>;
///         ld.param.u64 %rd1, [values];
///         mov.u32 %r1, %tid.x;
///         mul.wide.u32 %rd2, %r1, 4;
///         add.s64 %rd3, %rd1, %rd2;
///         ld.global.f32 %f1, [%rd3];
///         add.f32 %f2, %f1, %f1;
///         st.global.f32 [%rd3], %f2;
///         ret;
///     }";
/// let module = Module::parse(ptx)?;
/// let mut simulator = Simulator::new(Checks::all(), 1);
/// let values = simulator.allocate("values", 40 * 4)?;
/// simulator.write(values, &1.5f32.to_le_bytes().repeat(40))?;
/// let parameters = values.to_le_bytes();
/// let launch = Launch {
///     grid: [1; 3],
///     block: [40, 1, 1],
///     dynamic_shared_bytes: 0,
///     parameters: &parameters,
///     blocks: None,
/// };
/// let counters = simulator.launch(&module, "twice", &launch)?;
/// assert_eq!((counters.total(), counters.global_sectors), (16, 10));
///
/// let mut first = [0; 4];
/// simulator.read(values, &mut first)?;
/// assert_eq!(f32::from_le_bytes(first), 3.0);
///
/// // One thread too many reads behind the end.
/// let too_many = Launch { block: [41, 1, 1], ..launch };
/// let Err(Error::Fault(fault)) = simulator.launch(&module, "twice", &too_many) else { panic!() };
/// assert_eq!((fault.kind, fault.thread), (FaultKind::OutOfBounds, [40, 0, 0]));
/// # Ok::<(), Error>(())
/// ```
pub struct Simulator {
    memory: Memory,
    checks: Checks,
    threads: usize,
    isa: Isa,
    budget: u64,
}

/// Basic blocks that the warps of a block may run together, unless said otherwise.
const BUDGET: u64 = 1 << 30;

impl Simulator {
    /// One without memory that runs blocks on `threads` threads, at least one.
    pub fn new(checks: Checks, threads: usize) -> Self {
        Simulator {
            memory: Memory::new(checks.global_init, checks.global_races),
            checks,
            threads: threads.max(1),
            isa: Isa::best(),
            budget: BUDGET,
        }
    }

    /// As [`Simulator::new`], on an instruction set of the host; `None` where the host lacks it.
    pub fn with_isa(checks: Checks, threads: usize, isa: Isa) -> Option<Self> {
        isa.is_available().then(|| Simulator { isa, ..Simulator::new(checks, threads) })
    }

    /// A block whose warps run more than `basic_blocks` basic blocks together counts as endless; 2³⁰ unless said otherwise.
    pub fn set_budget(&mut self, basic_blocks: u64) {
        self.budget = basic_blocks.max(1);
    }

    /// `bytes` of memory that nobody has written, filled with NaN.
    ///
    /// # Errors
    /// [`Error::Memory`] when there is none, or for 4 GiB and more.
    pub fn allocate(&mut self, name: &str, bytes: usize) -> Result<u64> {
        self.memory.allocate(name, bytes)
    }

    /// A pointer to part of a buffer that has bounds of its own.
    ///
    /// # Errors
    /// [`Error::Memory`] when the part does not lie within the buffer.
    pub fn window(&mut self, name: &str, pointer: u64, bytes: usize) -> Result<u64> {
        self.memory.window(name, pointer, bytes)
    }

    /// Makes memory count as never written, and fills it with NaN.
    ///
    /// # Errors
    /// [`Error::Memory`] when it does not lie within a buffer.
    pub fn forget(&mut self, pointer: u64, bytes: usize) -> Result<()> {
        self.memory.forget(pointer, bytes)
    }

    /// Copies `bytes` to the device.
    ///
    /// # Errors
    /// [`Error::Memory`] when they do not fit.
    pub fn write(&mut self, pointer: u64, bytes: &[u8]) -> Result<()> {
        self.memory.write(pointer, bytes)
    }

    /// Copies from the device.
    ///
    /// # Errors
    /// [`Error::Memory`] when there are fewer bytes.
    pub fn read(&self, pointer: u64, bytes: &mut [u8]) -> Result<()> {
        self.memory.read(pointer, bytes)
    }

    /// Runs `kernel` of `module`, and tells what it did.
    ///
    /// # Errors
    /// [`Error::Launch`] for a kernel that is not there or parameters of another size; [`Error::Fault`] for what the kernel
    /// does wrong, of several blocks' faults that of the first block.
    pub fn launch(&mut self, module: &Module, kernel: &str, launch: &Launch<'_>) -> Result<Counters> {
        let refuse = |problem: String| Err(Error::Launch { kernel: kernel.into(), problem });
        let Some(kernel) = module.kernels.iter().find(|k| k.name == kernel) else {
            return refuse("the module has no such kernel".into());
        };
        if launch.parameters.len() != kernel.parameter_bytes as usize {
            let (expected, got) = (kernel.parameter_bytes, launch.parameters.len());
            return refuse(format!("expected {expected} bytes of parameters, got {got}"));
        }
        let threads: u64 = launch.block.iter().map(|n| u64::from(*n)).product();
        let blocks: u64 = launch.grid.iter().map(|n| u64::from(*n)).product();
        let most = if kernel.most_threads == 0 { 1024 } else { u64::from(kernel.most_threads.min(1024)) };
        if !(1..=most).contains(&threads) {
            return refuse(format!("{threads} threads a block; the kernel takes 1 to {most}"));
        }
        if !(1..1 << 31).contains(&blocks) {
            return refuse(format!("{blocks} blocks; a grid has 1 to 2³¹ - 1"));
        }
        if let Some(number) = launch.blocks.and_then(|some| some.iter().find(|n| u64::from(**n) >= blocks)) {
            return refuse(format!("block number {number} of a grid of {blocks}"));
        }
        self.memory.begin_launch();
        let order = Order::default();
        let setting = Setting {
            kernel,
            memory: &self.memory,
            order: &order,
            parameters: launch.parameters,
            grid: launch.grid,
            block: launch.block,
            shared_bytes: (kernel.shared_bytes + launch.dynamic_shared_bytes) as usize,
            look_after_shared: self.checks.shared,
            count: self.checks.counters,
            isa: self.isa,
            budget: self.budget,
        };
        run(&setting, self.threads, blocks as u32, launch.blocks)
    }
}

/// Runs the blocks of a launch on `threads` threads, in order of their numbers.
fn run(setting: &Setting<'_>, threads: usize, blocks: u32, some: Option<&[u32]>) -> Result<Counters> {
    let count = some.map_or(blocks, |some| some.len() as u32);
    let (next, failed) = (AtomicU32::new(0), AtomicBool::new(false));
    let sums = Mutex::new(Sums::new(setting.kernel));
    let work = || {
        let mut runner = Runner::new(setting);
        let mut trap = None;
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= count || failed.load(Ordering::Relaxed) {
                break;
            }
            let number = some.map_or(turn, |some| some[turn as usize]);
            if !runner.run_block(number) {
                failed.store(true, Ordering::Relaxed);
                trap = runner.trap.take().map(|trap| (number, trap));
                break;
            }
        }
        if let Ok(mut sums) = sums.lock() {
            sums.add(&runner, trap);
        }
    };
    if threads == 1 || count == 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            (0..threads.min(count as usize)).for_each(|_| _ = scope.spawn(work));
        });
    }
    let sums = match sums.into_inner() {
        Ok(sums) => sums,
        Err(poisoned) => poisoned.into_inner(),
    };
    match sums.trap {
        Some((number, trap)) => Err(Error::Fault(Box::new(fault(setting, number, *trap)))),
        None => Ok(counters::summarise(setting.kernel, &sums.runs, &sums.costs, sums.divergent_branches)),
    }
}

/// What all threads counted together, and the first block's trap.
struct Sums {
    runs: Vec<u64>,
    costs: Vec<Cost>,
    divergent_branches: u64,
    trap: Option<(u32, Box<Trap>)>,
}

impl Sums {
    fn new(kernel: &Kernel) -> Self {
        let (runs, costs) = (vec![0; kernel.blocks], vec![Cost::default(); kernel.code.len()]);
        Sums { runs, costs, divergent_branches: 0, trap: None }
    }

    fn add(&mut self, runner: &Runner<'_>, trap: Option<(u32, Box<Trap>)>) {
        self.runs.iter_mut().zip(&runner.runs).for_each(|(sum, runs)| *sum += runs);
        self.costs.iter_mut().zip(&runner.costs).for_each(|(sum, cost)| *sum += *cost);
        self.divergent_branches += runner.divergent_branches;
        if let Some((number, trap)) = trap
            && self.trap.as_ref().is_none_or(|(first, _)| number < *first)
        {
            self.trap = Some((number, trap));
        }
    }
}

fn fault(setting: &Setting<'_>, number: u32, trap: Trap) -> Fault {
    let kernel = setting.kernel;
    let place = |number: u32, [x, y, _]: [u32; 3]| [number % x, number / x % y, number / x / y];
    let (file, line) = kernel.lines.get(trap.pc as usize).copied().unwrap_or_default();
    Fault {
        kind: trap.kind,
        kernel: kernel.name.clone(),
        block: place(number, setting.grid),
        thread: place(trap.warp * 32 + trap.lane, setting.block),
        file: kernel.files.get(&file).cloned().unwrap_or_else(|| "PTX".into()),
        line,
        detail: trap.detail,
    }
}

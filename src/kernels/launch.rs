//! What a launch is, and the launches of a whole program.

use std::sync::Mutex;

use super::parameters::MapView;
use super::{conv2d, crop, elementwise, linear, pack, pool2d, softmax, train};
use crate::error::{Error, Result};
use crate::program::{Buffer, Layout, Program, StepOp, TrainOp, View};
use crate::weights::Weights;

/// A kernel: an `extern "C"` function of `kernels/MODULE.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The file, without `.cu`.
    pub module: &'static str,
    /// The function.
    pub name: &'static str,
    /// Threads of its blocks.
    pub threads: u32,
}

/// Which of the device's allocations a pointer points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// The program's arena.
    Arena,
    /// The program's input, which the host writes.
    Input,
    /// Packed weights, never written.
    Constants,
}

/// Memory that a launch may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pointer {
    /// In which allocation.
    pub region: Region,
    /// Where it begins.
    pub offset_bytes: usize,
    /// How far the kernel may go.
    pub bytes: usize,
}

/// A place in the parameters where an address belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Its offset there, a multiple of eight.
    pub at: usize,
    /// What it points to.
    pub pointer: Pointer,
}

/// One kernel launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What runs.
    pub kernel: Kernel,
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// The struct that the kernel takes; its addresses are still 0.
    pub parameters: Vec<u8>,
    /// Where addresses go.
    pub pointers: Vec<Relocation>,
}

impl Launch {
    /// The parameters with `address` of each pointer filled in.
    pub fn bound(&self, mut address: impl FnMut(Pointer) -> u64) -> Vec<u8> {
        let mut bytes = self.parameters.clone();
        for relocation in &self.pointers {
            bytes[relocation.at..relocation.at + 8]
                .copy_from_slice(&address(relocation.pointer).to_le_bytes());
        }
        bytes
    }
}

/// A program's launches, one a step in the program's order, and the constants they read.
pub struct Launches {
    program: Program,
    /// Where each step's constants begin, in bytes.
    offsets: Vec<usize>,
    constants: Vec<f32>,
}

/// Constants of every step begin at a multiple of this many values.
const ALIGNMENT: usize = 64;

impl Launches {
    /// Packs `weights` for `program`, on as many threads as there are cores.
    ///
    /// # Errors
    /// [`Error::Tensor`] for missing weights, [`Error::Device`] for a program that was not lowered for a GPU or that
    /// exceeds what the kernels can address.
    pub fn new(program: &Program, weights: &Weights) -> Result<Self> {
        if program.options.target.gpu.is_none() {
            return Err(problem("the program was lowered for another device"));
        }
        if program.arena_bytes / 16 > i32::MAX as usize {
            return Err(problem(
                "a batch this large takes more memory than the kernels can address: choose a smaller one",
            ));
        }
        let packed = pack_all(program, weights)?;
        let (mut offsets, mut constants) = (Vec::new(), Vec::new());
        constants.reserve_exact(packed.iter().map(|values| values.len().next_multiple_of(ALIGNMENT)).sum());
        for values in packed {
            offsets.push(constants.len() * size_of::<f32>());
            constants.extend(values);
            constants.resize(constants.len().next_multiple_of(ALIGNMENT), 0.0);
        }
        let launches = Launches { program: program.clone(), offsets, constants };
        (0..program.steps.len()).try_for_each(|step| launches.check(step))?;
        Ok(launches)
    }

    /// The packed weights; a device copies them once.
    pub fn constants(&self) -> &[f32] {
        &self.constants
    }

    /// Gives the packed weights' memory back when a device has its copy.
    pub fn drop_constants(&mut self) {
        self.constants = Vec::new();
    }

    /// The launch of step number `step` for the first `images` images.
    pub fn launch(&self, step: usize, images: usize) -> Launch {
        let constants = self.offsets[step];
        let view = |view| MapView::new(&self.program, view, images);
        match &self.program.steps[step].op {
            StepOp::Conv2dGroup(group) => conv2d::launch(&self.program, group, images, constants),
            StepOp::Pool2d(pool) => pool2d::launch(pool, view(pool.input), view(pool.output), constants),
            StepOp::GlobalAvgPool { input, output } => pool2d::launch_global(view(*input), view(*output)),
            StepOp::BatchNorm { input, output, .. } => {
                elementwise::launch_batch_norm(view(*input), view(*output), constants)
            }
            StepOp::Relu { input, output } => elementwise::launch_relu(view(*input), view(*output)),
            StepOp::Concat { inputs, output } => elementwise::launch_concat(
                &inputs.iter().map(|&x| view(x)).collect::<Vec<_>>(),
                view(*output),
            ),
            StepOp::Linear { input, output, learned, .. } => {
                let (c, k) = (input.channels, output.channels);
                let values = match learned {
                    Some(learned) => learned.map(|own| conv2d::whole(&self.program, own)),
                    None => linear::fixed(c, k, constants),
                };
                linear::launch(view(*input), view(*output), values)
            }
            StepOp::Softmax { input, output } => softmax::launch(view(*input), view(*output)),
            StepOp::Crop { normalization, output, .. } => {
                crop::launch(normalization, view(*output), constants)
            }
            StepOp::Pack { input, output } => pack::launch(view(*input), view(*output)),
            StepOp::Train(op) => train::launch(&self.program, op, images, constants),
            StepOp::Conv2d(_) => unreachable!("a program for a GPU has its convolutions in groups"),
        }
    }

    /// Whether `op` takes maps by eight channels, and `view` is a map that does not lie so.
    fn is_broken(&self, op: &StepOp, view: View) -> bool {
        let in_any_layout = matches!(
            op,
            StepOp::Linear { .. }
                | StepOp::Softmax { .. }
                | StepOp::Crop { .. }
                | StepOp::Pack { .. }
                | StepOp::Train(TrainOp::LinearBackward { .. } | TrainOp::Loss { .. })
        );
        let Buffer { layout, role, shape, .. } = &self.program.buffers[view.buffer];
        let by_eight = view.channel.is_multiple_of(8) && view.channels.is_multiple_of(8);
        let lies_so = match layout {
            Layout::Blocked8 => by_eight,
            // One pixel lies in either way.
            Layout::Nchw => by_eight && shape.h * shape.w == 1,
            Layout::ColumnPairs => true,
            Layout::Crops | Layout::Blocked16 => false,
        };
        role.is_per_image() && !in_any_layout && !lies_so
    }

    /// What no launch may exceed: grid dimensions, inputs of a concat, convolutions and parts of a group; how maps lie.
    fn check(&self, step: usize) -> Result<()> {
        let name = &self.program.steps[step].name;
        let refuse = |what: &str| Err(problem(&format!("{name}: {what}")));
        let own = &self.program.steps[step];
        if own.inputs().iter().chain(&own.outputs()).any(|view| self.is_broken(&own.op, *view)) {
            return refuse("the kernels take maps by eight channels only");
        }
        match &own.op {
            StepOp::Conv2d(_) => return refuse("the program was lowered for another device"),
            StepOp::Train(op) => {
                if let Some(why) = train::refusal(&self.program, op) {
                    return refuse(why);
                }
            }
            StepOp::Conv2dGroup(group) if !conv2d::fits(&self.program, group) => {
                return refuse("the convolution kernels do not take this shape");
            }
            StepOp::Linear { learned: Some([weight, _]), .. } if !weight.channel.is_multiple_of(4) => {
                return refuse("the kernel of the last layer takes weights at multiples of four only");
            }
            StepOp::Concat { inputs, .. } if inputs.len() > elementwise::MAX_INPUTS => {
                return refuse("more inputs than the concat kernel takes");
            }
            _ => {}
        }
        let [x, y, z] = self.launch(step, self.program.options.batch).grid;
        if x > i32::MAX as u32 || y > 65_535 || z > 65_535 {
            return refuse("more thread blocks than a GPU takes: choose a smaller batch");
        }
        Ok(())
    }
}

fn problem(problem: &str) -> Error {
    Error::Device { device: "gpu".into(), problem: problem.into() }
}

/// The packed weights of every step, largest first on all cores.
fn pack_all(program: &Program, weights: &Weights) -> Result<Vec<Vec<f32>>> {
    let mut order: Vec<usize> = (0..program.steps.len()).collect();
    order.sort_by_key(|&step| std::cmp::Reverse(program.steps[step].parameter_bytes(program)));
    let (next, done) =
        (Mutex::new(order.into_iter()), Mutex::new(program.steps.iter().map(|_| None).collect::<Vec<_>>()));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(step) = next.lock().ok().and_then(|mut next| next.next()) {
                    let values = constants(program, weights, &program.steps[step].op);
                    if let Ok(mut done) = done.lock() {
                        done[step] = Some(values);
                    }
                }
            });
        }
    });
    let done = done.into_inner().map_err(|_| problem("packing the weights failed"))?;
    done.into_iter()
        .map(|values| values.unwrap_or_else(|| Err(problem("packing the weights failed"))))
        .collect()
}

/// What the step's kernel reads beside maps, in the kernel's order.
fn constants(program: &Program, weights: &Weights, op: &StepOp) -> Result<Vec<f32>> {
    match op {
        StepOp::Conv2dGroup(group) => conv2d::constants(program, weights, group),
        StepOp::Pool2d(pool) => pool2d::constants(weights, pool),
        StepOp::BatchNorm { layer, .. } => elementwise::constants(weights, layer),
        StepOp::Linear { layer, learned: None, .. } => linear::constants(weights, layer),
        StepOp::Crop { normalization, .. } => Ok(crop::constants(normalization)),
        StepOp::Train(op) => Ok(train::constants(program, op)),
        _ => Ok(Vec::new()),
    }
}

//! How convolutions are cut into thread blocks on a GPU: output tiles, and slices of the sum where there are fewer tiles
//! than the GPU has room for.
//!
//! A convolution is a matrix product of M = N·P·Q pixels by K channels over C·R·S terms (implicit GEMM: Chetlur et al.,
//! "cuDNN: Efficient Primitives for Deep Learning", 2014, arXiv 1410.0759). A thread block computes one [`Tile`] of it
//! for one slice of the terms, its warps in `groups` that share the slice out among them. The convolutions of a level
//! run in one launch where that is faster. The choice minimises an estimate of clock cycles; it depends on the program and
//! the GPU's description alone, so that the same program gives the same bits.

use serde::{Deserialize, Serialize};

use super::step::{Conv2d, Conv2dGroup, Phase, Step, StepOp};
use super::{Buffer, Layout, MapShape, Program, Role, Tuning, View};

/// What the cutting depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Number of streaming multiprocessors.
    pub multiprocessors: usize,
    /// Tiles there are kernels for.
    pub tiles: Vec<Tile>,
    /// Tiles of filter gradients there are kernels for: output channels, and filter values of each.
    pub weight_tiles: Vec<(usize, usize)>,
    /// Cuts found by measuring; they go before the estimate.
    pub tuning: Option<Tuning>,
}

/// Outputs of one thread block: `pixels`×`channels`, the sum shared out among `groups` of warps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tile {
    /// Pixels; a multiple of 64.
    pub pixels: usize,
    /// Channels; a multiple of 32.
    pub channels: usize,
    /// Groups of warps, each of which adds its own part of the terms.
    pub groups: usize,
}

/// How one convolution of a group is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Parts of the sum that different thread blocks compute.
    pub slices: usize,
    /// Steps of eight terms that each group of warps adds; `slices · groups · steps` covers the sum.
    pub steps: usize,
    /// First of its counters in [`Program::tickets`], one a tile; used when there are several slices.
    pub first_ticket: usize,
    /// Where its partial sums begin in the workspace, in values.
    pub first_partial: usize,
}

/// Terms of a sum that one step of the kernel's loop adds.
pub const STEP_TERMS: usize = 8;

/// Convolutions in one launch at most: their descriptions travel in its parameters.
pub const MAX_GROUP: usize = 4;

/// Slices at most; the sum over slices is the work of one thread block.
pub const MAX_SLICES: usize = 8;

impl Tile {
    /// Threads of a block: a warp has 64 pixels × 32 channels, eight by eight a thread.
    pub fn threads(&self) -> usize {
        self.groups * (self.pixels / 64) * (self.channels / 32) * 32
    }
}

/// Steps of eight terms in the whole sum of `conv`.
pub fn total_steps(program: &Program, conv: &Conv2d) -> usize {
    let (r, s) = conv.window.kernel;
    match program.buffers[conv.input.buffer].layout {
        Layout::ColumnPairs => r * s.div_ceil(2),
        _ => r * s * conv.input.channels / STEP_TERMS,
    }
}

/// Tiles of `conv` along pixels and channels for `images` images.
pub fn tiles(program: &Program, conv: &Conv2d, tile: Tile, images: usize) -> (usize, usize) {
    let (p, q) = conv.output_size(program);
    ((images * p * q).div_ceil(tile.pixels), conv.output_channels().div_ceil(tile.channels))
}

/// Values of the filters of `conv` in the order in which its thread blocks read them: `[K/channels][steps][8][channels]`, zero beyond K
/// and beyond the last step of the sum.
pub fn packed_values(conv: &Conv2d, tile: Tile, tiling: &Tiling) -> usize {
    let steps = tiling.slices * tile.groups * tiling.steps;
    conv.output_channels().div_ceil(tile.channels) * steps * STEP_TERMS * tile.channels
}

/// Cuts every convolution of `program`, and joins those of a level where one launch is faster.
pub(super) fn schedule(program: &mut Program, gpu: &Gpu) {
    let mut steps: Vec<Step> = Vec::with_capacity(program.steps.len());
    let mut tickets = 0;
    for level in 0..program.levels() {
        let (convs, others): (Vec<Step>, Vec<Step>) = program
            .steps
            .iter()
            .filter(|step| step.level == level)
            .cloned()
            .partition(|step| matches!(step.op, StepOp::Conv2d(_)));
        for launch in launches(program, gpu, &convs) {
            let names: Vec<&str> = launch.members.iter().map(|&i| convs[i].name.as_str()).collect();
            let name = names.join("+");
            let mut group = Conv2dGroup { convs: Vec::new(), tile: launch.cut.tile, workspace: None };
            let mut partials = 0;
            for &i in &launch.members {
                let StepOp::Conv2d(conv) = &convs[i].op else { continue };
                let mut tiling = cut(program, conv, launch.cut);
                if tiling.slices > 1 {
                    let (m, n) = tiles(program, conv, group.tile, program.options.batch);
                    (tiling.first_ticket, tiling.first_partial) = (tickets, partials);
                    tickets += m * n;
                    partials += m * n * tiling.slices * group.tile.pixels * group.tile.channels;
                }
                group.convs.push((conv.clone(), tiling));
            }
            group.workspace = (partials > 0).then(|| buffer(program, &format!("{name}.partials"), partials));
            steps.push(Step { name, level, op: StepOp::Conv2dGroup(group) });
        }
        steps.extend(others);
    }
    program.steps = steps;
    super::train::cut(program, gpu, &mut tickets);
    program.tickets = (tickets > 0).then(|| buffer(program, "tickets", tickets).buffer);
}

/// A buffer of `values` 32-bit values that belong to no image.
pub(super) fn buffer(program: &mut Program, name: &str, values: usize) -> View {
    let shape = MapShape { c: values, h: 1, w: 1 };
    let bytes = values * size_of::<f32>();
    program.buffers.push(Buffer::new(name, Role::Workspace, shape, Layout::Nchw, bytes));
    View { buffer: program.buffers.len() - 1, channel: 0, channels: values }
}

/// A launch: which convolutions of a level, and how they are cut.
struct Launch {
    members: Vec<usize>,
    cut: Cut,
}

/// How a launch is cut: `steps` at most for each group of warps.
#[derive(Clone, Copy)]
struct Cut {
    tile: Tile,
    steps: usize,
}

fn launches(program: &Program, gpu: &Gpu, convs: &[Step]) -> Vec<Launch> {
    let name = |members: &[usize]| {
        let names: Vec<&str> = members.iter().map(|&i| convs[i].name.as_str()).collect();
        names.join("+")
    };
    let best = |members: &[usize]| {
        let ops: Vec<&Conv2d> = members.iter().filter_map(|&i| conv(&convs[i])).collect();
        choose(program, gpu, &ops, &name(members))
    };
    let units = units(convs);
    let alone: Vec<(f64, Cut)> = units.iter().map(|unit| best(unit)).collect();
    if units.len() > 1 && convs.len() <= MAX_GROUP {
        let all: Vec<usize> = (0..convs.len()).collect();
        let (cost, cut) = best(&all);
        let tuned = |name: &str| gpu.tuning.as_ref().is_some_and(|t| t.launches.contains_key(name));
        let apart = !tuned(&name(&all)) && units.iter().all(|unit| tuned(&name(unit)));
        if tuned(&name(&all)) || !apart && cost <= alone.iter().map(|(cost, _)| cost).sum() {
            return vec![Launch { members: all, cut }];
        }
    }
    units.into_iter().zip(alone).map(|(members, (_, cut))| Launch { members, cut }).collect()
}

/// The steps of a level in runs that are always one launch: phases of one gradient, which lie in the same maps, and each other
/// convolution by itself.
fn units(convs: &[Step]) -> Vec<Vec<usize>> {
    let phase = |i: usize| conv(&convs[i]).filter(|conv| conv.phase != Phase::ALL).map(|conv| conv.input);
    let mut units: Vec<Vec<usize>> = Vec::with_capacity(convs.len());
    for i in 0..convs.len() {
        match units.last_mut() {
            Some(unit) if unit.len() < MAX_GROUP && phase(i).is_some() && phase(unit[0]) == phase(i) => {
                unit.push(i)
            }
            _ => units.push(vec![i]),
        }
    }
    units
}

fn conv(step: &Step) -> Option<&Conv2d> {
    match &step.op {
        StepOp::Conv2d(conv) => Some(conv),
        _ => None,
    }
}

/// The cheapest cut of `convs` as one launch, and its cost.
fn choose(program: &Program, gpu: &Gpu, convs: &[&Conv2d], name: &str) -> (f64, Cut) {
    let longest = convs.iter().map(|conv| total_steps(program, conv)).max().unwrap_or(1);
    if let Some(tuned) = gpu.tuning.as_ref().and_then(|tuning| tuning.launches.get(name)) {
        let cut = Cut { tile: tuned.tile, steps: tuned.steps.clamp(1, longest) };
        return (cost(program, gpu, convs, cut), cut);
    }
    let mut best = (f64::INFINITY, Cut { tile: gpu.tiles[0], steps: longest });
    for &tile in &gpu.tiles {
        for slices in 1..=MAX_SLICES {
            let cut = Cut { tile, steps: longest.div_ceil(slices * tile.groups) };
            let cost = cost(program, gpu, convs, cut);
            if cost < best.0 {
                best = (cost, cut);
            }
        }
    }
    best
}

/// Cuts one convolution: as many slices as keep a group of warps at `cut.steps` or below, all about equally long.
fn cut(program: &Program, conv: &Conv2d, cut: Cut) -> Tiling {
    let total = total_steps(program, conv);
    let slices = total.div_ceil(cut.tile.groups * cut.steps).clamp(1, MAX_SLICES);
    let steps = total.div_ceil(slices * cut.tile.groups);
    Tiling { slices, steps, first_ticket: 0, first_partial: 0 }
}

/// Clock cycles of a launch, estimated: multiply-adds at 128 a cycle and multiprocessor, the busiest of which has ⌈blocks /
/// multiprocessors⌉ blocks, with half of the time lost where it has one block only and so little to hide latencies with;
/// start and end of a block; partial sums through the second-level cache.
fn cost(program: &Program, gpu: &Gpu, convs: &[&Conv2d], by: Cut) -> f64 {
    /// Launch, first loads, epilogue.
    const FIXED: f64 = 3000.0;
    /// Waiting for the last slice and reading the others.
    const REDUCE: f64 = 1500.0;
    /// Partial sums a cycle and multiprocessor.
    const PARTIALS: f64 = 4.0;

    let tile = by.tile;
    let (mut blocks, mut work, mut partials, mut sliced) = (0, 0.0, 0.0, false);
    for conv in convs {
        let tiling = cut(program, conv, by);
        let (m, n) = tiles(program, conv, tile, program.options.batch);
        let own = m * n * tiling.slices;
        let outputs = (tile.pixels * tile.channels) as f64;
        blocks += own;
        work += own as f64 * (outputs * ((tiling.steps * tile.groups * STEP_TERMS) as f64 / 128.0 + 0.25));
        if tiling.slices > 1 {
            sliced = true;
            partials += 2.0 * own as f64 * outputs;
        }
    }
    let busiest = blocks.div_ceil(gpu.multiprocessors) as f64;
    let idle = if busiest < 2.0 { 1.3 } else { 1.08 };
    let average = work / blocks as f64;
    FIXED
        + busiest * average * idle
        + partials / gpu.multiprocessors as f64 / PARTIALS
        + if sliced { REDUCE } else { 0.0 }
}

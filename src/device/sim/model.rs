//! The model of a program's time on a card: what each launch does is counted on the simulator, and what that costs is
//! [`estimate`]d. A model, never a measurement.
//!
//! Thread blocks of a launch do the same work but for edges, so that a sample is run and scaled up: of a convolution some tiles
//! with all their slices, of a gradient of filters one tile's first slice and its last, which adds up all of them, of any other launch
//! some blocks.

use ptxsim::{Class, Counters};

use super::Sim;
use crate::device::Executor;
use crate::error::Result;
use crate::kernels::{Card, Estimate, Work, estimate};
use crate::program::{
    Controls, Conv2d, Crop, Input, Program, Samples, StepOp, Tiling, TrainOp, WeightCut, crop_bytes, tiles,
    weight_tiles,
};
use crate::weights::Weights;

/// Height and width of a crop.
const CROP: (usize, usize) = (102, 111);

/// Tiles of a convolution, and blocks of any other launch, that are run.
const SAMPLE: usize = 12;

/// One step's work and its modelled time.
#[derive(Clone, Debug)]
pub struct Modelled {
    /// What its launch does: each convolution of it, or all of it.
    pub parts: Vec<Work>,
    /// How long that takes.
    pub estimate: Estimate,
    /// Multiply-adds as a share of the PTX instructions in its hottest loop, register copies apart.
    pub loop_fma_share: f64,
    /// Shared-memory wavefronts beyond those without a bank conflict, in its hottest loop.
    pub loop_bank_conflicts: u64,
    /// Sectors of global memory beyond those that the bytes asked for would fill, in its hottest loop.
    pub loop_extra_sectors: u64,
    /// Bytes asked for as a share of the sectors that global accesses touch.
    pub sector_use: f64,
}

/// A program's modelled time on a card.
#[derive(Clone, Debug)]
pub struct ProgramModel {
    /// Each step by itself, in the program's order.
    pub steps: Vec<Modelled>,
    /// The whole: steps of one level run side by side.
    pub us: f64,
}

/// Models `program` on `card`; `done` hears the number of each step that has been counted.
///
/// # Errors
/// As [`Engine::new`](crate::device::Engine::new) and [`Engine::run`](crate::device::Engine::run).
pub fn model(
    program: &Program,
    weights: &Weights,
    card: &Card,
    threads: usize,
    done: &mut dyn FnMut(usize),
) -> Result<ProgramModel> {
    let checks = ptxsim::Checks { shared: false, global_init: false, global_races: false, counters: true };
    let mut sim = Sim::with_checks(program, weights, checks, threads)?;
    put_crops(&mut sim)?;
    put_learned(&mut sim, weights)?;
    let mut steps = Vec::with_capacity(program.steps.len());
    for step in 0..program.steps.len() {
        steps.push(modelled(&mut sim, program, step, card)?);
        done(step);
    }
    let level = |level: usize| {
        let own = program.steps.iter().zip(&steps).filter(|(step, _)| step.level == level);
        estimate(card, &own.flat_map(|(_, modelled)| modelled.parts.clone()).collect::<Vec<_>>()).us
    };
    let us = (0..program.levels()).map(level).sum();
    Ok(ProgramModel { steps, us })
}

/// A crop of the study's usual size as every image of a program that reads crops; values count as they are.
fn put_crops(sim: &mut Sim) -> Result<()> {
    let (shape, batch) = (sim.program.shape(sim.program.input), sim.program.options.batch);
    if sim.program.options.input != Input::Values {
        let (height, width) = (CROP.0.min(shape.h), CROP.1.min(shape.w));
        let pixels = vec![0; height * width];
        let crop = Crop { height, width, channels: 1, samples: Samples::Bytes(&pixels) };
        let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut sim.input);
        for image in memory.chunks_exact_mut(crop_bytes(shape)) {
            crop.store(shape, image)?;
        }
    }
    sim.write_input(batch)
}

/// What a training program reads beside its images: parameters of `weights`, and the numbers of a step of training.
fn put_learned(sim: &mut Sim, weights: &Weights) -> Result<()> {
    let Some(learned) = sim.program.learned.clone() else { return Ok(()) };
    for (list, buffer) in [(&learned.parameters, learned.values), (&learned.statistics, learned.running)] {
        for own in list {
            sim.write(buffer, own.first, &weights.f32(&own.name)?)?;
        }
    }
    sim.write(learned.controls, 0, &Controls::default().words())
}

fn modelled(sim: &mut Sim, program: &Program, step: usize, card: &Card) -> Result<Modelled> {
    let images = program.options.batch;
    let op = &program.steps[step].op;
    let mut sum = Sum::default();
    match op {
        StepOp::Conv2dGroup(group) => {
            let mut first = 0;
            for (conv, tiling) in &group.convs {
                let (m, n) = tiles(program, conv, group.tile, images);
                // It waits for its first tile and for its bias; with slices for the ticket and the other slices too.
                let round_trips = if tiling.slices > 1 { 4.0 } else { 2.0 };
                let blocks = m * n * tiling.slices;
                sum.add(sim, step, &sample_of_tiles(first, m * n, tiling), blocks, round_trips)?;
                first += blocks;
            }
        }
        StepOp::Train(TrainOp::Conv2dBackwardWeight { conv, cut: Some(cut), .. }) => {
            filter_gradient(sim, &mut sum, step, conv, cut)?;
        }
        _ => {
            let blocks: usize = sim.launches.launch(step, images).grid.iter().map(|&n| n as usize).product();
            let round_trips = if matches!(op, StepOp::Softmax { .. }) { 2.0 } else { 1.0 };
            let sample: Vec<u32> = spread(blocks).map(|b| b as u32).collect();
            sum.add(sim, step, &sample, blocks, round_trips)?;
        }
    }
    // Memory is one for all: it stands with the first part.
    if let Some(work) = sum.parts.first_mut() {
        work.dram_bytes = dram_bytes(program, step, card);
    }
    let sectors: f64 = sum.parts.iter().map(|work| work.global_sectors).sum();
    Ok(Modelled {
        estimate: estimate(card, &sum.parts),
        parts: sum.parts,
        loop_fma_share: sum.loop_fma_share,
        loop_bank_conflicts: sum.loop_bank_conflicts,
        loop_extra_sectors: sum.loop_extra_sectors,
        sector_use: sum.sectors_least / sectors.max(1.0),
    })
}

/// A block that only leaves its sums stands for all but one of each tile's; the one that adds them up is told by the ticket that it is
/// the last.
fn filter_gradient(sim: &mut Sim, sum: &mut Sum, step: usize, conv: &Conv2d, cut: &WeightCut) -> Result<()> {
    let (m, n) = weight_tiles(&sim.program, conv, cut.tile);
    let tiles = m * n;
    let others = tiles * (cut.slices - 1);
    if others > 0 {
        sum.add(sim, step, &[0], others, 1.0)?;
        if let Some(buffer) = sim.program.tickets {
            let others_of_last = f32::from_bits(cut.slices as u32 - 1);
            sim.write(buffer, cut.first_ticket, &[others_of_last])?;
        }
    }
    // Its first tile, its ticket, the other slices.
    sum.add(sim, step, &[0], tiles, if others > 0 { 3.0 } else { 1.0 })
}

/// Numbers of the blocks of some of `tiles` tiles, all slices of each; the convolution's blocks begin at `first`.
fn sample_of_tiles(first: usize, tiles: usize, tiling: &Tiling) -> Vec<u32> {
    let slices = 0..tiling.slices;
    slices.flat_map(|slice| spread(tiles).map(move |tile| (first + slice * tiles + tile) as u32)).collect()
}

/// At most [`SAMPLE`] numbers below `count`, evenly spread, the first and the last among them.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    let some = count.min(SAMPLE);
    (0..some).map(move |i| if some < 2 { 0 } else { i * (count - 1) / (some - 1) })
}

/// Parameters must come from memory; maps only as far as they are larger than the second-level cache.
fn dram_bytes(program: &Program, step: usize, card: &Card) -> f64 {
    let step = &program.steps[step];
    let parameters = step.parameter_bytes(program) as f64;
    let maps = step.bytes(program) as f64 - parameters;
    parameters + (maps - card.l2_bytes).max(0.0)
}

/// What the launches of a step do, scaled up from samples.
#[derive(Default)]
struct Sum {
    parts: Vec<Work>,
    sectors_least: f64,
    loop_fma_share: f64,
    loop_bank_conflicts: u64,
    loop_extra_sectors: u64,
    loop_weight: u64,
}

impl Sum {
    /// Runs `sample`, which stands for `blocks` blocks.
    fn add(
        &mut self,
        sim: &mut Sim,
        step: usize,
        sample: &[u32],
        blocks: usize,
        round_trips: f64,
    ) -> Result<()> {
        let images = sim.program.options.batch;
        let counters: Counters = sim.step(step, images, Some(sample))?;
        let scale = blocks as f64 / sample.len() as f64;
        let scaled = |n: u64| n as f64 * scale;
        self.parts.push(Work {
            blocks: blocks as f64,
            instructions: scaled(counters.total() - counters.of(Class::Move)),
            float32: scaled(counters.of(Class::Fma32) + counters.of(Class::Float32)),
            shared_wavefronts: scaled(counters.shared_wavefronts),
            global_sectors: scaled(counters.global_sectors),
            dram_bytes: 0.0,
            round_trips,
        });
        self.sectors_least += scaled(counters.global_sectors_least);
        if let Some(hot) = counters.hot_loop {
            let weight: u64 = hot.instructions.iter().sum();
            if weight > self.loop_weight {
                (self.loop_weight, self.loop_fma_share) = (weight, hot.fma_share());
            }
            self.loop_bank_conflicts += hot.shared_wavefronts - hot.shared_wavefronts_least;
            self.loop_extra_sectors += hot.global_sectors - hot.global_sectors_least;
        }
        Ok(())
    }
}

impl Modelled {
    /// All parts together.
    pub fn work(&self) -> Work {
        let sum = |of: fn(&Work) -> f64| self.parts.iter().map(of).sum();
        Work {
            blocks: sum(|w| w.blocks),
            instructions: sum(|w| w.instructions),
            float32: sum(|w| w.float32),
            shared_wavefronts: sum(|w| w.shared_wavefronts),
            global_sectors: sum(|w| w.global_sectors),
            dram_bytes: sum(|w| w.dram_bytes),
            round_trips: self.parts.iter().map(|w| w.round_trips).fold(0.0, f64::max),
        }
    }
}

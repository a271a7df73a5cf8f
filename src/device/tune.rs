//! Finds by trying how each launch of a program is cut best on a device.

use super::{Device, Engine};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::program::{MAX_SLICES, Options, Program, StepOp, Tile, TunedCut, Tuning, total_steps};
use crate::weights::Weights;

/// Runs of each candidate; the median of a launch's times counts.
const RUNS: usize = 21;

/// Tries all tiles with all numbers of slices for every launch of `network` with `batch` images, and keeps each launch's fastest
/// cut; `progress` hears how many of how many candidates were tried. On the simulator a launch's time is that of its model.
///
/// # Errors
/// [`Error::Argument`] for a device that cuts its work itself; those of [`Engine::new`] and [`Engine::run`].
pub fn tune(
    network: &Network,
    weights: &Weights,
    device: &Device,
    batch: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Tuning> {
    let mut target = device.target();
    let Some(gpu) = &mut target.gpu else {
        return Err(Error::Argument(format!("the device {device} cuts its work itself: tune cuda or sim")));
    };
    gpu.tuning = None;
    let candidates: Vec<(Tile, usize)> =
        gpu.tiles.iter().flat_map(|&tile| (1..=MAX_SLICES).map(move |slices| (tile, slices))).collect();
    let first = Program::lower(network, &Options::new(batch, target.clone()))?;
    let longest = longest_sums(&first);
    let mut best = Tuning { card: device.card(), batch, size: network.size, ..Tuning::default() };
    for (tried, &(tile, slices)) in candidates.iter().enumerate() {
        progress(tried, candidates.len());
        let cut = |&(ref name, steps): &(String, usize)| {
            (name.clone(), TunedCut { tile, steps: steps.div_ceil(slices * tile.groups), us: f64::INFINITY })
        };
        let mut tuned = target.clone();
        if let Some(gpu) = &mut tuned.gpu {
            gpu.tuning = Some(Tuning { launches: longest.iter().map(cut).collect(), ..best.clone() });
        }
        let program = Program::lower(network, &Options::new(batch, tuned))?;
        for (step, us) in program.steps.iter().zip(step_times(&program, weights, device)?) {
            let (StepOp::Conv2dGroup(_), Some((_, steps))) =
                (&step.op, longest.iter().find(|(name, _)| *name == step.name))
            else {
                continue;
            };
            let cut = TunedCut { tile, steps: steps.div_ceil(slices * tile.groups), us };
            let known = best.launches.entry(step.name.clone()).or_insert(cut);
            if us < known.us {
                *known = cut;
            }
        }
    }
    progress(candidates.len(), candidates.len());
    Ok(best)
}

/// Name of each launch of convolutions, and the number of steps of its longest sum.
fn longest_sums(program: &Program) -> Vec<(String, usize)> {
    let longest = |op: &StepOp| match op {
        StepOp::Conv2dGroup(group) => group.convs.iter().map(|(conv, _)| total_steps(program, conv)).max(),
        _ => None,
    };
    program.steps.iter().filter_map(|step| Some((step.name.clone(), longest(&step.op)?))).collect()
}

/// Microseconds of each step.
fn step_times(program: &Program, weights: &Weights, device: &Device) -> Result<Vec<f64>> {
    #[cfg(feature = "sim")]
    if let Device::Sim { card, threads, .. } = device {
        let model = super::model(program, weights, card, *threads, &mut |_| {})?;
        return Ok(model.steps.iter().map(|step| step.estimate.us).collect());
    }
    let mut engine = Engine::new(program.clone(), weights, device)?;
    let (mut times, mut all) = (Vec::new(), vec![Vec::new(); program.steps.len()]);
    for _ in 0..RUNS {
        engine.run_timed(program.options.batch, &mut times)?;
        all.iter_mut().zip(&times).for_each(|(all, time)| all.push(time.as_secs_f64() * 1e6));
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[RUNS / 2]
    };
    Ok(all.into_iter().map(median).collect())
}

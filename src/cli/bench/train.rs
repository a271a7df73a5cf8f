//! `nodal bench --train`: the time of a training step, whole and by kind of step.

use std::time::Instant;

use nodal::device::Engine;
use nodal::program::{Controls, Program, Training};
use nodal::{Device, Weights};
use serde_json::{Value, json};

use super::{Layer, Options, card, gflops, milliseconds, peak, peak_kind, quantile, threads};

/// What was measured.
struct Report<'a> {
    options: &'a Options,
    device: &'a Device,
    size: (usize, usize),
    /// Milliseconds of whole steps, fastest first.
    steps: Vec<f64>,
    layers: Vec<Layer>,
    flops: u64,
    arena_bytes: usize,
    peak: f64,
}

/// The training program of a network with `weights`.
pub fn program(
    options: &Options,
    weights: &Weights,
    size: (usize, usize),
    device: &Device,
) -> anyhow::Result<Program> {
    let network = super::network(weights, size)?;
    let training = Some(Training {
        freeze: options.freeze,
        recompute: options.recompute,
        auxiliary: options.aux_weight,
        ..Training::default()
    });
    let fusion = options.fuse.into();
    let options = nodal::program::Options {
        fusion,
        training,
        ..nodal::program::Options::new(options.batch, device.target())
    };
    Ok(Program::lower(&network, &options)?)
}

pub fn run(options: &Options, device: &Device, seconds: f64) -> anyhow::Result<()> {
    if options.image.is_some() {
        anyhow::bail!("--image does not count for --train: leave it out");
    }
    let (weights, preprocess) = super::weights(options)?;
    let program = program(options, &weights, preprocess.size, device)?;
    let (flops, arena_bytes, summary) = (program.flops(), program.arena_bytes, program.summary());
    let classes = program.network.classes.max(2);
    let mut engine = Engine::new(program, &weights, device)?;
    let targets: Vec<f32> = (0..options.batch)
        .flat_map(|image| (0..classes).map(move |k| if k == image % classes { 1.0 } else { 0.0 }))
        .map(|t| t / options.batch as f32)
        .collect();
    let inputs: Vec<f32> = (0..engine.input().len()).map(pixel).collect();
    let controls = Controls { lr: 1e-6, momentum: 0.9, ..Controls::default() };
    let step = |engine: &mut Engine| {
        // A run may overwrite its input.
        engine.input().copy_from_slice(&inputs);
        let begin = Instant::now();
        engine.train_step(options.batch, &targets, &controls)?;
        anyhow::Ok(milliseconds(begin.elapsed()))
    };
    step(&mut engine)?;
    let (begin, mut steps) = (Instant::now(), Vec::new());
    while steps.len() < 3 || begin.elapsed().as_secs_f64() < seconds {
        steps.push(step(&mut engine)?);
    }
    steps.sort_by(f64::total_cmp);
    let (mut times, mut run) = (vec![f64::INFINITY; summary.len()], Vec::new());
    for _ in 0..3 {
        engine.input().copy_from_slice(&inputs);
        engine.run_timed(options.batch, &mut run)?;
        times.iter_mut().zip(&run).for_each(|(least, time)| *least = least.min(milliseconds(*time)));
    }
    let layers = summary.into_iter().zip(times).map(|(step, ms)| Layer { step, ms }).collect();
    let peak = peak(device);
    let size = preprocess.size;
    let report = Report { options, device, size, steps, layers, flops, arena_bytes, peak };
    match options.json {
        true => super::super::print_json(&report.json()),
        false => super::super::print(&report.tables()),
    }
}

/// A value from −1 to 1, different from its neighbours.
fn pixel(i: usize) -> f32 {
    ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

impl Report<'_> {
    /// Kinds of step in order of appearance: milliseconds and floating-point operations of all of a kind.
    fn kinds(&self) -> Vec<(&'static str, f64, u64)> {
        let mut kinds: Vec<(&'static str, f64, u64)> = Vec::new();
        for layer in &self.layers {
            match kinds.iter_mut().find(|(kind, ..)| *kind == layer.step.kind) {
                Some((_, ms, flops)) => (*ms, *flops) = (*ms + layer.ms, *flops + layer.step.flops),
                None => kinds.push((layer.step.kind, layer.ms, layer.step.flops)),
            }
        }
        kinds
    }

    fn json(&self) -> Value {
        let [min, p50, p90, p99] = [0.0, 0.5, 0.9, 0.99].map(|q| quantile(&self.steps, q));
        let share = |flops: u64, ms: f64| flops as f64 / ms / 1e6 / self.peak;
        let kind = |(kind, ms, flops): (&str, f64, u64)| json!({"kind": kind, "ms": ms, "gflops": flops as f64 / ms / 1e6, "share_of_peak": share(flops, ms)});
        let layer = |layer: &Layer| {
            let step = &layer.step;
            json!({
                "name": step.name, "kind": step.kind, "ms": layer.ms, "gflops": gflops(layer),
                "share_of_peak": share(step.flops, layer.ms),
            })
        };
        let batch = self.options.batch;
        json!({
            "device": self.device.to_string(), "card": card(self.device), "batch": batch,
            "size": [self.size.0, self.size.1], "threads": threads(self.device), "freeze": self.options.freeze, "aux_weight": self.options.aux_weight,
            "peak_gflops": self.peak, "peak": peak_kind(self.device), "arena_bytes": self.arena_bytes, "flops": self.flops,
            "step_ms": {"min": min, "p50": p50, "p90": p90, "p99": p99}, "images_per_s": batch as f64 * 1e3 / p50,
            "kinds": self.kinds().into_iter().map(kind).collect::<Vec<_>>(),
            "layers": self.layers.iter().map(layer).collect::<Vec<_>>(),
        })
    }

    fn tables(&self) -> String {
        let mut table = super::super::table(&["kind of step", "ms", "GFLOP/s", "of peak"], 1);
        for (kind, ms, flops) in self.kinds() {
            let gflops = flops as f64 / ms / 1e6;
            let share = format!("{:.0} %", gflops / self.peak * 100.0);
            table.add_row([kind.to_string(), format!("{ms:.1}"), format!("{gflops:.0}"), share]);
        }
        let (batch, p50) = (self.options.batch, quantile(&self.steps, 0.5));
        let auxiliary = if self.options.aux_weight.is_some() { ", auxiliary head" } else { "" };
        let reached = self.flops as f64 / p50 / 1e6 / self.peak * 100.0;
        format!(
            "{}\n{}, {} threads, batch {batch}, {}×{}, {} convolutions frozen{auxiliary}, arena {:.0} MB; {} {:.0} GFLOP/s\n\
             training step: p50 {p50:.1} ms, min {:.1} ms over {} steps, {:.2} images/s, {reached:.0} % of the peak\n",
            super::super::text(&table),
            self.device,
            threads(self.device),
            self.size.0,
            self.size.1,
            self.options.freeze,
            self.arena_bytes as f64 / 1e6,
            peak_kind(self.device),
            self.peak,
            quantile(&self.steps, 0.0),
            self.steps.len(),
            batch as f64 * 1e3 / p50,
        )
    }
}

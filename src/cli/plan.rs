//! `nodal plan`: the program that would run.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use nodal::network::{AvgPoolPadding, Network};
use nodal::program::{Fusion, MemoryUse, Program, StepSummary, Training};
use serde_json::json;

#[derive(Args)]
pub struct Options {
    /// Images a run takes
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: usize,
    /// Input size: 299 or HxW
    #[arg(long, default_value = "299", value_parser = super::parse_size, value_name = "SIZE")]
    size: (usize, usize),
    /// Outputs of the last layer
    #[arg(long, default_value_t = 1, value_name = "K")]
    classes: usize,
    #[command(flatten)]
    device: super::DeviceOptions,
    /// The program for training, as planned for the cpu: forward, loss, backward, update, and its memory
    #[arg(long)]
    train: bool,
    /// Convolutions that do not learn, from the first one on, with --train
    #[arg(long, default_value_t = 0, requires = "train", value_name = "N")]
    freeze: usize,
    /// Take what the backward pass reads again instead of keeping it, with --train: less memory, more work
    #[arg(long, requires = "train")]
    recompute: bool,
    /// Weight of an auxiliary head's loss, with --train [default: no auxiliary head]
    #[arg(long, requires = "train", value_name = "X")]
    aux_weight: Option<f32>,
    /// How much is fused
    #[arg(long, default_value = "full")]
    fuse: Fuse,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How much is fused.
#[derive(Clone, Copy, ValueEnum)]
pub enum Fuse {
    /// All that can be
    Full,
    /// Convolution, batch norm, ReLU and concat apart
    None,
}

impl From<Fuse> for Fusion {
    fn from(fuse: Fuse) -> Self {
        match fuse {
            Fuse::Full => Fusion::Full,
            Fuse::None => Fusion::None,
        }
    }
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let network = Network::inception_v3(options.size, options.classes, AvgPoolPadding::Include)?;
    let fusion = options.fuse.into();
    let device = match options.train {
        true => options.device.open_or("cpu")?,
        false => options.device.open()?,
    };
    let training = options.train.then_some(Training {
        freeze: options.freeze,
        recompute: options.recompute,
        auxiliary: options.aux_weight,
        ..Training::default()
    });
    let lowering = nodal::program::Options {
        fusion,
        training,
        ..nodal::program::Options::new(options.batch, device.target())
    };
    let program = Program::lower(&network, &lowering)?;
    if options.json {
        super::print_json(&describe(&program))?;
        return Ok(ExitCode::SUCCESS);
    }
    super::print(&table(&program))?;
    Ok(ExitCode::SUCCESS)
}

fn table(program: &Program) -> String {
    let cut = program.options.target.gpu.is_some();
    let header = ["level", "step", "shapes", "layers", "tile, slices", "MFLOP", "kB"];
    let header: Vec<&str> = header.into_iter().filter(|name| cut || *name != "tile, slices").collect();
    let mut table = super::table(&header, header.len() - 2);
    for step in program.summary() {
        let StepSummary { level, kind, shapes, name, cut: own, flops, bytes } = step;
        let (mflop, kb) = (format!("{:.1}", flops as f64 / 1e6), format!("{:.1}", bytes as f64 / 1e3));
        let mut row = vec![level.to_string(), kind.to_string(), shapes, name.replace('+', " + ")];
        row.extend(cut.then(|| own.unwrap_or_default()));
        row.extend([mflop, kb]);
        table.add_row(row);
    }
    let (steps, levels) = (program.steps.len(), program.levels());
    let (gflop, mb) = (program.flops() as f64 / 1e9, program.arena_bytes as f64 / 1e6);
    let table = super::text(&table);
    let memory = if program.learned.is_some() { memory_table(&program.memory_use()) } else { String::new() };
    format!("{table}\n{steps} steps in {levels} levels, {gflop:.2} GFLOP, arena {mb:.1} MB\n{memory}")
}

/// What the arena holds where it is fullest.
fn memory_table(memory: &MemoryUse) -> String {
    let mut table = super::table(&["memory at its fullest level, gaps apart", "MB"], 1);
    for (what, bytes) in kinds(memory) {
        table.add_row([what.replace('_', " "), format!("{:.1}", bytes as f64 / 1e6)]);
    }
    format!("\n{}", super::text(&table))
}

fn memory(memory: &MemoryUse) -> serde_json::Value {
    kinds(memory)
        .into_iter()
        .map(|(what, bytes)| (what.to_string(), bytes.into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn kinds(memory: &MemoryUse) -> [(&'static str, usize); 7] {
    [
        ("maps", memory.maps),
        ("map_gradients", memory.map_gradients),
        ("parameters", memory.parameters),
        ("gradients", memory.gradients),
        ("momentum", memory.momentum),
        ("workspace", memory.workspace),
        ("total", memory.total()),
    ]
}

fn describe(program: &Program) -> serde_json::Value {
    let (h, w) = program.network.size;
    let step = |step: StepSummary| {
        json!({
            "level": step.level, "kind": step.kind, "layers": step.name.split('+').collect::<Vec<_>>(),
            "shapes": step.shapes, "cut": step.cut, "flops": step.flops, "bytes": step.bytes,
        })
    };
    // A GPU has its input in the host's memory.
    let outside = program.options.target.gpu.is_some().then(|| &program.buffers[program.input.buffer].name);
    let place =
        |buffer: &nodal::program::Buffer| (outside != Some(&buffer.name)).then_some(buffer.offset_bytes);
    let buffer = |buffer: &nodal::program::Buffer| {
        json!({
            "name": buffer.name, "shape": [buffer.shape.c, buffer.shape.h, buffer.shape.w],
            "offset_bytes": place(buffer), "bytes": buffer.bytes, "live": [buffer.live.0, buffer.live.1],
        })
    };
    json!({
        "batch": program.options.batch, "size": [h, w], "classes": program.network.classes,
        "memory_bytes": program.learned.as_ref().map(|_| memory(&program.memory_use())),
        "levels": program.levels(), "flops": program.flops(), "arena_bytes": program.arena_bytes,
        "parameter_bytes": program.steps.iter().map(|s| s.parameter_bytes(program)).sum::<u64>(),
        "steps": program.summary().into_iter().map(step).collect::<Vec<_>>(),
        "buffers": program.buffers.iter().map(buffer).collect::<Vec<_>>(),
    })
}

//! `nodal bench`: the latency per node, from file to probability, and where the network spends it.

#[cfg(feature = "sim")]
mod model;
mod train;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nodal::data::Preprocess;
use nodal::network::{AvgPoolPadding, Network};
use nodal::program::StepSummary;
use nodal::{Device, Image, Model, ModelOptions, Weights};
use serde_json::{Value, json};

use super::network::open_weights;

/// The crop that is used when none is named.
const CROP: &[u8] = include_bytes!("../../../examples/crops/val/grass/grass-000.jpg");

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    device: super::DeviceOptions,
    /// Images a run takes
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: usize,
    /// Input size, 299 or HxW [default: what the weights say, or 299]
    #[arg(long, value_parser = super::parse_size, value_name = "SIZE")]
    size: Option<(usize, usize)>,
    /// Measure a training step instead
    #[arg(long)]
    train: bool,
    /// Convolutions that do not learn, from the first one on, with --train [default: 0]
    #[arg(long, default_value_t = 0, requires = "train", hide_default_value = true, value_name = "N")]
    freeze: usize,
    /// Take what the backward pass reads again instead of keeping it, with --train
    #[arg(long, requires = "train")]
    recompute: bool,
    /// Weight of an auxiliary head's loss, with --train [default: no auxiliary head]
    #[arg(long, requires = "train", value_name = "X")]
    aux_weight: Option<f32>,
    /// How much is fused, with --train
    #[arg(long, default_value = "full", requires = "train", hide_default_value = true)]
    fuse: super::plan::Fuse,
    /// Weights, .safetensors or .pth, or a run's folder for its best ones [default: random ones]
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    /// The crop to classify again and again [default: one that is built in]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Seconds to measure, after half a second of warm-up [default: 3]
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Milliseconds of each stage, one value a run.
#[derive(Default)]
struct Samples {
    decode: Vec<f64>,
    fit: Vec<f64>,
    network: Vec<f64>,
    total: Vec<f64>,
    /// The network back to back, as libraries are usually timed.
    network_loop: Vec<f64>,
}

/// One step's share.
struct Layer {
    step: StepSummary,
    ms: f64,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let seconds = options.seconds.unwrap_or(3.0);
    if !(0.0..=3600.0).contains(&seconds) {
        anyhow::bail!("--seconds {seconds}: give a number from 0 to 3600");
    }
    let device = options.device.open()?;
    #[cfg(feature = "sim")]
    if let Device::Sim { card, threads, .. } = &device {
        return model::run(options, &device, card, *threads).map(|()| ExitCode::SUCCESS);
    }
    if options.train {
        return train::run(options, &device, seconds).map(|()| ExitCode::SUCCESS);
    }
    let mut model = load(options, &device)?;
    let file = match &options.image {
        Some(path) => std::fs::read(path).map_err(|e| nodal::Error::io(path, "read", e))?,
        None => CROP.to_vec(),
    };
    let path = options.image.clone().unwrap_or_else(|| "the built-in crop".into());
    let mut node = || -> anyhow::Result<[f64; 4]> {
        let begin = Instant::now();
        let mut images = Vec::with_capacity(options.batch);
        for _ in 0..options.batch {
            images.push(Image::from_bytes(&path, &file)?);
        }
        let decoded = begin.elapsed();
        model.put(&images)?;
        let fitted = begin.elapsed();
        std::hint::black_box(model.run_fitted(options.batch)?);
        let total = begin.elapsed();
        Ok([decoded, fitted - decoded, total - fitted, total].map(milliseconds))
    };
    let mut samples = measure(seconds, &mut node)?;
    let image = || Image::from_bytes(&path, &file);
    let images = (0..options.batch).map(|_| image()).collect::<nodal::Result<Vec<Image>>>()?;
    samples.network_loop = back_to_back(&mut model, &images, seconds / 2.0)?;
    let layers = layers(&mut model, &images, seconds)?;
    let peak = peak(&device);
    if options.json {
        super::print_json(&as_json(options, &model, &device, &samples, &layers, peak))?;
    } else {
        super::print(&as_tables(options, &model, &device, &samples, &layers, peak))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn load(options: &Options, device: &Device) -> anyhow::Result<Model> {
    let (weights, preprocess) = weights(options)?;
    let model = ModelOptions { batch: options.batch, preprocess: Some(preprocess), avg_pool_padding: None };
    Ok(Model::new(&weights, device, &model)?)
}

/// The weights that were asked for, and how images are made inputs for them.
fn weights(options: &Options) -> anyhow::Result<(Weights, Preprocess)> {
    let weights = match &options.weights {
        Some(path) => open_weights(path)?,
        None => {
            let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include)?;
            let network = network.with_auxiliary_head(options.aux_weight.is_some())?;
            Weights::random(0, &network.parameters())?
        }
    };
    let mut preprocess = Preprocess::of_weights(&weights)?;
    preprocess.size = options.size.unwrap_or(preprocess.size);
    Ok((weights, preprocess))
}

/// The network that `weights` are for.
fn network(weights: &Weights, size: (usize, usize)) -> anyhow::Result<Network> {
    let padding = nodal::model::avg_pool_padding_of(weights)?;
    Ok(Network::inception_v3(size, nodal::model::outputs_of(weights)?, padding)?)
}

/// Runs `node` for half a second without counting, then for `seconds`, at least 5 times.
fn measure(seconds: f64, node: &mut impl FnMut() -> anyhow::Result<[f64; 4]>) -> anyhow::Result<Samples> {
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_millis(500) {
        node()?;
    }
    let style = ProgressStyle::with_template("measuring {bar:40} {eta}")?;
    let progress = ProgressBar::new((seconds * 1e3) as u64).with_style(style);
    let mut samples = Samples::default();
    let begin = Instant::now();
    while samples.total.len() < 5 || begin.elapsed().as_secs_f64() < seconds {
        let [decode, fit, network, total] = node()?;
        samples.decode.push(decode);
        samples.fit.push(fit);
        samples.network.push(network);
        samples.total.push(total);
        progress.set_position(begin.elapsed().as_millis() as u64);
    }
    progress.finish_and_clear();
    for all in [&mut samples.decode, &mut samples.fit, &mut samples.network, &mut samples.total] {
        all.sort_by(f64::total_cmp);
    }
    Ok(samples)
}

/// Milliseconds of the network, run again and again on the same input for `seconds`, at least 5 times, fastest first.
fn back_to_back(model: &mut Model, images: &[Image], seconds: f64) -> anyhow::Result<Vec<f64>> {
    let mut all = Vec::new();
    let begin = Instant::now();
    while all.len() < 5 || begin.elapsed().as_secs_f64() < seconds {
        // A run may overwrite its input.
        model.put(images)?;
        let turn = Instant::now();
        std::hint::black_box(model.run_fitted(images.len())?);
        all.push(milliseconds(turn.elapsed()));
    }
    all.sort_by(f64::total_cmp);
    Ok(all)
}

/// Median time of each step, run one after the other.
fn layers(model: &mut Model, images: &[Image], seconds: f64) -> anyhow::Result<Vec<Layer>> {
    let summary = model.engine().program().summary();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); summary.len()];
    let mut run = Vec::with_capacity(summary.len());
    let begin = Instant::now();
    while times.first().is_some_and(|all| all.len() < 5) || begin.elapsed().as_secs_f64() < seconds / 2.0 {
        model.put(images)?;
        model.engine().run_timed(images.len(), &mut run)?;
        times.iter_mut().zip(&run).for_each(|(all, time)| all.push(milliseconds(*time)));
    }
    let layer = |(step, mut all): (StepSummary, Vec<f64>)| {
        all.sort_by(f64::total_cmp);
        Layer { step, ms: quantile(&all, 0.5) }
    };
    Ok(summary.into_iter().zip(times).map(layer).collect())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which a share `q` of the sorted values lie (nearest rank).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// The device's multiply-add peak, in GFLOP/s: measured on a processor, nominal on a card.
fn peak(device: &Device) -> f64 {
    match device {
        #[cfg(feature = "cpu")]
        Device::Cpu { threads, isa } => {
            use nodal::device::cpu::{Isa, peak_gflops};
            let isa = isa.as_deref().and_then(|name| Isa::named(name).ok()).unwrap_or_else(Isa::detect);
            peak_gflops(isa, *threads).unwrap_or(f64::NAN)
        }
        #[cfg(feature = "cuda")]
        Device::Cuda { properties, .. } => properties.peak_gflops(),
        #[cfg(any(not(feature = "cpu"), feature = "sim"))]
        _ => f64::NAN,
    }
}

/// What kind of number [`peak`] is.
fn peak_kind(device: &Device) -> String {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda { properties, .. } => {
            format!("nominal peak at the driver's {:.0} MHz", properties.clock_mhz)
        }
        _ => "measured peak".into(),
    }
}

fn threads(device: &Device) -> usize {
    match device {
        Device::Cpu { threads, .. } => *threads,
        #[cfg(feature = "cuda")]
        Device::Cuda { .. } => 1,
        #[cfg(feature = "sim")]
        Device::Sim { threads, .. } => *threads,
    }
}

fn gflops(layer: &Layer) -> f64 {
    layer.step.flops as f64 / layer.ms / 1e6
}

fn as_json(
    options: &Options,
    model: &Model,
    device: &Device,
    samples: &Samples,
    layers: &[Layer],
    peak: f64,
) -> Value {
    let stage = |all: &[f64]| {
        let [min, p50, p90, p99] = [0.0, 0.5, 0.9, 0.99].map(|q| quantile(all, q));
        json!({"min": min, "p50": p50, "p90": p90, "p99": p99})
    };
    let layer = |layer: &Layer| {
        let gflops = gflops(layer);
        json!({"name": layer.step.name, "ms": layer.ms, "gflops": gflops, "share_of_peak": gflops / peak})
    };
    let (h, w) = model.preprocess().size;
    json!({
        "device": device.to_string(), "card": card(device), "batch": options.batch, "size": [h, w],
        "threads": threads(device), "runs": samples.total.len(), "peak_gflops": peak, "peak": peak_kind(device),
        "decode_ms": stage(&samples.decode), "fit_ms": stage(&samples.fit),
        "network_ms": stage(&samples.network), "network_loop_ms": stage(&samples.network_loop), "total_ms": stage(&samples.total),
        "images_per_s": options.batch as f64 * 1e3 / quantile(&samples.total, 0.5),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

fn as_tables(
    options: &Options,
    model: &Model,
    device: &Device,
    samples: &Samples,
    layers: &[Layer],
    peak: f64,
) -> String {
    let mut steps = super::table(&["ms", "GFLOP/s", "of peak", "layers"], 0);
    if let Some(column) = steps.column_mut(3) {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    for layer in layers {
        let (ms, gflops) = (format!("{:.3}", layer.ms), gflops(layer));
        let share = format!("{:.0} %", gflops / peak * 100.0);
        steps.add_row([ms, format!("{gflops:.0}"), share, layer.step.name.replace('+', " + ")]);
    }
    let mut stages = super::table(&["stage, ms", "min", "p50", "p90", "p99"], 1);
    let all = [
        ("decode", &samples.decode),
        ("fit", &samples.fit),
        ("network", &samples.network),
        ("total", &samples.total),
        ("network, back to back", &samples.network_loop),
    ];
    for (name, all) in all {
        let [min, p50, p90, p99] = [0.0, 0.5, 0.9, 0.99].map(|q| format!("{:.3}", quantile(all, q)));
        stages.add_row([name.to_string(), min, p50, p90, p99]);
    }
    let (h, w) = model.preprocess().size;
    let median = quantile(&samples.total, 0.5);
    let flops: u64 = layers.iter().map(|layer| layer.step.flops).sum();
    let reached = flops as f64 / quantile(&samples.network, 0.5) / 1e6;
    format!(
        "{}\n{device}, {} threads, batch {}, {h}×{w}, {} runs; {} {peak:.0} GFLOP/s\n\n{}\n\
         latency per node, one crop each: {:.2} ms ({:.1} nodes/s); the network reaches {:.0} % of the peak\n",
        super::text(&steps),
        threads(device),
        options.batch,
        samples.total.len(),
        peak_kind(device),
        super::text(&stages),
        median / options.batch as f64,
        options.batch as f64 * 1e3 / median,
        reached / peak * 100.0,
    )
}

/// The card's name, or the processor's where the system tells it.
fn card(device: &Device) -> Option<String> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda { properties, .. } = device {
        return Some(properties.name.clone());
    }
    let _ = device;
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

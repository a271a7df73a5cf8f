//! A training step, 299×299, the first three convolutions frozen: first a table of each kind of step on the processor, convolutions by
//! map and window, with their share of the measured peak; then the whole step, `cpu/train/16x299x299`. `NODAL_BATCH` is another batch
//! than 16.
//!
//! Steps are timed one by one inside whole runs, so that their inputs are where they are in real life; the whole step is not the sum of
//! them, because steps of a level share the threads.

#![allow(missing_docs)] // criterion's macros make public functions

use std::collections::BTreeMap;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nodal::device::Engine;
use nodal::network::{AvgPoolPadding, MapShape, Network};
use nodal::program::{Controls, Options, Program, Step, StepOp, TrainOp, Training};
use nodal::{Device, Weights};

const FREEZE: usize = 3;

fn batch() -> usize {
    std::env::var("NODAL_BATCH").ok().and_then(|batch| batch.parse().ok()).unwrap_or(16)
}

/// An engine that has done one step, and the targets.
fn engine(device: &Device, batch: usize) -> (Engine, Vec<f32>) {
    let network =
        Network::inception_v3((299, 299), 2, AvgPoolPadding::Include).expect("the network is known");
    let weights = Weights::random(0, &network.parameters()).expect("weights are made");
    let training = Training { freeze: FREEZE, ..Training::default() };
    let options = Options { training: Some(training), ..Options::new(batch, device.target()) };
    let program = Program::lower(&network, &options).expect("the network is lowered");
    let mut engine = Engine::new(program, &weights, device).expect("the engine starts");
    for (i, x) in engine.input().iter_mut().enumerate() {
        *x = (i % 251) as f32 / 125.0 - 1.0;
    }
    let target = |i: usize| if i % 2 == i / 2 % 2 { 1.0 / batch as f32 } else { 0.0 };
    let targets: Vec<f32> = (0..2 * batch).map(target).collect();
    engine.train_step(batch, &targets, &Controls::default()).expect("the network learns");
    (engine, targets)
}

/// What kind of step it is; of convolutions map and window too, as in `conv2d_backward_weight/17x17-1x7`.
fn class(program: &Program, step: &Step) -> String {
    let conv = match &step.op {
        StepOp::Conv2d(conv) | StepOp::Train(TrainOp::Conv2dBackwardWeight { conv, .. }) => conv,
        _ => return step.kind().to_string(),
    };
    let MapShape { h, w, .. } = program.shape(conv.parts[0].output);
    let (r, s) = conv.window.kernel;
    format!("{}/{h}x{w}-{r}x{s}", step.kind())
}

/// Time, operations and bytes of a class of steps.
#[derive(Clone, Copy, Default)]
struct Sum {
    time: Duration,
    flops: u64,
    bytes: u64,
    steps: usize,
}

fn table(_: &mut Criterion) {
    #[cfg(feature = "cpu")]
    {
        use nodal::device::cpu::{Isa, peak_gflops};
        let device = Device::open("cpu", None).expect("the processor is built in");
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let peak = peak_gflops(Isa::detect(), threads).unwrap_or(f64::NAN);
        let batch = batch();
        let (mut engine, _) = engine(&device, batch);
        let program = engine.program().clone();
        let mut least = vec![Duration::MAX; program.steps.len()];
        let mut times = Vec::new();
        for _ in 0..5 {
            engine.run_timed(batch, &mut times).expect("the network learns");
            least.iter_mut().zip(&times).for_each(|(least, time)| *least = (*least).min(*time));
        }
        let mut classes: BTreeMap<String, Sum> = BTreeMap::new();
        for (step, &time) in program.steps.iter().zip(&least) {
            for class in [class(&program, step), format!("{} (all)", step.kind()), "all".to_string()] {
                let sum = classes.entry(class).or_default();
                let (flops, bytes) = (sum.flops + step.flops(&program), sum.bytes + step.bytes(&program));
                *sum = Sum { time: sum.time + time, flops, bytes, steps: sum.steps + 1 };
            }
        }
        println!(
            "batch {batch}, {threads} threads, measured peak {peak:.0} GFLOP/s; least of five runs a step"
        );
        for (class, sum) in classes {
            let (ms, seconds) = (sum.time.as_secs_f64() * 1e3, sum.time.as_secs_f64());
            let (gflops, gbytes) = (sum.flops as f64 / seconds / 1e9, sum.bytes as f64 / seconds / 1e9);
            let share = gflops / peak * 100.0;
            println!(
                "{class:<44} {:>3} steps {ms:>9.2} ms {gflops:>7.1} GFLOP/s {share:>5.1} % {gbytes:>6.1} GB/s",
                sum.steps
            );
        }
    }
}

fn step(criterion: &mut Criterion) {
    let mut devices: Vec<Device> = Vec::new();
    #[cfg(feature = "cpu")]
    devices.extend(Device::open("cpu", None));
    devices.extend(Device::open("cuda", None));
    for device in devices {
        let batch = batch();
        let (mut engine, targets) = engine(&device, batch);
        let mut group = criterion.benchmark_group("train");
        group.sample_size(10).throughput(Throughput::Elements(engine.program().flops()));
        group.bench_function(format!("{device}/train/{batch}x299x299"), |bencher| {
            bencher.iter(|| {
                engine.train_step(batch, &targets, &Controls::default()).expect("the network learns")
            });
        });
    }
}

criterion_group!(benches, table, step);
criterion_main!(benches);

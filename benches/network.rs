//! Every distinct step of the network, and the whole of it: `cpu/conv2d/80x73x73-192x71x71-3x3` and `cpu/network/1x299x299`.
//!
//! A step is timed inside whole runs, so that its inputs and filters are where they are in real life; throughput is in
//! floating-point operations. The measured peak is printed first.

#![allow(missing_docs)] // criterion's macros make public functions

use std::collections::HashSet;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nodal::device::Engine;
use nodal::device::cpu::{Isa, peak_gflops};
use nodal::network::{AvgPoolPadding, Network};
use nodal::program::{Options, Program, Step, StepOp};
use nodal::{Device, Weights};

fn engine(batch: usize) -> nodal::Result<Engine> {
    let device = Device::open("cpu", None)?;
    let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include)?;
    let weights = Weights::random(0, &network.parameters())?;
    Engine::new(Program::lower(&network, &Options::new(batch, device.target()))?, &weights, &device)
}

/// `C×H×W` in, `K×P×Q` out, and the filter's size where there is one.
fn shape(program: &Program, step: &Step) -> String {
    let (input, outputs) = (program.shape(step.inputs()[0]), step.outputs());
    let (output, k) = (program.shape(outputs[0]), outputs.iter().map(|v| v.channels).sum::<usize>());
    let maps = format!("{}x{}x{}-{k}x{}x{}", input.c, input.h, input.w, output.h, output.w);
    match &step.op {
        StepOp::Conv2d(conv) => format!("{maps}-{}x{}", conv.window.kernel.0, conv.window.kernel.1),
        _ => maps,
    }
}

fn steps(criterion: &mut Criterion) {
    let mut engine = engine(1).expect("the engine starts");
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    println!(
        "measured peak: {:.0} GFLOP/s on {threads} threads",
        peak_gflops(Isa::detect(), threads).unwrap_or(f64::NAN)
    );
    let program = engine.program().clone();
    let mut seen = HashSet::new();
    for (index, step) in program.steps.iter().enumerate() {
        let id = format!("cpu/{}/{}", step.kind(), shape(&program, step));
        if !seen.insert(id.clone()) {
            continue;
        }
        let mut group = criterion.benchmark_group("step");
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_secs(1));
        group.throughput(Throughput::Elements(step.flops(&program)));
        group.bench_function(id, |bencher| {
            let mut times = Vec::new();
            bencher.iter_custom(|runs| {
                (0..runs)
                    .map(|_| {
                        engine.run_timed(1, &mut times).expect("the network runs");
                        times[index]
                    })
                    .sum()
            });
        });
    }
}

fn network(criterion: &mut Criterion) {
    for batch in [1, 8] {
        let mut engine = engine(batch).expect("the engine starts");
        let mut group = criterion.benchmark_group("network");
        group.sample_size(10).throughput(Throughput::Elements(engine.program().flops()));
        group.bench_function(format!("cpu/network/{batch}x299x299"), |bencher| {
            bencher.iter(|| engine.run(batch).expect("the network runs"));
        });
    }
}

criterion_group!(benches, steps, network);
criterion_main!(benches);

//! Every distinct step of the network on the first CUDA device, `cuda/conv2d/80x73x73-192x71x71-3x3`, and the whole of it,
//! `cuda/network/1x299x299`. Without a device it says so and ends.
//!
//! A step is timed by CUDA events inside whole runs that are waited for, so that its inputs are where they are in real life.
//! Throughput is in floating-point operations, in bytes for steps that do no arithmetic.

#![allow(missing_docs)] // criterion's macros make public functions

use std::collections::HashSet;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nodal::device::Engine;
use nodal::network::{AvgPoolPadding, Network};
use nodal::program::{Options, Program, Step, StepOp, View};
use nodal::{Device, Weights};

fn engine(device: &Device, batch: usize) -> nodal::Result<Engine> {
    let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include)?;
    let weights = Weights::random(0, &network.parameters())?;
    Engine::new(Program::lower(&network, &Options::new(batch, device.target()))?, &weights, device)
}

/// `C×H×W` of its inputs, `K×P×Q` of its outputs, and the sizes of filters where there are some.
fn shapes(program: &Program, step: &Step) -> String {
    let join = |views: Vec<View>| {
        let shapes = views.into_iter().map(|view| program.shape(view));
        shapes.map(|s| format!("{}x{}x{}", s.c, s.h, s.w)).collect::<Vec<_>>().join("+")
    };
    let maps = format!("{}-{}", join(step.inputs()), join(step.outputs()));
    let StepOp::Conv2dGroup(group) = &step.op else { return maps };
    let filters = group.convs.iter().map(|(conv, _)| conv.window.kernel);
    format!("{maps}-{}", filters.map(|(r, s)| format!("{r}x{s}")).collect::<Vec<_>>().join("+"))
}

fn steps(criterion: &mut Criterion) {
    let device = match Device::open("cuda", None) {
        Ok(device) => device,
        Err(error) => return println!("skipped: no CUDA device ({error})"),
    };
    let mut engine = engine(&device, 1).expect("the engine starts");
    let program = engine.program().clone();
    let mut seen = HashSet::new();
    for (index, step) in program.steps.iter().enumerate() {
        let id = format!("cuda/{}/{}", step.kind(), shapes(&program, step));
        if !seen.insert(id.clone()) {
            continue;
        }
        let mut group = criterion.benchmark_group("step");
        group.sample_size(10).warm_up_time(Duration::from_millis(100));
        group.measurement_time(Duration::from_secs(1)).throughput(match step.flops(&program) {
            0 => Throughput::Bytes(step.bytes(&program)),
            flops => Throughput::Elements(flops),
        });
        group.bench_function(id, |bencher| {
            let mut times = Vec::new();
            bencher.iter_custom(|runs| {
                let mut run = || {
                    engine.run_timed(1, &mut times).expect("the network runs");
                    times[index]
                };
                (0..runs).map(|_| run()).sum()
            });
        });
    }
}

fn network(criterion: &mut Criterion) {
    let Ok(device) = Device::open("cuda", None) else { return };
    for batch in [1, 8] {
        let mut engine = engine(&device, batch).expect("the engine starts");
        let mut group = criterion.benchmark_group("network");
        group.sample_size(10).throughput(Throughput::Elements(engine.program().flops()));
        group.bench_function(format!("cuda/network/{batch}x299x299"), |bencher| {
            bencher.iter(|| engine.run(batch).expect("the network runs"));
        });
    }
}

criterion_group!(benches, steps, network);
criterion_main!(benches);

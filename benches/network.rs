//! Every distinct step of the network on each device, `cuda/conv2d/80x73x73-192x71x71-3x3`, and the whole of it,
//! `cuda/network/1x299x299`. Where there is no card, what the simulator counts of each kernel is printed instead:
//! `sim/conv2d/80x73x73-192x71x71-3x3`.
//!
//! A step is timed inside whole runs that are waited for, on a card by events, so that its inputs and filters are where they are in
//! real life. Throughput is in floating-point operations, in bytes for steps that do no arithmetic. The processor's
//! measured peak is printed first.

#![allow(missing_docs)] // criterion's macros make public functions

use std::collections::HashSet;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nodal::device::Engine;
use nodal::network::{AvgPoolPadding, Network};
use nodal::program::{Options, Program, Step, StepOp, View};
use nodal::{Device, Weights};

/// The processor, and the first card if there is one.
fn devices() -> Vec<Device> {
    let mut devices = Vec::new();
    #[cfg(feature = "cpu")]
    devices.extend(Device::open("cpu", None));
    match Device::open("cuda", None) {
        Ok(device) => devices.push(device),
        Err(error) => println!("skipped: no CUDA device ({error})"),
    }
    devices
}

fn lowered(device: &Device, batch: usize) -> nodal::Result<(Program, Weights)> {
    let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include)?;
    let weights = Weights::random(0, &network.parameters())?;
    Ok((Program::lower(&network, &Options::new(batch, device.target()))?, weights))
}

fn engine(device: &Device, batch: usize) -> Engine {
    let (program, weights) = lowered(device, batch).expect("the network is lowered");
    Engine::new(program, &weights, device).expect("the engine starts")
}

/// `conv2d/`, `C×H×W` of its inputs, `K×P×Q` of its outputs, and the sizes of filters where there are some.
fn name(program: &Program, step: &Step) -> String {
    let join = |views: Vec<View>| {
        let shapes = views.into_iter().map(|view| program.shape(view));
        shapes.map(|s| format!("{}x{}x{}", s.c, s.h, s.w)).collect::<Vec<_>>().join("+")
    };
    let kernels: Vec<(usize, usize)> = match &step.op {
        StepOp::Conv2d(conv) => vec![conv.window.kernel],
        StepOp::Conv2dGroup(group) => group.convs.iter().map(|(conv, _)| conv.window.kernel).collect(),
        _ => Vec::new(),
    };
    let filters = kernels.iter().map(|(r, s)| format!("{r}x{s}")).collect::<Vec<_>>().join("+");
    let dash = if filters.is_empty() { "" } else { "-" };
    format!("{}/{}-{}{dash}{filters}", step.kind(), join(step.inputs()), join(step.outputs()))
}

fn steps(criterion: &mut Criterion) {
    #[cfg(feature = "cpu")]
    {
        use nodal::device::cpu::{Isa, peak_gflops};
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let peak = peak_gflops(Isa::detect(), threads).unwrap_or(f64::NAN);
        println!("measured peak of the cpu: {peak:.0} GFLOP/s on {threads} threads");
    }
    for device in devices() {
        let mut engine = engine(&device, 1);
        let program = engine.program().clone();
        let mut seen = HashSet::new();
        for (index, step) in program.steps.iter().enumerate() {
            let id = format!("{device}/{}", name(&program, step));
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
}

fn network(criterion: &mut Criterion) {
    for (device, batch) in devices().into_iter().flat_map(|device| [(device.clone(), 1), (device, 8)]) {
        let mut engine = engine(&device, batch);
        let mut group = criterion.benchmark_group("network");
        group.sample_size(10).throughput(Throughput::Elements(engine.program().flops()));
        group.bench_function(format!("{device}/network/{batch}x299x299"), |bencher| {
            bencher.iter(|| engine.run(batch).expect("the network runs"));
        });
    }
}

/// What each kernel does, counted, where no card can time it.
fn counters(_: &mut Criterion) {
    #[cfg(feature = "sim")]
    if Device::open("cuda", None).is_err() {
        let device = Device::open("sim", None).expect("the simulator is built in");
        let (program, weights) = lowered(&device, 1).expect("the network is lowered");
        let Device::Sim { card, threads, .. } = device else { return };
        let model = nodal::device::model(&program, &weights, &card, threads, &mut |_| {});
        let model = model.expect("the simulator runs");
        let mut seen = HashSet::new();
        for (step, counted) in program.steps.iter().zip(&model.steps) {
            let id = format!("sim/{}", name(&program, step));
            if seen.insert(id.clone()) {
                let work = counted.work();
                println!(
                    "{id}: {:.0} blocks, {:.0} warp instructions, {:.0} of them float32, {:.0} shared wavefronts, {:.0} \
                     sectors; multiply-adds in its loop {:.0} %",
                    work.blocks,
                    work.instructions,
                    work.float32,
                    work.shared_wavefronts,
                    work.global_sectors,
                    counted.loop_fma_share * 100.0
                );
            }
        }
    }
}

criterion_group!(benches, counters, steps, network);
criterion_main!(benches);

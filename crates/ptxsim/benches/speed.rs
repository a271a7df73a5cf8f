//! Warp instructions a second of a core: a tiled matrix product and a tiled convolution, with fast checks and with all.
//!
//! `cargo bench -p ptxsim --bench speed`

use std::time::Instant;

use ptxsim::{Checks, Counters, Launch, Module, Simulator};

/// A launch to be timed: its PTX, its kernel, its grid, the bytes of its buffers (the last is written) and what follows them.
struct Case {
    ptx: &'static str,
    kernel: &'static str,
    grid: [u32; 3],
    block: [u32; 3],
    buffers: [usize; 3],
    numbers: &'static [u32],
}

const CASES: [Case; 2] = [
    Case {
        ptx: include_str!("kernels/sgemm.ptx"),
        kernel: "sgemm_128x128x8_f32",
        grid: [4, 4, 1],
        block: [256, 1, 1],
        buffers: [512 * 512, 512 * 512, 512 * 512],
        numbers: &[128, 128],
    },
    Case {
        ptx: include_str!("kernels/conv.ptx"),
        kernel: "conv2d_tile8x8_f32",
        grid: [4, 4, 32],
        block: [8, 8, 1],
        buffers: [32 * 34 * 34, 32 * 32 * 9, 32 * 32 * 32],
        numbers: &[32, 32, 32, 0],
    },
];

fn main() -> Result<(), ptxsim::Error> {
    for case in &CASES {
        for (name, checks) in [("fast", Checks::fast()), ("all", Checks::all())] {
            let (counters, seconds) = best(case, checks)?;
            let rate = counters.total() as f64 / seconds / 1e6;
            println!("{:24} {name:5} {rate:7.1} M warp instructions/s", case.kernel);
        }
    }
    Ok(())
}

/// What a launch does, and the least seconds of several runs.
fn best(case: &Case, checks: Checks) -> Result<(Counters, f64), ptxsim::Error> {
    let module = Module::parse(case.ptx)?;
    let mut simulator = Simulator::new(checks, 1);
    let mut parameters = Vec::new();
    for (number, floats) in case.buffers.iter().enumerate() {
        let buffer = simulator.allocate(["first", "second", "result"][number], floats * 4)?;
        if number < 2 {
            let values: Vec<u8> = (0..*floats).flat_map(|i| ((i % 97) as f32 / 97.0).to_le_bytes()).collect();
            simulator.write(buffer, &values)?;
        }
        parameters.extend(buffer.to_le_bytes());
    }
    case.numbers.iter().for_each(|n| parameters.extend(n.to_le_bytes()));
    let launch = Launch {
        grid: case.grid,
        block: case.block,
        dynamic_shared_bytes: 0,
        parameters: &parameters,
        blocks: None,
    };
    let (mut counters, mut seconds) = (Counters::default(), f64::INFINITY);
    for _ in 0..5 {
        let begin = Instant::now();
        counters = simulator.launch(&module, case.kernel, &launch)?;
        seconds = seconds.min(begin.elapsed().as_secs_f64());
    }
    Ok((counters, seconds))
}

//! Warp instructions a second of one core: a tiled matrix product and a tiled convolution, for each check and instruction set.
//!
//! `cargo bench -p ptxsim --bench speed`

use std::time::Instant;

use ptxsim::{Checks, Error, Isa, Launch, Module, Simulator};

/// Seconds that this thread has had a processor, or since `begin` where the system does not tell.
fn seconds(begin: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    nanoseconds.map_or_else(|| begin.elapsed().as_secs_f64(), |ns| ns as f64 * 1e-9)
}

/// A launch to be timed: its PTX, its kernel, its grid, the floats of its buffers (the last is written) and what follows them.
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

fn main() -> Result<(), Error> {
    println!("{:22} {:9} {:>7} {:>7}  M warp instructions/s", "", "", "fast", "all");
    for case in &CASES {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let (fast, all) = (rate(case, Checks::fast(), isa)?, rate(case, Checks::all(), isa)?);
            println!("{:22} {:9} {fast:7.1} {all:7.1}", case.kernel, format!("{isa:?}"));
        }
    }
    Ok(())
}

/// Million warp instructions a second, the best of several launches.
fn rate(case: &Case, checks: Checks, isa: Isa) -> Result<f64, Error> {
    let module = Module::parse(case.ptx)?;
    let Some(mut simulator) = Simulator::with_isa(checks, 1, isa) else { return Ok(0.0) };
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
    let (mut best, start) = (0.0f64, Instant::now());
    for _ in 0..10 {
        let begin = seconds(start);
        let counters = simulator.launch(&module, case.kernel, &launch)?;
        best = best.max(counters.total() as f64 / (seconds(start) - begin) / 1e6);
    }
    Ok(best)
}

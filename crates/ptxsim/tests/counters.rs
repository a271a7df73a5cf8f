//! Counters of kernels whose numbers are known: `tests/counters/known.cu`.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use ptxsim::{Checks, Class, Counters, Launch, Module, Simulator};

fn run(kernel: &str, n: u32) -> Counters {
    run_with(kernel, n, Checks::all())
}

fn run_with(kernel: &str, n: u32, checks: Checks) -> Counters {
    let module = Module::parse(include_str!("counters/known.ptx")).unwrap();
    let mut simulator = Simulator::new(checks, 1);
    let (x, y) = (simulator.allocate("x", 4096).unwrap(), simulator.allocate("y", 4096).unwrap());
    for buffer in [x, y] {
        simulator.write(buffer, &[0; 4096]).unwrap();
    }
    let mut parameters = [x, y].map(u64::to_le_bytes).concat();
    parameters.extend(n.to_le_bytes());
    let launch = Launch {
        grid: [1; 3],
        block: [32, 1, 1],
        dynamic_shared_bytes: 0,
        parameters: &parameters,
        blocks: None,
    };
    simulator.launch(&module, kernel, &launch).unwrap()
}

/// Requests, sectors, the least there could be, bytes. The store of 32 floats side by side is 4 sectors of 128 bytes.
#[test]
fn global_sectors() {
    for (kernel, requests, sectors, least, bytes) in [
        ("global_unit", 2, 4 + 4, 4 + 4, 256),
        ("global_stride", 2, 32 + 4, 4 + 4, 256),
        ("global_broadcast", 2, 1 + 4, 1 + 4, 256),
        ("global_shifted", 2, 5 + 4, 4 + 4, 256),
        ("global_quads", 2, 16 + 16, 16 + 16, 1024),
        ("global_half", 2, 2 + 2, 2 + 2, 128),
    ] {
        let c = run(kernel, 7);
        let got = (c.global_requests, c.global_sectors, c.global_sectors_least, c.global_bytes);
        assert_eq!(got, (requests, sectors, least, bytes), "{kernel}");
        assert_eq!((c.of(Class::LoadGlobal), c.of(Class::StoreGlobal)), (1, 1), "{kernel}");
    }
}

/// Requests, wavefronts, the least there could be, bytes: a store and a load, each with the conflicts that its stride makes.
#[test]
fn shared_wavefronts() {
    for (kernel, requests, wavefronts, least, bytes) in [
        ("shared_unit", 2, 2, 2, 256),
        ("shared_two", 2, 4, 2, 256),
        ("shared_odd", 2, 2, 2, 256),
        ("shared_all", 2, 64, 2, 256),
        ("shared_pairs", 2, 4, 4, 512),
        ("shared_quads", 2, 8, 8, 1024),
        ("shared_quads_two", 2, 16, 8, 1024),
        ("shared_broadcast", 3, 3, 3, 384),
    ] {
        let c = run(kernel, 5);
        let got = (c.shared_requests, c.shared_wavefronts, c.shared_wavefronts_least, c.shared_bytes);
        assert_eq!(got, (requests, wavefronts, least, bytes), "{kernel}");
    }
}

#[test]
fn the_hot_loop() {
    let c = run("hot", 50);
    let hot = c.hot_loop.clone().unwrap();
    assert_eq!(c.of(Class::Fma32), 200);
    assert_eq!(hot.instructions[Class::Fma32 as usize], 200);
    assert_eq!(hot.instructions[Class::LoadGlobal as usize], 50);
    assert_eq!((hot.global_sectors, hot.global_sectors_least), (50, 50));
    let without_moves = hot.instructions.iter().sum::<u64>() - hot.instructions[Class::Move as usize];
    assert!((hot.fma_share() - 200.0 / without_moves as f64).abs() < 1e-12);
    assert!(hot.fma_share() > 0.4 && hot.fma_share() < 0.6, "{}", hot.fma_share());
    let source = include_str!("counters/known.cu").lines().nth(hot.line as usize - 1).unwrap_or_default();
    assert!(source.contains("x[i]") || source.contains("for (int i"), "line {}: {source}", hot.line);
}

#[test]
fn divergent_branches_and_classes() {
    let c = run("branches", 20);
    assert_eq!(c.divergent_branches, 20);
    assert_eq!(c.of(Class::Atomic), 20);
    assert_eq!(c.total(), c.instructions.iter().sum::<u64>());
    assert_eq!(run("global_unit", 0).divergent_branches, 0);
}

/// Without the counters check instructions are counted all the same, memory costs are not.
#[test]
fn what_is_counted_always() {
    let (all, fast) = (run("shared_all", 3), run_with("shared_all", 3, Checks::fast()));
    assert_eq!(all.instructions, fast.instructions);
    assert_eq!((fast.shared_requests, fast.global_sectors, fast.global_bytes), (0, 0, 0));
}

//! Small kernels that each do one thing wrong: the fault has the right kind, and the source line that is marked `FAULT`. A
//! repaired twin of each runs clean. `tests/faults/make_ptx.py` makes the PTX from the CUDA files beside it.

use ptxsim::{Checks, Counters, Error, Fault, FaultKind, Launch, Module, Simulator};

/// A faulty kernel `(const float* x, float* y, int n)`, where its fault shows and how it is launched.
struct Case {
    name: &'static str,
    ptx: &'static str,
    source: &'static str,
    kind: FaultKind,
    /// The least checks that catch it.
    checks: Checks,
    block: u32,
    thread: u32,
    blocks: u32,
    n: usize,
    /// Floats behind `y`; 0 at first where `set`.
    y: usize,
    set: bool,
}

macro_rules! case {
    ($name:literal, $kind:ident, $checks:ident, at $block:literal, $thread:literal, $($field:ident: $value:expr),*) => {
        Case {
            name: $name,
            ptx: include_str!(concat!("faults/", $name, ".ptx")),
            source: include_str!(concat!("faults/", $name, ".cu")),
            kind: FaultKind::$kind,
            checks: Checks::$checks(),
            block: $block,
            thread: $thread,
            $($field: $value),*
        }
    };
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        case!("past_the_end", OutOfBounds, fast, at 1, 35, blocks: 2, n: 100, y: 100, set: false),
        case!("before_the_begin", OutOfBounds, fast, at 0, 0, blocks: 2, n: 100, y: 100, set: false),
        case!("past_a_window", OutOfBounds, fast, at 0, 0, blocks: 1, n: 100, y: 100, set: false),
        case!("misaligned", Misaligned, fast, at 0, 0, blocks: 1, n: 256, y: 64, set: false),
        case!("null_pointer", OutOfBounds, fast, at 0, 0, blocks: 1, n: 0, y: 64, set: false),
        case!("shared_past_the_end", OutOfBounds, fast, at 0, 0, blocks: 1, n: 256, y: 64, set: false),
        case!("local_past_the_end", OutOfBounds, fast, at 0, 32, blocks: 1, n: 256, y: 64, set: false),
        case!("shared_unwritten", UninitialisedShared, fast, at 0, 0, blocks: 1, n: 256, y: 64, set: false),
        case!("global_unwritten", UninitialisedGlobal, all, at 0, 0, blocks: 1, n: 64, y: 64, set: false),
        case!("missing_barrier", SharedRace, fast, at 0, 32, blocks: 1, n: 64, y: 64, set: false),
        case!("overwritten_too_early", SharedRace, fast, at 0, 32, blocks: 1, n: 192, y: 64, set: false),
        case!("atomic_and_plain", SharedRace, fast, at 0, 32, blocks: 1, n: 64, y: 64, set: false),
        case!("lanes_disagree", SharedRace, fast, at 0, 1, blocks: 1, n: 64, y: 64, set: false),
        case!("divergent_barrier", DivergentBarrier, fast, at 0, 1, blocks: 1, n: 64, y: 64, set: false),
        case!("missing_at_barrier", MissingAtBarrier, fast, at 0, 0, blocks: 1, n: 64, y: 64, set: false),
        case!("lanes_ended", DivergentBarrier, fast, at 0, 60, blocks: 1, n: 64, y: 64, set: false),
        case!("different_barriers", MissingAtBarrier, fast, at 0, 32, blocks: 1, n: 64, y: 64, set: false),
        case!("blocks_write_one_word", GlobalRace, all, at 1, 0, blocks: 4, n: 256, y: 256, set: false),
        case!("written_after_read", GlobalRace, all, at 1, 0, blocks: 2, n: 128, y: 128, set: false),
        case!("no_fence", GlobalRace, all, at 3, 0, blocks: 4, n: 256, y: 257, set: true),
        case!("fence_of_one_thread", GlobalRace, all, at 3, 0, blocks: 4, n: 256, y: 257, set: true),
        case!("plain_add", GlobalRace, all, at 2, 0, blocks: 4, n: 64, y: 65, set: true),
        case!("read_only_written", ReadOnlyWritten, all, at 0, 0, blocks: 1, n: 64, y: 128, set: false),
        case!("absent_lane", Shuffle, fast, at 0, 8, blocks: 1, n: 64, y: 64, set: false),
        case!("wrong_members", Shuffle, fast, at 0, 0, blocks: 1, n: 64, y: 64, set: false),
        case!("endless", Endless, fast, at 0, 0, blocks: 1, n: 128, y: 65, set: true),
    ]
}

/// Runs a kernel of `case` on a window with as many floats before and behind it.
fn run(case: &Case, kernel: &str, checks: Checks, threads: usize) -> Result<Counters, Error> {
    let module = Module::parse(case.ptx)?;
    let mut simulator = Simulator::new(checks, threads);
    simulator.set_budget(100_000);
    let mut x = 0;
    if case.n > 0 {
        x = simulator.allocate("x", case.n * 4)?;
        let values: Vec<u8> = (0..case.n).flat_map(|i| (i as f32 + 0.5).to_le_bytes()).collect();
        simulator.write(x, &values)?;
    }
    let around = simulator.allocate("around y", (case.y + 128) * 4)?;
    let y = simulator.window("y", around + 256, case.y * 4)?;
    if case.set {
        simulator.write(y, &vec![0; case.y * 4])?;
    }
    let mut parameters = [x, y].map(u64::to_le_bytes).concat();
    parameters.extend((case.n as u32).to_le_bytes());
    let launch = Launch {
        grid: [case.blocks, 1, 1],
        block: [64, 1, 1],
        dynamic_shared_bytes: 0,
        parameters: &parameters,
        blocks: None,
    };
    simulator.launch(&module, kernel, &launch)
}

fn fault(case: &Case, checks: Checks, threads: usize) -> Fault {
    match run(case, "faulty", checks, threads) {
        Err(Error::Fault(fault)) => *fault,
        other => panic!("{}: {other:?}", case.name),
    }
}

fn line_of(case: &Case, mark: &str) -> Option<u32> {
    (1..).zip(case.source.lines()).find(|(_, text)| text.contains(&format!("/* {mark}"))).map(|(n, _)| n)
}

#[test]
fn each_fault_is_found_where_it_is() {
    for case in cases() {
        for checks in [case.checks, Checks::all()] {
            let fault = fault(&case, checks, 1);
            println!("{fault}");
            assert_eq!(fault.kind, case.kind, "{}: {fault}", case.name);
            assert_eq!(Some(fault.line), line_of(&case, "FAULT"), "{}: {fault}", case.name);
            assert_eq!(fault.file, format!("{}.cu", case.name));
            let place = (fault.block, fault.thread);
            assert_eq!(place, ([case.block, 0, 0], [case.thread, 0, 0]), "{}: {fault}", case.name);
            if let Some(other) = line_of(&case, "OTHER") {
                assert!(fault.detail.contains(&format!("line {other}")), "{}: {fault}", case.name);
            }
            assert!(fault.to_string().contains(&format!("{}.cu:{}", case.name, fault.line)));
        }
    }
}

/// With blocks side by side the other of two racing accesses may come last, but a race it is.
#[test]
fn each_fault_is_found_by_two_threads() {
    for case in
        cases().iter().filter(|case| case.checks == Checks::fast() || case.kind != FaultKind::GlobalRace)
    {
        let fault = fault(case, Checks::all(), 2);
        assert_eq!((fault.kind, Some(fault.line)), (case.kind, line_of(case, "FAULT")), "{fault}");
    }
}

/// What the fast checks leave out goes through.
#[test]
fn fast_checks_leave_out_global_words() {
    for case in cases().iter().filter(|case| case.checks == Checks::all()) {
        if let Err(problem) = run(case, "faulty", Checks::fast(), 1) {
            panic!("{}: {problem}", case.name);
        }
    }
}

#[test]
fn each_repaired_twin_runs_clean() {
    for case in cases() {
        for threads in [1, 2] {
            if let Err(problem) = run(&case, "repaired", Checks::all(), threads) {
                panic!("{}, {threads} threads: {problem}", case.name);
            }
        }
    }
}

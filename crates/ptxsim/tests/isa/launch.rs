//! Grids, blocks, partial warps, threads of the host, and launches that cannot begin.

use ptxsim::{Checks, Error, FaultKind, Isa, Launch, Module, Simulator};

/// Each thread stores where it is, at its place in the grid.
const PLACES: &str = "
.version 8.8
.target sm_61
.address_size 64
.extern .shared .align 16 .b8 more[];
.visible .entry places(.param .u64 out)
.maxntid 512, 1, 1
{
    .reg .b32 %r<40>;
    .reg .b64 %rd<8>;
    mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.z;
    mov.u32 %r4, %ntid.x; mov.u32 %r5, %ntid.y; mov.u32 %r6, %ntid.z;
    mov.u32 %r7, %ctaid.x; mov.u32 %r8, %ctaid.y; mov.u32 %r9, %ctaid.z;
    mov.u32 %r10, %nctaid.x; mov.u32 %r11, %nctaid.y;
    mad.lo.s32 %r12, %r3, %r5, %r2; mad.lo.s32 %r12, %r12, %r4, %r1;
    mad.lo.s32 %r13, %r9, %r11, %r8; mad.lo.s32 %r13, %r13, %r10, %r7;
    mul.lo.s32 %r14, %r4, %r5; mul.lo.s32 %r14, %r14, %r6;
    mad.lo.s32 %r15, %r13, %r14, %r12;
    shl.b32 %r16, %r3, 8; or.b32 %r16, %r16, %r2; shl.b32 %r16, %r16, 8; or.b32 %r16, %r16, %r1;
    shl.b32 %r17, %r9, 8; or.b32 %r17, %r17, %r8; shl.b32 %r17, %r17, 8; or.b32 %r17, %r17, %r7;
    mov.u32 %r18, %laneid;
    activemask.b32 %r19;
    shl.b32 %r20, %r12, 2; mov.u32 %r21, more; add.s32 %r20, %r20, %r21;
    st.shared.u32 [%r20], %r16;
    bar.sync 0;
    ld.shared.u32 %r16, [%r20];
    ld.param.u64 %rd1, [out];
    mul.wide.u32 %rd2, %r15, 16; add.s64 %rd3, %rd1, %rd2;
    st.global.v4.u32 [%rd3], {%r16, %r17, %r18, %r19};
    ret;
}";

fn places(isa: Isa, threads: usize, grid: [u32; 3], block: [u32; 3]) -> Option<Vec<[u32; 4]>> {
    let module = Module::parse(PLACES).unwrap();
    let mut simulator = Simulator::with_isa(Checks::all(), threads, isa)?;
    let count = grid.iter().chain(&block).product::<u32>() as usize;
    let out = simulator.allocate("out", count * 16).unwrap();
    let dynamic_shared_bytes = block.iter().product::<u32>() * 4;
    let launch = Launch { grid, block, dynamic_shared_bytes, parameters: &out.to_le_bytes(), blocks: None };
    simulator.launch(&module, "places", &launch).unwrap();
    let mut bytes = vec![0; count * 16];
    simulator.read(out, &mut bytes).unwrap();
    let word = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap());
    Some(bytes.chunks(16).map(|b| std::array::from_fn(|i| word(&b[4 * i..4 * i + 4]))).collect())
}

#[test]
fn blocks_and_grids_of_three_dimensions_and_partial_warps() {
    for (grid, block) in
        [([3, 2, 4], [5, 3, 2]), ([2, 1, 1], [33, 1, 1]), ([1, 5, 1], [7, 9, 1]), ([1, 1, 2], [1, 1, 1])]
    {
        let expected = places(Isa::Portable, 1, grid, block).unwrap();
        let (threads, [x, y, _], [gx, gy, _]) = (block.iter().product::<u32>(), block, grid);
        for (at, &[tid, ctaid, lane, active]) in (0..).zip(&expected) {
            let (b, t) = (at / threads, at % threads);
            assert_eq!(tid, t % x | t / x % y << 8 | t / x / y << 16);
            assert_eq!(ctaid, b % gx | b / gx % gy << 8 | b / gx / gy << 16);
            let there = (threads - t / 32 * 32).min(32);
            assert_eq!((lane, active), (t % 32, u32::MAX >> (32 - there)));
        }
        for (isa, threads) in [(Isa::Avx2, 1), (Isa::Avx512, 1), (Isa::Portable, 2), (Isa::best(), 2)] {
            assert!(places(isa, threads, grid, block).is_none_or(|got| got == expected));
        }
    }
}

#[test]
fn launches_that_cannot_begin() {
    let module = Module::parse(PLACES).unwrap();
    let mut simulator = Simulator::new(Checks::fast(), 1);
    let out = simulator.allocate("out", 64).unwrap().to_le_bytes();
    let launch =
        Launch { grid: [1; 3], block: [4, 1, 1], dynamic_shared_bytes: 64, parameters: &out, blocks: None };
    let refused = |simulator: &mut Simulator, kernel: &str, launch: Launch<'_>, part: &str| match simulator
        .launch(&module, kernel, &launch)
    {
        Err(Error::Launch { problem, .. }) => assert!(problem.contains(part), "{problem}"),
        other => panic!("{other:?}"),
    };
    refused(&mut simulator, "nobody", launch, "no such kernel");
    refused(
        &mut simulator,
        "places",
        Launch { parameters: &out[..4], ..launch },
        "expected 8 bytes of parameters, got 4",
    );
    refused(&mut simulator, "places", Launch { block: [513, 1, 1], ..launch }, "1 to 512");
    refused(&mut simulator, "places", Launch { block: [0, 1, 1], ..launch }, "0 threads");
    refused(&mut simulator, "places", Launch { grid: [0, 1, 1], ..launch }, "0 blocks");
    refused(
        &mut simulator,
        "places",
        Launch { blocks: Some(&[0, 1]), ..launch },
        "block number 1 of a grid of 1",
    );
    // Without the dynamic part, the store lies outside of shared memory.
    match simulator.launch(&module, "places", &Launch { dynamic_shared_bytes: 8, ..launch }) {
        Err(Error::Fault(fault)) => {
            assert_eq!((fault.kind, fault.thread), (FaultKind::OutOfBounds, [2, 0, 0]), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn some_blocks_only() {
    let module = Module::parse(PLACES).unwrap();
    let mut simulator = Simulator::new(Checks::fast(), 1);
    let out = simulator.allocate("out", 4 * 4 * 16).unwrap();
    simulator.write(out, &[1; 256]).unwrap();
    let parameters = out.to_le_bytes();
    let launch = Launch {
        grid: [4, 1, 1],
        block: [4, 1, 1],
        dynamic_shared_bytes: 16,
        parameters: &parameters,
        blocks: Some(&[2]),
    };
    let counters = simulator.launch(&module, "places", &launch).unwrap();
    let mut bytes = [0; 256];
    simulator.read(out, &mut bytes).unwrap();
    assert!(bytes[..128].iter().all(|b| *b == 1) && bytes[192..].iter().all(|b| *b == 1));
    assert_ne!(bytes[128..192], [1; 64]);
    assert_eq!(counters.of(ptxsim::Class::StoreGlobal), 1);
}

#[test]
fn memory_that_is_not_there() {
    let mut simulator = Simulator::new(Checks::fast(), 1);
    let buffer = simulator.allocate("buffer", 100).unwrap();
    assert!(simulator.window("window", buffer + 40, 60).is_ok());
    assert!(matches!(simulator.window("window", buffer + 40, 61), Err(Error::Memory(_))));
    assert!(matches!(simulator.write(buffer + 99, &[0; 2]), Err(Error::Memory(_))));
    assert!(matches!(simulator.read(buffer, &mut [0; 101]), Err(Error::Memory(_))));
    assert!(matches!(simulator.read(77 << 32, &mut [0]), Err(Error::Memory(_))));
    let mut bytes = [0; 100];
    simulator.write(buffer, &[7; 100]).unwrap();
    simulator.forget(buffer, 100).unwrap();
    simulator.read(buffer, &mut bytes).unwrap();
    assert_eq!(bytes, [0xff; 100]);
}

/// A window's own place in its buffer counts for alignment, and for sectors.
#[test]
fn a_window_at_an_odd_place() {
    let module = Module::parse(PLACES).unwrap();
    let mut simulator = Simulator::new(Checks::all(), 1);
    let buffer = simulator.allocate("buffer", 1024).unwrap();
    let mut launch = |offset: u64| {
        let window = simulator.window("window", buffer + offset, 512).unwrap().to_le_bytes();
        let launch = Launch {
            grid: [1; 3],
            block: [32, 1, 1],
            dynamic_shared_bytes: 128,
            parameters: &window,
            blocks: None,
        };
        simulator.launch(&module, "places", &launch)
    };
    match launch(4) {
        Err(Error::Fault(fault)) => assert_eq!(fault.kind, FaultKind::Misaligned, "{fault}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(launch(0).unwrap().global_sectors, 16);
    assert_eq!(launch(16).unwrap().global_sectors, 17);
}

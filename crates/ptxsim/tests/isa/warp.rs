//! Shuffles and votes.

use crate::rows::{Result::*, Row, run};

fn rows() -> Vec<Row> {
    (0..64u64).map(|i| [100 + i, i * 7 % 32, u64::from(i % 3 == 0), i]).collect()
}

/// As the ISA's pseudocode has it: value, and whether the source lay inside.
fn expected(mode: &str, by: u32, limits: u32) -> Vec<(u64, u64)> {
    (0..64u32)
        .map(|thread| {
            let (lane, segment, clamp) = (thread % 32, limits >> 8 & 31, limits & 31);
            let last = (lane & segment) | (clamp & !segment & 31);
            let first = lane & segment;
            let (from, inside) = match mode {
                "idx" => {
                    let from = first | (by & !segment & 31);
                    (from as i32, from <= last)
                }
                "up" => (lane as i32 - by as i32, lane as i32 - by as i32 >= last as i32),
                "down" => ((lane + by) as i32, lane + by <= last),
                _ => ((lane ^ by) as i32, lane ^ by <= last),
            };
            let from = if inside { from as u32 } else { lane };
            (u64::from(100 + thread / 32 * 32 + from), u64::from(inside))
        })
        .collect()
}

#[test]
fn shuffles() {
    // Whole warps, segments of eight, and limits as __shfl_*_sync makes them.
    for (mode, limits) in [
        ("idx", 31),
        ("up", 0),
        ("down", 31),
        ("bfly", 31),
        ("idx", 0x181f),
        ("up", 0x1800),
        ("down", 0x181f),
        ("bfly", 0x181f),
    ] {
        for by in [0, 1, 2, 5, 8, 16, 31] {
            let code = format!("shfl.sync.{mode}.b32 %wd|%pd, %wa, {by}, {limits}, -1;");
            let (values, inside) = (run(&code, W, &rows()), run(&code.replace("%wd", "%r9"), P, &rows()));
            for (thread, (value, found)) in expected(mode, by, limits).into_iter().enumerate() {
                assert_eq!((values[thread], inside[thread]), (value, found), "{code} of thread {thread}");
            }
        }
    }
    // Another source for each lane.
    let got = run("shfl.sync.idx.b32 %wd, %wa, %wb, 31, -1;", W, &rows());
    assert!(got.iter().enumerate().all(|(i, &x)| x == 100 + (i as u64 / 32 * 32) + rows()[i][1]));
}

#[test]
fn a_sum_over_a_warp() {
    let code = [16, 8, 4, 2, 1]
        .map(|by| format!("shfl.sync.bfly.b32 %r9, %wa, {by}, 31, -1; add.s32 %wa, %wa, %r9;"));
    let got = run(&(code.concat() + "mov.u32 %wd, %wa;"), W, &rows());
    assert!(got.iter().enumerate().all(|(i, &x)| x == if i < 32 { 3696 } else { 4720 }), "{got:?}");
}

#[test]
fn votes() {
    let ballot = |warp: usize| (0..32).fold(0u64, |bits, l| bits | rows()[warp * 32 + l][2] << l);
    let got = run("vote.sync.ballot.b32 %wd, %pc, -1;", W, &rows());
    assert!(got.iter().enumerate().all(|(i, &x)| x == ballot(i / 32)));
    let all = |code: &str| run(code, P, &rows());
    assert!(all("vote.sync.any.pred %pd, %pc, -1;").iter().all(|x| *x == 1));
    assert!(all("vote.sync.all.pred %pd, %pc, -1;").iter().all(|x| *x == 0));
    assert!(all("vote.sync.uni.pred %pd, %pc, -1;").iter().all(|x| *x == 0));
    assert!(all("setp.ge.s32 %p0, %wa, 0; vote.sync.all.pred %pd, %p0, -1;").iter().all(|x| *x == 1));
    let half = "setp.lt.u32 %p0, %r2, 10; mov.u32 %wd, 0; @%p0 activemask.b32 %wd;";
    assert!(run(half, W, &rows()).iter().enumerate().all(|(i, &x)| x == if i < 10 { 1023 } else { 0 }));
}

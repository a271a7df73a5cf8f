//! Branches: where lanes part and meet again.

use crate::rows::{Result::*, Row, check, run};

fn rows() -> Vec<Row> {
    (0..128u64).map(|i| [i * 37 % 64, i * 11 % 7, i, i * 5 % 3]).collect()
}

#[test]
fn nested_conditions() {
    let code = "setp.lt.u32 %p0, %wa, 32; @%p0 bra ELSE;
          setp.eq.s32 %p1, %wb, 2; @!%p1 bra INNER; add.s32 %wd, %wa, 1000; bra JOIN;
        INNER: setp.gt.u32 %p2, %wb, 4; @%p2 bra DEEP; mov.u32 %wd, 7; bra JOIN; DEEP: mov.u32 %wd, %wb;
        JOIN: add.s32 %wd, %wd, 1; bra.uni END;
        ELSE: setp.eq.s32 %p3, %we, 0; mov.u32 %wd, 50; @%p3 bra END; mul.lo.s32 %wd, %wa, 3;
        END: activemask.b32 %r9; setp.ne.s32 %p4, %r9, -1; @%p4 mov.u32 %wd, 12345;";
    check(code, W, &rows(), |[a, b, _, e]| match () {
        _ if a >= 32 && b == 2 => a + 1001,
        _ if a >= 32 && b > 4 => b + 1,
        _ if a >= 32 => 8,
        _ if e == 0 => 50,
        _ => a * 3,
    });
}

/// Trip counts differ from lane to lane; the inner loop's depend on the outer one.
#[test]
fn loops_of_different_lengths() {
    let code = "mov.u32 %wd, 0; mov.u32 %r8, 0;
        OUTER: setp.ge.u32 %p0, %r8, %wb; @%p0 bra DONE; mov.u32 %r9, 0;
        INNER: setp.ge.u32 %p1, %r9, %r8; @%p1 bra NEXT; add.s32 %wd, %wd, %wa; add.s32 %r9, %r9, 1; bra INNER;
        NEXT: add.s32 %wd, %wd, 1; add.s32 %r8, %r8, 1; bra OUTER;
        DONE: activemask.b32 %r10; setp.ne.s32 %p2, %r10, -1; @%p2 mov.u32 %wd, 12345;";
    check(code, W, &rows(), |[a, b, ..]| b + a * (0..b).sum::<u64>());
}

/// Values that a loop carries live in registers of their own, whatever else is alive only for a while.
#[test]
fn values_survive_loops_and_other_branches() {
    let code = "mov.u32 %r8, 0; mov.u32 %wd, 0; mov.u32 %r11, 1;
        HEAD: and.b32 %r9, %r8, 1; setp.eq.s32 %p0, %r9, 0; @%p0 bra EVEN;
          mul.lo.s32 %r10, %wa, %r8; add.s32 %wd, %wd, %r10; bra LATCH;
        EVEN: add.s32 %r12, %wb, %r8; mul.lo.s32 %r11, %r11, 3; xor.b32 %wd, %wd, %r12;
        LATCH: add.s32 %r8, %r8, 1; setp.le.u32 %p1, %r8, %wb; @%p1 bra HEAD;
        add.s32 %wd, %wd, %r11;";
    check(code, W, &rows(), |[a, b, ..]| {
        let (mut d, mut x) = (0u32, 1u32);
        for i in 0..=b as u32 {
            if i % 2 == 1 {
                d = d.wrapping_add(a as u32 * i);
            } else {
                x *= 3;
                d ^= b as u32 + i;
            }
        }
        u64::from(d.wrapping_add(x))
    });
}

#[test]
fn early_returns() {
    // Lanes that return keep what they stored; others go on and vote among themselves.
    let code = "mov.u64 %d, 11; setp.lt.u32 %p0, %wa, 20; @%p0 st.global.u64 [%out], %d; @%p0 ret;
        setp.lt.u32 %p1, %wa, 40; @!%p1 bra REST; mov.u64 %d, 22; st.global.u64 [%out], %d; ret;
        REST: activemask.b32 %r9; popc.b32 %r9, %r9; cvt.u64.u32 %d, %r9;";
    let rest = |warp: usize| rows()[warp * 32..(warp + 1) * 32].iter().filter(|r| r[0] >= 40).count() as u64;
    for (i, got) in run(code, D, &rows()).into_iter().enumerate() {
        let a = rows()[i][0];
        assert_eq!(
            got,
            if a < 20 {
                11
            } else if a < 40 {
                22
            } else {
                rest(i / 32)
            },
            "thread {i}"
        );
    }
}

#[test]
fn a_return_within_a_loop() {
    let code = "mov.u32 %r8, 0;
        HEAD: setp.eq.s32 %p0, %r8, %wb; @!%p0 bra NEXT; cvt.u64.u32 %d, %r8; st.global.u64 [%out], %d; ret;
        NEXT: add.s32 %r8, %r8, 1; setp.lt.u32 %p1, %r8, 5; @%p1 bra HEAD; mov.u64 %d, 99;";
    check(code, D, &rows(), |[_, b, ..]| if b < 5 { b } else { 99 });
}

#[test]
fn a_barrier_after_lanes_met_again() {
    let code = ".shared .align 4 .b8 all[256]; shl.b32 %r5, %r2, 2; mov.u32 %r6, all; add.s32 %r7, %r6, %r5;
        setp.lt.u32 %p0, %wa, 32; @%p0 bra LOW; add.s32 %r8, %wa, 100; bra STORE; LOW: mov.u32 %r8, %wa;
        STORE: st.shared.u32 [%r7], %r8; bar.sync 0; sub.s32 %r9, 252, %r5; add.s32 %r9, %r6, %r9; ld.shared.u32 %wd, [%r9];";
    let rows = rows();
    for (i, got) in run(code, W, &rows).into_iter().enumerate() {
        let a = rows[i / 64 * 64 + (63 - i % 64)][0];
        assert_eq!(got, if a < 32 { a } else { a + 100 });
    }
}

//! Loads and stores of every width, in every space, and atomics.

use crate::rows::{INTEGERS, Result::*, check, pairs, run};

/// Through shared memory and through local memory: each thread has sixteen bytes of its own.
#[test]
fn every_width_in_shared_and_local_memory() {
    let rows = pairs(&INTEGERS);
    for (space, place) in [
        (
            "shared",
            ".shared .align 16 .b8 own[1024]; shl.b32 %r5, %r2, 4; mov.u32 %r6, own; add.s32 %r5, %r5, %r6;",
        ),
        (
            "local",
            ".local .align 16 .b8 own[16]; mov.u64 %q5, own; cvta.local.u64 %q6, %q5; cvt.u32.u64 %r5, %q5;",
        ),
    ] {
        let with = |code: &str| format!("{place} {}", code.replace("SPACE", space));
        check(&with("st.SPACE.u64 [%r5+8], %a; ld.SPACE.u64 %d, [%r5+8];"), D, &rows, |r| r[0]);
        check(&with("st.SPACE.u32 [%r5+4], %wa; ld.SPACE.u32 %wd, [%r5+4];"), W, &rows, |r| {
            r[0] & 0xffff_ffff
        });
        check(&with("st.SPACE.u32 [%r5], %wa; ld.SPACE.s16 %wd, [%r5+2];"), W, &rows, |r| {
            u64::from(((r[0] as u32) >> 16) as i16 as u32)
        });
        check(&with("st.SPACE.u32 [%r5], %wa; ld.SPACE.u16 %hd, [%r5];"), H, &rows, |r| r[0] & 0xffff);
        check(&with("st.SPACE.u32 [%r5], %wa; ld.SPACE.s8 %wd, [%r5+1];"), W, &rows, |r| {
            u64::from((r[0] >> 8) as i8 as u32)
        });
        check(&with("st.SPACE.u32 [%r5], %wa; ld.SPACE.u8 %wd, [%r5+3];"), W, &rows, |r| r[0] >> 24 & 255);
        let narrow = "st.SPACE.u32 [%r5], %wa; st.SPACE.u8 [%r5+1], %hb; st.SPACE.b16 [%r5+2], %hc; ld.SPACE.u32 %wd, [%r5];";
        check(&with(narrow), W, &rows, |[a, b, c, _]| a & 255 | (b & 255) << 8 | (c & 0xffff) << 16);
        // A register of 64 bits takes fewer, extended.
        check(&with("st.SPACE.u32 [%r5], %wa; ld.SPACE.s32 %d, [%r5];"), D, &rows, |r| {
            i64::from(r[0] as i32) as u64
        });
        check(&with("mov.u64 %d, %b; st.SPACE.u32 [%r5], %wa; ld.SPACE.u32 %d, [%r5];"), D, &rows, |r| {
            r[0] & 0xffff_ffff
        });
        let vectors = "st.SPACE.v4.b32 [%r5], {%wa, %wb, %wc, %we}; ld.SPACE.v2.u64 {%q8, %q9}, [%r5];
            ld.SPACE.v2.u32 {%r8, %r9}, [%r5+8]; ld.SPACE.v4.u32 {%r10, %r11, %r12, %r13}, [%r5];
            ld.SPACE.v4.u8 {%r14, %r15, %r16, %r17}, [%r5+4]; mov.b64 %q10, {%r8, %r9}; mov.b64 %q11, {%r10, %r11};
            xor.b64 %q8, %q8, %q11; xor.b64 %q9, %q9, %q10; or.b64 %q8, %q8, %q9; xor.b32 %r12, %r12, %r8;
            cvt.u64.u32 %q12, %r12; or.b64 %q8, %q8, %q12; cvt.u64.u32 %q13, %r15; shl.b64 %q13, %q13, 8; add.s64 %d, %q8, %q13;";
        check(&with(vectors), D, &rows, |r| (r[1] >> 8 & 255) << 8);
        check(
            &with("st.SPACE.v2.b64 [%r5], {%a, %b}; ld.SPACE.v4.b32 {_, _, %r8, %wd}, [%r5];"),
            W,
            &rows,
            |r| r[1] >> 32,
        );
    }
}

#[test]
fn global_memory_by_width() {
    let rows = pairs(&INTEGERS);
    // Each thread's eight bytes of `out` serve as scratch before the result is stored.
    check("st.global.v2.u32 [%out], {%wb, %wa}; ld.global.u64 %d, [%out];", D, &rows, |[a, b, ..]| {
        a << 32 | b & 0xffff_ffff
    });
    let narrow = "st.global.u64 [%out], %a; st.global.u8 [%out+1], %wb; st.global.u16 [%out+6], %hc; ld.global.u64 %d, [%out];";
    check(narrow, D, &rows, |[a, b, c, _]| a & 0x0000_ffff_ffff_00ff | (b & 255) << 8 | (c & 0xffff) << 48);
    check("ld.global.nc.v2.u64 {%q8, %d}, [%in];", D, &rows, |r| r[1]);
    check("ld.global.v4.u32 {%r8, %r9, %r10, %wd}, [%in+16];", W, &rows, |r| r[3] >> 32);
    check("ld.global.v4.u16 {%h0, %hd, %h2, %h3}, [%in+8];", H, &rows, |r| r[1] >> 16 & 0xffff);
    check("add.s64 %q8, %in, 24; ld.global.s8 %wd, [%q8+-23];", W, &rows, |r| {
        u64::from((r[0] >> 8) as i8 as u32)
    });
    check("ld.global.s32 %d, [%in+4];", D, &rows, |r| i64::from((r[0] >> 32) as i32) as u64);
}

/// Lanes go in order, each finds what the one before it left.
#[test]
fn atomics_of_shared_memory() {
    let rows: Vec<_> = (0..64u64).map(|i| [i * 0x1234_5677 & 0xffff_ffff, i % 5, i, 0]).collect();
    let begin =
        ".shared .align 4 .b8 word[4]; setp.eq.s32 %p0, %r2, 0; @%p0 st.shared.u32 [word], 3; bar.sync 0;";
    let with = |code: &str| format!("{begin} {code}");
    let fold = |step: fn(u32, u32) -> u32| {
        let mut word = 3u32;
        rows.iter()
            .map(|r| {
                let old = word;
                word = step(old, r[0] as u32);
                u64::from(old)
            })
            .collect::<Vec<u64>>()
    };
    let cases: [(&str, fn(u32, u32) -> u32); 12] = [
        ("add.u32", u32::wrapping_add),
        ("min.u32", u32::min),
        ("max.u32", u32::max),
        ("min.s32", |a, b| (a as i32).min(b as i32) as u32),
        ("max.s32", |a, b| (a as i32).max(b as i32) as u32),
        ("exch.b32", |_, b| b),
        ("and.b32", |a, b| a & b),
        ("or.b32", |a, b| a | b),
        ("xor.b32", |a, b| a ^ b),
        ("inc.u32", |a, b| if a >= b { 0 } else { a + 1 }),
        ("dec.u32", |a, b| if a == 0 || a > b { b } else { a - 1 }),
        ("add.f32", |a, b| {
            let sum = f32::from_bits(a) + f32::from_bits(b);
            if sum.is_nan() { 0x7fff_ffff } else { sum.to_bits() }
        }),
    ];
    for (name, step) in cases {
        let got = run(&with(&format!("atom.shared.{name} %wd, [word], %wa;")), W, &rows);
        assert_eq!(got, fold(step), "{name}");
    }
    let swap = run(&with("atom.shared.cas.b32 %wd, [word], %wc, 9;"), W, &rows);
    assert!(swap.iter().enumerate().all(|(i, &old)| old == if i <= 3 { 3 } else { 9 }), "{swap:?}");
    let sum = run(&with("red.shared.add.u32 [word], 2; bar.sync 0; ld.shared.u32 %wd, [word];"), W, &rows);
    assert!(sum.iter().all(|&word| word == 3 + 2 * 64), "{sum:?}");
}

/// In global memory sums of float32 flush numbers below the normal range, in shared memory they do not.
#[test]
fn atomic_sums_of_small_floats() {
    let rows = [[u64::from(1.0e-40f32.to_bits()), 0, 0, 0]];
    let global = "st.global.u32 [%out], 0; red.global.add.f32 [%out], %wa; ld.global.u32 %wd, [%out];";
    check(global, W, &rows, |_| 0);
    let shared =
        ".shared .align 4 .b8 word[256]; shl.b32 %r5, %r2, 2; mov.u32 %r6, word; add.s32 %r5, %r5, %r6;
        st.shared.u32 [%r5], 0; red.shared.add.f32 [%r5], %wa; ld.shared.u32 %wd, [%r5];";
    check(shared, W, &rows, |r| r[0]);
}

/// Lanes side by side, in rows, in steps, again and again, all at one place, and scattered: with 4, 8 and 16 bytes each.
#[test]
fn patterns_of_lanes() {
    let rows: Vec<_> = (0..64u64).map(|i| [i * 3 + 1, i * 5 + 2, i * 7 + 3, i * 11 + 4]).collect();
    let patterns: [(&str, fn(usize) -> usize); 8] = [
        ("mov.u32 %r8, %r2;", |t| t),
        ("and.b32 %r8, %r2, 7;", |t| t & 7),
        ("and.b32 %r8, %r2, 15;", |t| t & 15),
        ("shr.u32 %r8, %r2, 3;", |t| t >> 3),
        ("mov.u32 %r8, 9;", |_| 9),
        ("shr.u32 %r8, %r2, 3; mul.lo.s32 %r8, %r8, 5; and.b32 %r9, %r2, 7; add.s32 %r8, %r8, %r9;", |t| {
            (t >> 3) * 5 + (t & 7)
        }),
        ("xor.b32 %r8, %r2, 37;", |t| t ^ 37),
        ("shr.u32 %r8, %r2, 4;", |t| t >> 4),
    ];
    for space in ["shared", "global"] {
        // Each place holds a thread's four numbers; in global memory these are the upper half of the input as it lies.
        for (pattern, place) in patterns {
            let setup = match space {
                "shared" => {
                    ".shared .align 16 .b8 all[1024]; mov.u32 %r6, all; shl.b32 %r5, %r2, 4; add.s32 %r5, %r5, %r6;
                     st.shared.v4.u32 [%r5], {%wa, %wb, %wc, %we}; bar.sync 0;"
                }
                _ => "mul.wide.u32 %q8, %r3, 32; sub.s64 %q9, %in, %q8;",
            };
            let (address, step) = match space {
                "shared" => ("shl.b32 %r8, %r8, 4; add.s32 %r8, %r8, %r6;", "%r8"),
                _ => ("mul.wide.u32 %q8, %r8, 32; add.s64 %q9, %q9, %q8;", "%q9"),
            };
            let begin = format!("{setup} {pattern} {address}");
            let of = |t: usize| rows[place(t)];
            let wide = space == "global";
            let quads = format!(
                "{begin} ld.{space}.v4.u32 {{%r10, %r11, %r12, %r13}}, [{step}]; mad.lo.s32 %r10, %r11, 1000, %r10;
                 mad.lo.s32 %r12, %r13, 1000, %r12; mad.lo.s32 %wd, %r12, 7, %r10;"
            );
            for (t, got) in run(&quads, W, &rows).into_iter().enumerate() {
                let [a, b, c, e] = if wide { [of(t)[0], 0, of(t)[1], 0] } else { of(t) };
                assert_eq!(got, b * 1000 + a + 7 * (e * 1000 + c), "{quads}, thread {t}");
            }
            let pair = format!(
                "{begin} ld.{space}.v2.u32 {{%r10, %r11}}, [{step}+8]; mad.lo.s32 %wd, %r11, 1000, %r10;"
            );
            for (t, got) in run(&pair, W, &rows).into_iter().enumerate() {
                let [a, b] = if wide { [of(t)[1], 0] } else { [of(t)[2], of(t)[3]] };
                assert_eq!(got, b * 1000 + a, "{pair}, thread {t}");
            }
            let word = format!("{begin} ld.{space}.u32 %wd, [{step}+8];");
            for (t, got) in run(&word, W, &rows).into_iter().enumerate() {
                assert_eq!(got, if wide { of(t)[1] } else { of(t)[2] }, "{word}, thread {t}");
            }
        }
    }
    // Words of four bytes, one a thread.
    for (pattern, place) in patterns {
        let code = format!(
            ".shared .align 4 .b8 all[256]; mov.u32 %r6, all; shl.b32 %r5, %r2, 2; add.s32 %r5, %r5, %r6;
             st.shared.u32 [%r5], %wa; bar.sync 0; {pattern} shl.b32 %r8, %r8, 2; add.s32 %r8, %r8, %r6; ld.shared.u32 %wd, [%r8];"
        );
        for (t, got) in run(&code, W, &rows).into_iter().enumerate() {
            assert_eq!(got, rows[place(t)][0], "{code}, thread {t}");
        }
    }
}

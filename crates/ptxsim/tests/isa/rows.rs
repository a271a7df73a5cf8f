//! Runs a piece of PTX for many operands, a thread for each.

use ptxsim::{Checks, Isa, Launch, Module, Simulator};

/// Four operands of a thread.
pub type Row = [u64; 4];

/// Where a piece of PTX leaves its result.
#[derive(Clone, Copy, Debug)]
pub enum Result {
    /// `%hd`, `%wd`, `%d`: 16, 32, 64 bits.
    H,
    W,
    D,
    /// `%pd`, a predicate: 0 or 1.
    P,
}

/// A kernel around `code`. Operands are `%a %b %c %e` (64 bits), `%wa…` (their lower 32), `%ha…` (their lower 16), and
/// predicates `%pa…` (their lowest bit).
fn ptx(code: &str, result: Result) -> String {
    let store = match result {
        Result::H => "cvt.u64.u16 %d, %hd;",
        Result::W => "cvt.u64.u32 %d, %wd;",
        Result::D => "",
        Result::P => "selp.u32 %wd, 1, 0, %pd; cvt.u64.u32 %d, %wd;",
    };
    let mut text = String::from(
        ".version 8.8\n.target sm_61\n.address_size 64\n.visible .entry t(\n.param .u64 in,\n.param .u64 out\n)\n{\n\
         .reg .pred %p<8>, %pa, %pb, %pc, %pe, %pd;\n.reg .b16 %h<8>, %ha, %hb, %hc, %he, %hd;\n\
         .reg .b32 %r<20>, %wa, %wb, %wc, %we, %wd;\n.reg .b64 %q<20>, %a, %b, %c, %e, %d, %in, %out;\n\
         ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\n\
         mov.u32 %r0, %ctaid.x;\nmov.u32 %r1, %ntid.x;\nmov.u32 %r2, %tid.x;\nmad.lo.s32 %r3, %r0, %r1, %r2;\n\
         mul.wide.u32 %q0, %r3, 32;\nadd.s64 %in, %in, %q0;\nmul.wide.u32 %q0, %r3, 8;\nadd.s64 %out, %out, %q0;\n",
    );
    for (at, name) in ["a", "b", "c", "e"].iter().enumerate() {
        text += &format!(
            "ld.global.u64 %{name}, [%in+{}];\ncvt.u32.u64 %w{name}, %{name};\ncvt.u16.u32 %h{name}, %w{name};\n\
             and.b32 %r4, %w{name}, 1;\nsetp.ne.s32 %p{name}, %r4, 0;\n",
            8 * at
        );
    }
    text + &format!("mov.u64 %d, 0;\n{code}\n{store}\nst.global.u64 [%out], %d;\nret;\n}}\n")
}

/// The results of `code` for `rows`: the same on every instruction set, and with one host thread and two.
pub fn run(code: &str, result: Result, rows: &[Row]) -> Vec<u64> {
    let module = Module::parse(&ptx(code, result)).unwrap_or_else(|problem| panic!("{code}: {problem}"));
    let mut all: Vec<(Isa, usize, Vec<u64>)> = Vec::new();
    for (isa, threads) in [(Isa::Portable, 1), (Isa::Avx2, 1), (Isa::Avx512, 1), (Isa::best(), 2)] {
        let Some(mut simulator) = Simulator::with_isa(Checks::all(), threads, isa) else { continue };
        let blocks = rows.len().div_ceil(64);
        let mut input = rows.to_vec();
        input.resize(blocks * 64, rows[0]);
        let words: Vec<u8> = input.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        let from = simulator.allocate("in", words.len()).unwrap();
        simulator.write(from, &words).unwrap();
        let to = simulator.allocate("out", blocks * 64 * 8).unwrap();
        let parameters: Vec<u8> = [from, to].iter().flat_map(|p| p.to_le_bytes()).collect();
        let launch = Launch {
            grid: [blocks as u32, 1, 1],
            block: [64, 1, 1],
            dynamic_shared_bytes: 0,
            parameters: &parameters,
            blocks: None,
        };
        simulator.launch(&module, "t", &launch).unwrap_or_else(|fault| panic!("{code}: {fault}"));
        let mut out = vec![0; blocks * 64 * 8];
        simulator.read(to, &mut out).unwrap();
        let out = out.chunks(8).take(rows.len()).map(|w| u64::from_le_bytes(w.try_into().unwrap())).collect();
        all.push((isa, threads, out));
    }
    for (isa, threads, out) in &all {
        let differs = (0..rows.len()).find(|&i| out[i] != all[0].2[i]);
        if let Some(i) = differs {
            panic!(
                "{code} on {isa:?}, {threads} threads, {:x?}: {:x}, not {:x}",
                rows[i], out[i], all[0].2[i]
            );
        }
    }
    all.swap_remove(0).2
}

/// Demands of `code` what `expected` says of each row.
pub fn check(code: &str, result: Result, rows: &[Row], expected: impl Fn(Row) -> u64) {
    for (row, got) in rows.iter().zip(run(code, result, rows)) {
        let expected = expected(*row);
        assert!(got == expected, "{code} of {row:x?}: got {got:#x}, expected {expected:#x}");
    }
}

/// Integers at the edges and between.
pub const INTEGERS: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0x8000,
    0xffff,
    0x1234_5678,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x0123_4567_89ab_cdef,
    0xffff_ffff_ffff_ffff,
];

/// Float32 of all kinds.
pub const FLOATS: [f32; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1.5,
    -2.5,
    3.0,
    0.1,
    -0.3,
    1.0e-45,
    -1.0e-40,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    16_777_216.0,
    1.000_000_1,
    2_147_483_648.0,
    4_294_967_296.0,
    -129.5,
    65_536.7,
];

/// Some triples of float32 as rows.
pub fn float_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (i, a) in FLOATS.iter().enumerate() {
        for (j, b) in FLOATS.iter().enumerate() {
            let c = FLOATS[(5 * i + 3 * j + 1) % FLOATS.len()];
            rows.push([a, b, &c, &0.0].map(|x| u64::from(x.to_bits())));
        }
    }
    rows
}

/// All pairs of `values`, and a third that varies.
pub fn pairs(values: &[u64]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (i, &a) in values.iter().enumerate() {
        for (j, &b) in values.iter().enumerate() {
            rows.push([a, b, values[(3 * i + 5 * j + 1) % values.len()], values[(7 * i + j) % values.len()]]);
        }
    }
    rows
}

//! Whole kernels, those of the benchmark: bit by bit what sequential multiply-adds give, on every instruction set, with one and
//! with two host threads.

use ptxsim::{Checks, Counters, Isa, Launch, Module, Simulator};

fn values(count: usize, seed: u32) -> Vec<f32> {
    (0..count as u32)
        .map(|i| ((i.wrapping_mul(2_654_435_761) ^ seed) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

/// The result, `count` floats, and the counters, the same everywhere.
fn run(
    ptx: &str,
    kernel: &str,
    [a, b]: [&[f32]; 2],
    count: usize,
    numbers: &[u32],
    shape: [[u32; 3]; 2],
) -> Vec<f32> {
    let module = Module::parse(ptx).unwrap();
    let mut all: Vec<(Vec<u32>, Counters)> = Vec::new();
    for (isa, threads) in [(Isa::Portable, 1), (Isa::Avx2, 1), (Isa::Avx512, 1), (Isa::best(), 2)] {
        let Some(mut simulator) = Simulator::with_isa(Checks::all(), threads, isa) else { continue };
        let mut parameters = Vec::new();
        for (name, values) in [("a", a), ("b", b)] {
            let buffer = simulator.allocate(name, values.len() * 4).unwrap();
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            simulator.write(buffer, &bytes).unwrap();
            parameters.extend(buffer.to_le_bytes());
        }
        let result = simulator.allocate("result", count * 4).unwrap();
        parameters.extend(result.to_le_bytes());
        numbers.iter().for_each(|n| parameters.extend(n.to_le_bytes()));
        let [grid, block] = shape;
        let launch = Launch { grid, block, dynamic_shared_bytes: 0, parameters: &parameters, blocks: None };
        let counters = simulator.launch(&module, kernel, &launch).unwrap_or_else(|fault| panic!("{fault}"));
        let mut bytes = vec![0; count * 4];
        simulator.read(result, &mut bytes).unwrap();
        let bits = bytes.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        all.push((bits, counters));
    }
    assert!(all.iter().all(|one| *one == all[0]), "instruction sets or threads differ");
    all.swap_remove(0).0.into_iter().map(f32::from_bits).collect()
}

#[test]
fn a_tiled_matrix_product() {
    let (m, n, k) = (128, 256, 24);
    let (a, b) = (values(m * k, 1), values(k * n, 2));
    let ptx = include_str!("../../benches/kernels/sgemm.ptx");
    let shape = [[n as u32 / 128, m as u32 / 128, 1], [256, 1, 1]];
    let got = run(ptx, "sgemm_128x128x8_f32", [&a, &b], m * n, &[k as u32 / 4, n as u32 / 4], shape);
    for (at, got) in got.iter().enumerate() {
        let (i, j) = (at / n, at % n);
        let expected = (0..k).fold(0.0f32, |sum, t| a[i * k + t].mul_add(b[t * n + j], sum));
        assert!(got.to_bits() == expected.to_bits(), "row {i}, column {j}: {got}, not {expected}");
    }
}

#[test]
fn a_tiled_convolution() {
    let (c, h, w, k) = (3, 8, 24, 5);
    let (x, f) = (values(c * (h + 2) * (w + 2), 3), values(k * c * 9, 4));
    let ptx = include_str!("../../benches/kernels/conv.ptx");
    let shape = [[w as u32 / 8, h as u32 / 8, k as u32], [8, 8, 1]];
    let numbers = [c as u32, h as u32, w as u32, 0];
    let got = run(ptx, "conv2d_tile8x8_f32", [&x, &f], k * h * w, &numbers, shape);
    for (at, got) in got.iter().enumerate() {
        let (k, p, q) = (at / (h * w), at / w % h, at % w);
        let mut expected = 0.0f32;
        for (c, tap) in (0..c * 9).map(|i| (i / 9, i % 9)) {
            let pixel = x[(c * (h + 2) + p + tap / 3) * (w + 2) + q + tap % 3];
            expected = pixel.mul_add(f[(k * 3 + c) * 9 + tap], expected);
        }
        assert!(got.to_bits() == expected.to_bits(), "channel {k}, pixel {p}, {q}: {got}, not {expected}");
    }
}

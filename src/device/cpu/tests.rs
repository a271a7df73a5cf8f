//! Every operation on every instruction set against a naive float64 reference: asymmetric shapes, channel ranges of larger
//! buffers, outputs poisoned with NaN, guard words around them, several thread counts.

use super::conv2d::{Conv2d, Geometry, Operands, OutputBlock};
use super::elementwise::{Elementwise, Function, MapView};
use super::filter::{FilterRow, PackedFilter};
use super::linear::{Linear, Values};
use super::pool2d::{GlobalAvgPool, Kind, Pool2d};
use super::simd::Isa;
use super::threads::Threads;
use super::{Line, Shared};
use crate::network::Window;
use crate::program::{Epilogue, Phase};

/// Deterministic values from −1 to 1.
fn value(i: usize) -> f32 {
    let bits = crate::weights::random::bits(42, i as u64);
    (bits >> 40) as f32 / (1 << 23) as f32 - 1.0
}

const GUARD: f32 = 12345.5;

/// A buffer of maps [n][channels][h][w], blocked by 16 channels, with a guard block before and behind.
struct Maps {
    memory: Vec<Line>,
    view: MapView,
}

impl Maps {
    /// Of `total` channels the view shows `c` from `first` on; filled with `fill(n, c, h, w)` inside the view.
    fn new(n: usize, (total, first, c): (usize, usize, usize), (h, w): (usize, usize)) -> Self {
        let guard = 16 * 16;
        let values = n * total * h * w;
        let mut memory = vec![Line([GUARD; 16]); (values + 2 * guard).div_ceil(16)];
        let view = MapView { offset: guard + first * h * w, image_stride: total * h * w, c, h, w };
        let flat: &mut [f32] = bytemuck_lines(&mut memory);
        for image in 0..n {
            let at = view.block(image, 0);
            flat[at..at + c * h * w].fill(f32::NAN);
        }
        Maps { memory, view }
    }

    fn flat(&mut self) -> &mut [f32] {
        bytemuck_lines(&mut self.memory)
    }

    fn index(&self, n: usize, c: usize, h: usize, w: usize) -> usize {
        self.view.block(n, c / 16) + (h * self.view.w + w) * 16 + c % 16
    }

    fn fill(mut self, n: usize) -> Self {
        let MapView { c, h, w, .. } = self.view;
        for i in 0..n * c * h * w {
            let at = self.index(i / (c * h * w), i / (h * w) % c, i / w % h, i % w);
            self.flat()[at] = value(i);
        }
        self
    }

    fn get(&mut self, n: usize, c: usize, h: isize, w: isize) -> Option<f64> {
        let inside = h >= 0 && w >= 0 && (h as usize) < self.view.h && (w as usize) < self.view.w;
        inside.then(|| {
            let at = self.index(n, c, h as usize, w as usize);
            f64::from(self.flat()[at])
        })
    }

    /// Everything outside the view must be as it was; everything inside within `tolerance` of `expected`.
    fn assert(
        &mut self,
        n: usize,
        tolerance: f64,
        what: &str,
        expected: impl Fn(usize, usize, usize, usize) -> f64,
    ) {
        let MapView { c, h, w, .. } = self.view;
        let mut seen = vec![false; self.flat().len()];
        for i in 0..n * c * h * w {
            let (image, k, p, q) = (i / (c * h * w), i / (h * w) % c, i / w % h, i % w);
            let at = self.index(image, k, p, q);
            seen[at] = true;
            let (ours, theirs) = (f64::from(self.flat()[at]), expected(image, k, p, q));
            let close = (ours - theirs).abs() <= tolerance;
            assert!(close, "{what}: at [{image}, {k}, {p}, {q}]: {ours} against {theirs}");
        }
        let untouched = self.flat().iter().zip(&seen).all(|(x, seen)| *seen || *x == GUARD);
        assert!(untouched, "{what}: wrote outside its output");
    }
}

fn bytemuck_lines(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: a `Line` is sixteen float32 without padding.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * 16) }
}

/// Of a sum of `terms` products of values from −1 to 1: each of its roundings is up to 2⁻²⁴ of a partial sum, which is
/// about √terms / 3 large and up to six times that; errors add like a random walk.
fn sum_tolerance(terms: usize) -> f64 {
    8e-7 * (terms as f64).sqrt()
}

fn window(kernel: (usize, usize), stride: (usize, usize), padding: (usize, usize)) -> Window {
    Window { kernel, stride, padding }
}

/// Images, input channels, output channels, height and width, window.
type Case = (usize, usize, usize, (usize, usize), Window);

fn convolutions() -> Vec<Case> {
    vec![
        (1, 16, 16, (1, 1), window((1, 1), (1, 1), (0, 0))),
        (2, 32, 48, (5, 9), window((1, 1), (1, 1), (0, 0))),
        (3, 48, 80, (7, 4), window((3, 3), (1, 1), (1, 1))),
        (1, 16, 208, (9, 13), window((3, 3), (2, 2), (0, 0))),
        (2, 64, 96, (17, 11), window((1, 7), (1, 1), (0, 3))),
        (1, 80, 112, (11, 17), window((7, 1), (1, 1), (3, 0))),
        (2, 48, 64, (6, 5), window((5, 5), (1, 1), (2, 2))),
        (1, 32, 144, (8, 3), window((1, 3), (1, 1), (0, 1))),
        (2, 16, 176, (3, 8), window((3, 1), (1, 1), (1, 0))),
        (1, 16, 32, (6, 9), window((3, 2), (2, 1), (1, 0))),
        (5, 208, 16, (2, 3), window((3, 3), (1, 1), (1, 1))),
        (16, 16, 16, (16, 16), window((1, 1), (1, 1), (0, 0))),
    ]
}

#[test]
fn convolution_on_every_instruction_set() {
    for (case, (n, c, k, size, window)) in convolutions().into_iter().enumerate() {
        let mut input = Maps::new(n, (c + 32, 16, c), size).fill(n);
        let taps = window.kernel.0 * window.kernel.1;
        let weights: Vec<f32> = (0..k * c * taps).map(|i| value(i + 777)).collect();
        let bias: Vec<f32> = (0..k).map(|i| value(i + 99)).collect();
        let (p, q) = window.output(size.0, size.1);
        let expected = naive(&mut input, n, (c, k), window, (p, q), &weights);
        for (isa, threads, relu) in
            Isa::available().into_iter().flat_map(|isa| [(isa, 1, true), (isa, 3, false)])
        {
            let rows: Vec<FilterRow<'_>> =
                weights.chunks(c * taps).map(|values| FilterRow { values, scale: 0.5 }).collect();
            let filter = PackedFilter::pack(isa, &rows, c, 16, taps, p * q);
            let geometry = Geometry {
                c,
                h: size.0,
                w: size.1,
                window,
                p,
                q,
                phase: Phase::ALL,
                output_w: q,
                planar: false,
            };
            let conv = Conv2d::new(isa, geometry, filter, bias.clone(), n, threads);
            let mut output = Maps::new(n, (k + 48, 32, k), (p, q));
            run(&conv, &input, &mut output, n, threads, relu);
            let tolerance = sum_tolerance(c * taps);
            let what = format!("case {case}, {}, {threads} threads", isa.name());
            output.assert(n, tolerance, &what, |n, k_, p_, q_| {
                let sum = 0.5 * expected[((n * k + k_) * p + p_) * q + q_];
                if relu { (sum + f64::from(bias[k_])).max(0.0) } else { sum }
            });
        }
    }
}

fn run(conv: &Conv2d, input: &Maps, output: &mut Maps, images: usize, threads: usize, bias_relu: bool) {
    let view = output.view;
    let input_data = Shared(input.memory.as_ptr().cast::<f32>().cast_mut());
    let output_data = Shared(output.memory.as_mut_ptr().cast());
    Threads::new(threads).run(conv.units(), &|unit| {
        let block = |block| OutputBlock {
            // SAFETY: the block lies inside the output's memory.
            data: unsafe { output_data.get().add(view.block(0, block)) },
            image_stride: view.image_stride,
            epilogue: if bias_relu { Epilogue::BiasRelu } else { Epilogue::None },
        };
        let outputs: Vec<OutputBlock> = (0..view.blocks()).map(block).collect();
        // SAFETY: both maps have the convolution's geometry; units write disjoint outputs.
        unsafe {
            let input_stride = input.view.image_stride;
            let input = input_data.get().add(input.view.offset).cast_const();
            conv.run(
                unit,
                Operands { input, input_stride, arena: std::ptr::null(), outputs: &outputs, images },
            );
        }
    });
}

fn naive(
    x: &mut Maps,
    n: usize,
    (c, k): (usize, usize),
    window: Window,
    (p, q): (usize, usize),
    weights: &[f32],
) -> Vec<f64> {
    let (r, s) = window.kernel;
    let mut sums = vec![0.0; n * k * p * q];
    for (i, sum) in sums.iter_mut().enumerate() {
        let (image, k, p, q) = (i / (k * p * q), i / (p * q) % k, i / q % p, i % q);
        for j in 0..c * r * s {
            let (c_, r_, s_) = (j / (r * s), j / s % r, j % s);
            let h = (p * window.stride.0 + r_) as isize - window.padding.0 as isize;
            let w = (q * window.stride.1 + s_) as isize - window.padding.1 as isize;
            *sum += x.get(image, c_, h, w).unwrap_or(0.0) * f64::from(weights[k * c * r * s + j]);
        }
    }
    sums
}

#[test]
fn the_planar_first_convolution() {
    let (n, k, (h, w), window) = (2, 32, (11, 14), window((3, 3), (2, 2), (0, 0)));
    let input: Vec<f32> = (0..n * 3 * h * w).map(value).collect();
    let weights: Vec<f32> = (0..k * 27).map(|i| value(i + 5)).collect();
    let (p, q) = window.output(h, w);
    for isa in Isa::available() {
        let rows: Vec<FilterRow<'_>> =
            weights.chunks(27).map(|values| FilterRow { values, scale: 1.0 }).collect();
        let filter = PackedFilter::pack(isa, &rows, 3, 3, 9, p * q);
        let geometry = Geometry { c: 3, h, w, window, p, q, phase: Phase::ALL, output_w: q, planar: true };
        let conv = Conv2d::new(isa, geometry, filter, vec![0.0; k], n, 2);
        let mut output = Maps::new(n, (k, 0, k), (p, q));
        let view = output.view;
        let data = output.memory.as_mut_ptr().cast::<f32>();
        // SAFETY: the blocks lie inside the output's memory.
        let block = |b| unsafe { data.add(view.block(0, b)) };
        let outputs: Vec<OutputBlock> = (0..view.blocks())
            .map(|b| OutputBlock {
                data: block(b),
                image_stride: view.image_stride,
                epilogue: Epilogue::None,
            })
            .collect();
        for unit in 0..conv.units() {
            let operands = Operands {
                input: input.as_ptr(),
                input_stride: 3 * h * w,
                arena: std::ptr::null(),
                outputs: &outputs,
                images: n,
            };
            // SAFETY: input and outputs have the convolution's geometry.
            unsafe { conv.run(unit, operands) };
        }
        output.assert(n, sum_tolerance(27), isa.name(), |n, k, p, q| {
            (0..27)
                .map(|j| {
                    let at = ((n * 3 + j / 9) * h + 2 * p + j / 3 % 3) * w + 2 * q + j % 3;
                    f64::from(input[at]) * f64::from(weights[k * 27 + j])
                })
                .sum()
        });
    }
}

#[test]
fn pools_on_every_instruction_set() {
    let (n, c) = (2, 48);
    for (size, window) in [
        ((7, 10), window((3, 3), (2, 2), (0, 0))),
        ((5, 8), window((3, 3), (1, 1), (1, 1))),
        ((1, 1), window((3, 3), (1, 1), (1, 1))),
        ((4, 9), window((3, 2), (1, 2), (1, 0))),
    ] {
        let (r, s) = window.kernel;
        let (p, q) = window.output(size.0, size.1);
        let mut input = Maps::new(n, (c + 16, 0, c), size).fill(n);
        let bias: Vec<f32> = (0..c).map(value).collect();
        for isa in Isa::available() {
            let kinds = [
                Kind::Max,
                Kind::Average { whole: true, bias: None },
                Kind::Average { whole: false, bias: Some(bias.clone()) },
            ];
            for (which, kind) in kinds.into_iter().enumerate() {
                let mut output = Maps::new(n, (c + 32, 16, c), (p, q));
                let (x, y) = (input.view, output.view);
                // One memory for both, as in the arena.
                let offset = input.flat().len();
                let mut memory = [input.memory.as_slice(), output.memory.as_slice()].concat();
                let to = MapView { offset: y.offset + offset, ..y };
                let pool = Pool2d { isa, kind: kind.clone(), window, input: x, output: to };
                // SAFETY: both views lie in `memory`.
                (0..pool.units(n)).for_each(|unit| unsafe { pool.run(unit, memory.as_mut_ptr().cast()) });
                output.memory = memory.split_off(offset / 16);
                let values = |n: usize, c: usize, p: usize, q: usize, input: &mut Maps| -> Vec<f64> {
                    let first = |i: usize, stride: usize, pad: usize| (i * stride) as isize - pad as isize;
                    let (h, w) = (
                        first(p, window.stride.0, window.padding.0),
                        first(q, window.stride.1, window.padding.1),
                    );
                    (0..r * s)
                        .filter_map(|j| input.get(n, c, h + (j / s) as isize, w + (j % s) as isize))
                        .collect()
                };
                let cell = std::cell::RefCell::new(&mut input);
                let what = format!("{window:?}, {}, kind {which}", isa.name());
                output.assert(n, 1e-6, &what, |n, c, p, q| {
                    let inside = values(n, c, p, q, &mut cell.borrow_mut());
                    let sum: f64 = inside.iter().sum();
                    match which {
                        0 => inside.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                        1 => sum / (r * s) as f64,
                        _ => (sum / inside.len() as f64 + f64::from(bias[c])).max(0.0),
                    }
                });
            }
        }
    }
}

#[test]
fn nan_is_never_hidden() {
    for isa in Isa::available() {
        let rows: Vec<Vec<f32>> = (0..16).map(|_| vec![1.0; 16]).collect();
        let rows: Vec<FilterRow<'_>> = rows.iter().map(|values| FilterRow { values, scale: 1.0 }).collect();
        let filter = PackedFilter::pack(isa, &rows, 16, 16, 1, 6);
        let window = window((1, 1), (1, 1), (0, 0));
        let geometry =
            Geometry { c: 16, h: 2, w: 3, window, p: 2, q: 3, phase: Phase::ALL, output_w: 3, planar: false };
        let conv = Conv2d::new(isa, geometry, filter, vec![0.0; 16], 1, 1);
        let mut input = Maps::new(1, (16, 0, 16), (2, 3)).fill(1);
        let at = input.index(0, 5, 1, 2);
        input.flat()[at] = f32::NAN;
        let mut output = Maps::new(1, (16, 0, 16), (2, 3));
        run(&conv, &input, &mut output, 1, 1, true);
        assert!(output.get(0, 3, 1, 2).unwrap().is_nan() && output.get(0, 3, 0, 0).unwrap().is_finite());
    }
}

#[test]
fn a_nan_anywhere_in_a_window_is_its_maximum() {
    let window = window((3, 3), (2, 2), (0, 0));
    for (isa, tap) in Isa::available().into_iter().flat_map(|isa| (0..9).map(move |tap| (isa, tap))) {
        let mut input = Maps::new(1, (16, 0, 16), (3, 5)).fill(1);
        let at = input.index(0, 7, tap / 3, tap % 3);
        input.flat()[at] = f32::NAN;
        let offset = input.flat().len();
        let mut memory = input.memory.clone();
        memory.resize(offset / 16 + 2, Line([0.0; 16]));
        let output = MapView { offset, image_stride: 32, c: 16, h: 1, w: 2 };
        let pool = Pool2d { isa, kind: Kind::Max, window, input: input.view, output };
        // SAFETY: both views lie in `memory`.
        (0..pool.units(1)).for_each(|unit| unsafe { pool.run(unit, memory.as_mut_ptr().cast()) });
        assert!(
            memory[offset / 16].0[7].is_nan() && memory[offset / 16].0[6].is_finite(),
            "tap {tap}, {}",
            isa.name()
        );
    }
}

#[test]
fn single_value_operations() {
    let (n, c, h, w) = (3, 32, 2, 5);
    let scale: Vec<f64> = (0..c).map(|i| f64::from(value(i))).collect();
    let bias: Vec<f32> = (0..c).map(|i| value(i + 50)).collect();
    let functions =
        [Function::Relu, Function::Copy, Function::BatchNorm { scale: scale.clone(), bias: bias.clone() }];
    for (which, function) in functions.into_iter().enumerate() {
        let mut input = Maps::new(n, (c + 16, 16, c), (h, w)).fill(n);
        let mut output = Maps::new(n, (c + 16, 0, c), (h, w));
        let offset = input.flat().len();
        let mut memory = [input.memory.as_slice(), output.memory.as_slice()].concat();
        let to = MapView { offset: output.view.offset + offset, ..output.view };
        let map = Elementwise { function, input: input.view, output: to };
        // SAFETY: both views lie in `memory`.
        (0..map.units(n)).for_each(|unit| unsafe { map.run(unit, memory.as_mut_ptr().cast()) });
        output.memory = memory.split_off(offset / 16);
        let cell = std::cell::RefCell::new(&mut input);
        output.assert(n, 1e-7, &format!("function {which}"), |n, c, h, w| {
            let x = cell.borrow_mut().get(n, c, h as isize, w as isize).unwrap();
            [x.max(0.0), x, x * scale[c] + f64::from(bias[c])][which]
        });
    }
}

#[test]
fn global_pool_and_linear() {
    let (n, c, k) = (2, 48, 21);
    let mut memory: Vec<f32> = (0..n * c * 15).map(value).collect();
    let input = MapView { offset: 0, image_stride: c * 15, c, h: 3, w: 5 };
    let pooled = MapView { offset: memory.len(), image_stride: c, c, h: 1, w: 1 };
    let output = MapView { offset: memory.len() + n * c, image_stride: k, c: k, h: 1, w: 1 };
    memory.resize(output.offset + n * k, f32::NAN);
    let weight: Vec<f32> = (0..k * c).map(|i| value(i + 3)).collect();
    let bias: Vec<f32> = (0..k).map(|i| value(i + 4)).collect();
    let expected = |image: usize, k: usize, memory: &[f32]| -> f64 {
        let mean = |c_: usize| -> f64 {
            let at = |pixel: usize| image * c * 15 + c_ / 16 * 240 + pixel * 16 + c_ % 16;
            (0..15).map(|pixel| f64::from(memory[at(pixel)])).sum::<f64>() / 15.0
        };
        (0..c).map(|c_| mean(c_) * f64::from(weight[k * c + c_])).sum::<f64>() + f64::from(bias[k])
    };
    let wanted: Vec<f64> = (0..n * k).map(|i| expected(i / k, i % k, &memory)).collect();
    let pool = GlobalAvgPool { input, output: pooled };
    let values = Values::Fixed { weight: weight.clone(), bias: bias.clone() };
    let linear = Linear { values, input: pooled, output };
    // SAFETY: all views lie in `memory`.
    unsafe {
        (0..n).for_each(|image| pool.run(image, memory.as_mut_ptr()));
        (0..linear.units(n)).for_each(|unit| linear.run(unit, memory.as_mut_ptr()));
    }
    for (i, wanted) in wanted.iter().enumerate() {
        // The means are rounded to float32 between the two.
        assert!((f64::from(memory[output.offset + i]) - wanted).abs() <= 1e-6, "output {i}");
    }
}

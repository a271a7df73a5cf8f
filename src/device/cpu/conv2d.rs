//! conv2d: y[n,k,p,q] = Σ_{c,r,s} x[n, c, p·stride_h − pad_h + r, q·stride_w − pad_w + s] · w[k,c,r,s], then bias and
//! ReLU where asked, or added to what stands there. The pixels of a phase are y's at p·phase.stride + phase.first: so that data
//! gradients are convolutions too.
//!
//! Direct, by register tiles: a tile is up to five 16-channel output blocks times a few pixels, all in registers. Pixels
//! are numbered through rows and images, so that a tile may span both; each has a pointer of its own for every filter
//! tap, and a tap outside the map reads zeros. Input channels are taken in chunks whose filters stay in the caches while
//! the unit's pixels pass; between chunks the partial sums rest in the output. Where the output is added to, its former value is the
//! first term: each chunk's sum is added to it.
//!
//! Source of the register tiling: Georganas et al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD
//! Architectures", 2018 (arXiv 1808.05567); of the pointers per pixel: Dukhan, "The Indirect Convolution Algorithm",
//! 2019 (arXiv 1907.02129).

use super::filter::{Group, Line, PackedFilter, tile_pixels};
use super::simd::{Isa, Simd, dispatch};
use crate::network::Window;
use crate::program::{Epilogue, Phase};

/// Bytes of a chunk's filters. Larger ones run a little faster, since sums are fetched and stored less often; smaller ones
/// round less, since shorter sums are added to each other.
const CHUNK_BYTES: usize = 40 << 10;
/// Pixels of a unit at most: its outputs and inputs stay in the second-level cache.
const UNIT_PIXELS: usize = 512;
/// Pixels of a unit at least: below, reading the filters costs more than balance gains.
const UNIT_PIXELS_LEAST: usize = 48;

/// Sixteen zeros, for taps outside the map.
static ZEROS: Line = Line([0.0; 16]);

/// Sizes of a convolution over one image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Input channels, height, width.
    pub c: usize,
    pub h: usize,
    pub w: usize,
    /// Filter size, stride, padding.
    pub window: Window,
    /// Output height and width: pixels of the phase.
    pub p: usize,
    pub q: usize,
    /// Where they lie in the output map, and its width.
    pub phase: Phase,
    pub output_w: usize,
    /// Whether the input lies N, C, H, W (the images) or in blocks of 16 channels.
    pub planar: bool,
}

impl Geometry {
    /// Channels that lie together in the input, and in the packed filters.
    pub fn c_block(&self) -> usize {
        if self.planar { self.c } else { 16 }
    }

    /// Index in the output map of the first pixel of row `p` of the phase.
    fn row(&self, p: usize) -> usize {
        (p * self.phase.stride.0 + self.phase.first.0) * self.output_w + self.phase.first.1
    }

    fn taps(&self) -> usize {
        self.window.kernel.0 * self.window.kernel.1
    }
}

/// Where sixteen output channels go, and what happens to them first.
#[derive(Clone, Copy)]
pub(super) struct OutputBlock {
    /// The block's values of the first image.
    pub data: *mut f32,
    /// Values from one image to the next.
    pub image_stride: usize,
    /// What follows the sum.
    pub epilogue: Epilogue,
}

/// A convolution cut into units.
pub(super) struct Conv2d {
    pub geometry: Geometry,
    isa: Isa,
    filter: PackedFilter,
    /// One value an output channel.
    bias: Vec<f32>,
    /// Pieces that the pixels of each group are cut into.
    pieces: usize,
    /// Input blocks of a chunk.
    chunk_blocks: usize,
}

/// What a unit needs beside the convolution.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    /// First image's first value.
    pub input: *const f32,
    /// Values from one image to the next.
    pub input_stride: usize,
    /// Where filters lie that the convolution does not own.
    pub arena: *const f32,
    /// One an output block.
    pub outputs: &'a [OutputBlock],
    /// Images.
    pub images: usize,
}

impl Conv2d {
    /// Cuts the convolution of `batch` images for `threads`.
    pub fn new(
        isa: Isa,
        geometry: Geometry,
        filter: PackedFilter,
        bias: Vec<f32>,
        batch: usize,
        threads: usize,
    ) -> Self {
        let pixels = batch * geometry.p * geometry.q;
        let groups = filter.groups.len();
        let widest = filter.groups.iter().map(|g| g.blocks).max().unwrap_or(1);
        let block_bytes = geometry.taps() * geometry.c_block() * widest * size_of::<Line>();
        let least = pixels.div_ceil(UNIT_PIXELS).max(1);
        let most = (pixels / UNIT_PIXELS_LEAST).max(least);
        let even = (least..=most).find(|pieces| {
            let units = groups * pieces;
            units >= 8 * threads || (units >= 4 * threads && units.is_multiple_of(threads))
        });
        Conv2d {
            geometry,
            isa,
            filter,
            bias,
            pieces: even.unwrap_or(most),
            chunk_blocks: (CHUNK_BYTES / block_bytes).max(1),
        }
    }

    /// Number of units; they write disjoint outputs.
    pub fn units(&self) -> usize {
        self.filter.groups.len() * self.pieces
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `operands` describe the input and outputs of this convolution's geometry, valid for reads and writes; nobody
    /// else touches the outputs of this unit.
    pub unsafe fn run(&self, unit: usize, operands: Operands<'_>) {
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe { unit_of(self.isa, self, unit, operands) }
    }
}

dispatch!(fn unit_of = unit_body(conv: &Conv2d, unit: usize, operands: Operands<'_>));

#[inline(always)]
unsafe fn unit_body<S: Simd>(conv: &Conv2d, unit: usize, operands: Operands<'_>) {
    let g = &conv.geometry;
    let (group_index, piece) = (unit / conv.pieces, unit % conv.pieces);
    let group = conv.filter.groups[group_index];
    // SAFETY: the caller's contract.
    let lines = unsafe { conv.filter.group(group_index, operands.arena) };
    let tile = tile_pixels(conv.isa)[group.blocks - 1];
    let pixels = operands.images * g.p * g.q;
    let tiles = pixels.div_ceil(tile);
    let (begin, end) =
        (tiles * piece / conv.pieces * tile, (tiles * (piece + 1) / conv.pieces * tile).min(pixels));

    // With fewer images than planned some pieces have no pixels left.
    if begin >= end {
        return;
    }
    let c_blocks = g.c / g.c_block();
    for chunk in (0..c_blocks).step_by(conv.chunk_blocks) {
        let blocks = conv.chunk_blocks.min(c_blocks - chunk);
        let pass = Pass {
            conv,
            operands,
            group,
            // SAFETY: a group has that many lines for each input channel and tap.
            weights: unsafe { lines.add(chunk * g.taps() * g.c_block() * group.blocks * 16) },
            first_block: chunk,
            blocks,
            first: chunk == 0,
            last: chunk + blocks == c_blocks,
            // What follows in memory is the next chunk, or the next group's first.
            lines_ahead: (conv.chunk_blocks * group.blocks * g.c_block())
                .div_ceil((end - begin).div_ceil(tile) * blocks),
        };
        let mut cursor = Cursor::at(g, begin);
        for index in 0..(end - begin).div_ceil(tile) {
            let count = tile.min(end - begin - index * tile);
            // SAFETY: the caller's contract.
            unsafe { tile_of::<S>(&pass, &mut cursor, count, index) };
        }
    }
}

/// One chunk of input channels over one unit.
struct Pass<'a> {
    conv: &'a Conv2d,
    operands: Operands<'a>,
    group: Group,
    weights: *const f32,
    first_block: usize,
    blocks: usize,
    first: bool,
    last: bool,
    /// Lines of the next chunk's filters that each tile fetches ahead at each tap.
    lines_ahead: usize,
}

/// Picks the tile's compiled shape.
#[inline(always)]
unsafe fn tile_of<S: Simd>(pass: &Pass<'_>, cursor: &mut Cursor, count: usize, index: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        let widest = S::TILE_PIXELS.len();
        match (pass.conv.geometry.planar, pass.group.blocks, S::TILE_PIXELS[0]) {
            (false, 1, 2) => tile_body::<S, 1, 2, false>(pass, cursor, count, index),
            (true, 1, 2) => tile_body::<S, 1, 2, true>(pass, cursor, count, index),
            (false, 1, 6) => tile_body::<S, 1, 6, false>(pass, cursor, count, index),
            (true, 1, 6) => tile_body::<S, 1, 6, true>(pass, cursor, count, index),
            (true, 2, 12) if widest >= 2 => tile_body::<S, 2, 12, true>(pass, cursor, count, index),
            (false, 1, 12) if widest >= 2 => tile_body::<S, 1, 12, false>(pass, cursor, count, index),
            (false, 2, 12) if widest >= 2 => tile_body::<S, 2, 12, false>(pass, cursor, count, index),
            (false, 3, 12) if widest >= 3 => tile_body::<S, 3, 8, false>(pass, cursor, count, index),
            (false, 4, 12) if widest >= 4 => tile_body::<S, 4, 6, false>(pass, cursor, count, index),
            (false, 5, 12) if widest >= 5 => tile_body::<S, 5, 5, false>(pass, cursor, count, index),
            (_, blocks, _) => unreachable!("no tile of {blocks} blocks"),
        }
    }
}

/// Where one pixel of a tile reads and writes.
#[derive(Clone, Copy)]
struct Pixel {
    /// First row and column of its window; negative in the padding.
    h: isize,
    w: isize,
    image: usize,
    /// Index in the output map.
    to: usize,
}

/// `KB` output blocks of the next `NP` pixels, of which `count` are real; the others read zeros and are dropped. `index` is
/// the tile's number in its unit.
#[inline(always)]
unsafe fn tile_body<S: Simd, const KB: usize, const NP: usize, const PLANAR: bool>(
    pass: &Pass<'_>,
    cursor: &mut Cursor,
    count: usize,
    index: usize,
) {
    let g = &pass.conv.geometry;
    let pixels = cursor.take::<NP>(g, count);
    let (h, w) = (g.h as isize, g.w as isize);
    let hw = g.h * g.w;
    let (c_block, c_stride, pixel_stride) = if PLANAR { (3, hw, 1) } else { (16, 1, 16) };
    let zeros = ZEROS.0.as_ptr();

    // SAFETY: taps inside the map are inside the input, others read `ZEROS`; the caller's contract covers the rest.
    unsafe {
        let mut acc = [[S::zero(); NP]; KB];
        let mut weights = pass.weights;
        let lines = pass.blocks * g.taps() * c_block * KB;
        let mut ahead =
            pass.weights.wrapping_add((lines + index * pass.blocks * g.taps() * pass.lines_ahead) * 16);
        for block in pass.first_block..pass.first_block + pass.blocks {
            let block_base = pass.operands.input.add(block * hw * c_block);
            for r in 0..g.window.kernel.0 as isize {
                for s in 0..g.window.kernel.1 as isize {
                    let mut x = [zeros; NP];
                    let mut stride = [0; NP];
                    for j in 0..NP {
                        let (row, column) = (pixels[j].h + r, pixels[j].w + s);
                        if (0..h).contains(&row) & (0..w).contains(&column) {
                            let at = (row * w + column) as usize * pixel_stride;
                            x[j] = block_base.add(pixels[j].image * pass.operands.input_stride + at);
                            stride[j] = c_stride;
                        }
                    }
                    for _ in 0..pass.lines_ahead {
                        S::fetch(ahead);
                        ahead = ahead.wrapping_add(16);
                    }
                    if PLANAR {
                        for c in 0..3 {
                            let mut at = x;
                            for j in 0..NP {
                                at[j] = at[j].add(c * stride[j]);
                            }
                            step::<S, KB, NP>(&mut acc, weights.add(c * KB * 16), &at, 0);
                        }
                    } else {
                        for c in (0..16).step_by(4) {
                            step::<S, KB, NP>(&mut acc, weights.add(c * KB * 16), &x, c);
                            step::<S, KB, NP>(&mut acc, weights.add((c + 1) * KB * 16), &x, c + 1);
                            step::<S, KB, NP>(&mut acc, weights.add((c + 2) * KB * 16), &x, c + 2);
                            step::<S, KB, NP>(&mut acc, weights.add((c + 3) * KB * 16), &x, c + 3);
                        }
                    }
                    weights = weights.add(c_block * KB * 16);
                }
            }
        }
        // Through memory, once: indexing `acc` itself would keep all of it there.
        let mut sums = [[Line([0.0; 16]); NP]; KB];
        for k in 0..KB {
            for j in 0..NP {
                S::store(sums[k][j].0.as_mut_ptr(), acc[k][j]);
            }
        }
        store::<S, KB, NP>(pass, &pixels, count, &sums);
    }
}

/// Adds one input channel's products to the tile.
#[inline(always)]
unsafe fn step<S: Simd, const KB: usize, const NP: usize>(
    acc: &mut [[S::V; NP]; KB],
    weights: *const f32,
    x: &[*const f32; NP],
    c: usize,
) {
    // SAFETY: the caller's contract.
    unsafe {
        let mut filter = [S::zero(); KB];
        for (k, value) in filter.iter_mut().enumerate() {
            *value = S::load(weights.add(k * 16));
        }
        for j in 0..NP {
            let value = S::splat(x[j].add(c));
            for k in 0..KB {
                acc[k][j] = S::mul_add(value, filter[k], acc[k][j]);
            }
        }
    }
}

/// The next pixel of a unit, counted through rows and images.
struct Cursor {
    image: usize,
    /// Index in the output map; row and column among the pixels of the phase.
    to: usize,
    p: usize,
    q: usize,
}

impl Cursor {
    fn at(g: &Geometry, pixel: usize) -> Self {
        let map = g.p * g.q;
        let (p, q) = (pixel % map / g.q, pixel % g.q);
        Cursor { image: pixel / map, to: g.row(p) + q * g.phase.stride.1, p, q }
    }

    /// The next `count` pixels; those beyond lie outside the map.
    #[inline(always)]
    fn take<const NP: usize>(&mut self, g: &Geometry, count: usize) -> [Pixel; NP] {
        let mut pixels = [Pixel { h: isize::MIN / 2, w: 0, image: 0, to: 0 }; NP];
        for pixel in pixels.iter_mut().take(count) {
            *pixel = Pixel {
                h: (self.p * g.window.stride.0) as isize - g.window.padding.0 as isize,
                w: (self.q * g.window.stride.1) as isize - g.window.padding.1 as isize,
                image: self.image,
                to: self.to,
            };
            (self.to, self.q) = (self.to + g.phase.stride.1, self.q + 1);
            if self.q == g.q {
                (self.p, self.q) = (self.p + 1, 0);
                if self.p == g.p {
                    (self.image, self.p) = (self.image + 1, 0);
                }
                self.to = g.row(self.p);
            }
        }
        pixels
    }
}

/// Adds the tile to what earlier chunks left, and after the last one bias and ReLU.
#[inline(always)]
unsafe fn store<S: Simd, const KB: usize, const NP: usize>(
    pass: &Pass<'_>,
    pixels: &[Pixel; NP],
    count: usize,
    sums: &[[Line; NP]; KB],
) {
    for (k, sums) in sums.iter().enumerate() {
        let block = pass.group.first + k;
        // SAFETY: outputs hold every block of this convolution and every pixel below `count`: the caller's contract.
        unsafe {
            let output = *pass.operands.outputs.get_unchecked(block);
            let bias = S::load(pass.conv.bias.as_ptr().add(block * 16));
            for (sum, pixel) in sums.iter().zip(pixels).take(count) {
                let to = output.data.add(pixel.image * output.image_stride + pixel.to * 16);
                let mut value = S::load(sum.0.as_ptr());
                if !pass.first || output.epilogue == Epilogue::Accumulate {
                    value = S::add(value, S::load(to));
                }
                if pass.last && output.epilogue == Epilogue::BiasRelu {
                    value = S::max(S::zero(), S::add(value, bias));
                }
                S::store(to, value);
            }
        }
    }
}

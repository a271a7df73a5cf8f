//! conv2d_backward_weight: dW[k,c,r,s] = Σ_{n,p,q} dz[n,k,p,q] · x[n, c, p·stride_h − pad_h + r, q·stride_w − pad_w + s].
//!
//! x [N,C,H,W] and dz [N,K,P,Q] in blocks of 16 channels (x of the first convolution planar); dW [K,C,R,S], overwritten.
//!
//! By register tiles: up to three blocks of 16 output channels × eight input channels of one tap accumulate in registers over a
//! *segment*, some hundred output pixels of a rectangle that lie within one image, or of several whole images where maps are small. A
//! segment of dz stays in the first-level cache while all taps and input channels of the unit pass over it.
//!
//! A unit is some groups of output channels × some blocks of input channels × a run of taps, over all images, so that no unit needs
//! another's sums. It keeps its part of dW in 64-byte lines of 16 output channels on the stack and writes it out once.
//!
//! Order of each sum, whatever the units: pixels of a segment one after the other; segments one after the other; every
//! [`SEGMENTS`] segments that sum is added to the total. With m segments in all the rounding error of a sum of n terms of random sign is
//! about 2⁻²⁵·√((n/m + SEGMENTS + m/SEGMENTS)/2) of it instead of 2⁻²⁵·√(n/2).
//!
//! Source of the tiling: Georganas et al., arXiv 1808.05567, section II-J.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::conv2d::Geometry;
use super::elementwise::MapView;
use super::filter::{Group, Line};
use super::simd::{Isa, Simd, dispatch};

/// Pixels of a segment, about.
const SEGMENT_PIXELS: usize = 96;
/// Segments whose sums are added to each other before they are added to the total.
const SEGMENTS: usize = 32;
/// Lines of dW in a unit at most.
const UNIT_LINES: usize = 1536;

/// The gradient of a convolution's filters, cut into units.
pub(super) struct Conv2dBackwardWeight {
    isa: Isa,
    /// That of the convolution; a 1×1 window of stride 1 over rows of H·W pixels.
    geometry: Geometry,
    input: MapView,
    dz: MapView,
    /// Where the gradients of each 16 output channels begin in the arena.
    rows: Vec<usize>,
    /// Output blocks that a register tile holds together.
    groups: Vec<Group>,
    cut: Cut,
}

/// What one unit computes at most.
#[derive(Clone, Copy, Debug)]
struct Cut {
    groups: usize,
    c_blocks: usize,
    taps: usize,
}

impl Conv2dBackwardWeight {
    /// For `threads`, with `rows` the place in the arena of the gradients of each 16 output channels.
    pub fn new(
        isa: Isa,
        geometry: Geometry,
        input: MapView,
        dz: MapView,
        rows: Vec<usize>,
        threads: usize,
    ) -> Self {
        let widest = widest(isa);
        let count = rows.len().div_ceil(widest);
        let group = |g: usize| {
            let first = rows.len() * g / count;
            Group { first, blocks: rows.len() * (g + 1) / count - first }
        };
        let groups: Vec<Group> = (0..count).map(group).collect();
        let cut = Cut::new(&geometry, &groups, threads);
        Conv2dBackwardWeight { isa, geometry: flat(geometry), input, dz, rows, groups, cut }
    }

    /// Number of units; they write disjoint gradients.
    pub fn units(&self) -> usize {
        let (groups, c_blocks, taps) = self.parts();
        groups * c_blocks * taps
    }

    /// Parts that groups, blocks of input channels and taps are cut into.
    fn parts(&self) -> (usize, usize, usize) {
        let g = &self.geometry;
        let c_blocks = g.c / g.c_block();
        let taps = g.window.kernel.0 * g.window.kernel.1;
        let Cut { groups, c_blocks: blocks, taps: own } = self.cut;
        (self.groups.len().div_ceil(groups), c_blocks.div_ceil(blocks), taps.div_ceil(own))
    }

    /// Computes one unit for the first `images` images.
    ///
    /// # Safety
    /// `arena` holds x, dz and the gradients; nobody else touches this unit's gradients.
    pub unsafe fn run(&self, unit: usize, images: usize, arena: *mut f32) {
        let g = &self.geometry;
        let (_, c_parts, tap_parts) = self.parts();
        let (group, c_block, tap) =
            (unit / (c_parts * tap_parts), unit / tap_parts % c_parts, unit % tap_parts);
        let range = |part: usize, own: usize, all: usize| part * own..all.min((part + 1) * own);
        let part = Part {
            groups: range(group, self.cut.groups, self.groups.len()),
            c_blocks: range(c_block, self.cut.c_blocks, g.c / g.c_block()),
            taps: range(tap, self.cut.taps, g.window.kernel.0 * g.window.kernel.1),
        };
        // SAFETY: `isa` was available when this was made; the rest is the caller's contract.
        unsafe { part_of(self.isa, self, &part, images, arena) }
    }
}

/// Output blocks of a register tile at most.
fn widest(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => super::simd::Avx512::WEIGHT_TILE.0,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => super::simd::Avx2::WEIGHT_TILE.0,
        _ => super::simd::Portable::WEIGHT_TILE.0,
    }
}

/// `geometry` with one row where rows need not be told apart.
fn flat(geometry: Geometry) -> Geometry {
    let window = geometry.window;
    match window.kernel == (1, 1) && window.stride == (1, 1) && window.padding == (0, 0) {
        true => {
            let pixels = geometry.h * geometry.w;
            Geometry { h: 1, w: pixels, p: 1, q: pixels, output_w: pixels, ..geometry }
        }
        false => geometry,
    }
}

impl Cut {
    /// The cut that moves the fewest bytes a multiply-add, among those with enough units for `threads`; where there is none, the one
    /// with the most units.
    fn new(g: &Geometry, groups: &[Group], threads: usize) -> Self {
        let widest = groups.iter().map(|group| group.blocks).max().unwrap_or(1);
        let (c_blocks, kernel) = (g.c / g.c_block(), g.window.kernel);
        let mut best: Option<((usize, f64), Cut)> = None;
        for taps in [kernel.0 * kernel.1, kernel.1, 1] {
            for own in 1..=groups.len() {
                for blocks in 1..=c_blocks {
                    if own * widest * blocks * taps * g.c_block() > UNIT_LINES {
                        continue;
                    }
                    let units = groups.len().div_ceil(own)
                        * c_blocks.div_ceil(blocks)
                        * (kernel.0 * kernel.1).div_ceil(taps);
                    let lacking = (4 * threads).saturating_sub(units);
                    let moved = 1.0 / (blocks * taps) as f64 + 1.0 / (own * widest * taps) as f64;
                    if best.is_none_or(|(cost, _)| (lacking, moved) < cost) {
                        best = Some(((lacking, moved), Cut { groups: own, c_blocks: blocks, taps }));
                    }
                }
            }
        }
        best.map_or(Cut { groups: 1, c_blocks: 1, taps: 1 }, |(_, cut)| cut)
    }
}

/// One unit.
struct Part {
    groups: Range<usize>,
    c_blocks: Range<usize>,
    taps: Range<usize>,
}

/// Output pixels that are summed up in registers: the same rectangle of some images.
#[derive(Clone, Debug)]
struct Segment {
    images: Range<usize>,
    p: Range<usize>,
    q: Range<usize>,
}

/// All segments of `images` maps of `p` × `q` pixels, in order: each about [`SEGMENT_PIXELS`].
fn segments(images: usize, p: usize, q: usize) -> impl Iterator<Item = Segment> {
    let own = (SEGMENT_PIXELS / (p * q)).clamp(1, images.max(1));
    let columns = q.div_ceil(SEGMENT_PIXELS);
    let rows = (p * q).div_ceil(SEGMENT_PIXELS).div_ceil(columns).clamp(1, p);
    let cut = |all: usize, parts: usize, part: usize| all * part / parts..all * (part + 1) / parts;
    (0..images.div_ceil(own) * rows * columns).map(move |i| {
        let (image, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
        Segment {
            images: image * own..images.min((image + 1) * own),
            p: cut(p, rows, row),
            q: cut(q, columns, column),
        }
    })
}

/// Outputs along one axis, of `range`, for which tap `tap` lies inside an input of `size`.
fn inside(range: &Range<usize>, tap: usize, stride: usize, padding: usize, size: usize) -> Range<usize> {
    let first = padding.saturating_sub(tap).div_ceil(stride);
    let end = (size + padding).saturating_sub(tap).div_ceil(stride);
    range.start.max(first)..range.end.min(end)
}

dispatch!(fn part_of = part_body(
    conv: &Conv2dBackwardWeight,
    part: &Part,
    images: usize,
    arena: *mut f32,
));

#[inline(always)]
unsafe fn part_body<S: Simd>(conv: &Conv2dBackwardWeight, part: &Part, images: usize, arena: *mut f32) {
    let g = &conv.geometry;
    let lines = part.lines(conv, part.groups.end);
    let mut room = [const { MaybeUninit::<Line>::uninit() }; 2 * UNIT_LINES];
    let sums: *mut f32 = room.as_mut_ptr().cast();
    // SAFETY: a unit has at most UNIT_LINES lines; all that is read has been written.
    unsafe {
        let totals = sums.add(UNIT_LINES * 16);
        fill_zero::<S>(sums, lines);
        fill_zero::<S>(totals, lines);
        let mut waiting = 0;
        for segment in segments(images, g.p, g.q) {
            for group in part.groups.clone() {
                segment_body::<S>(conv, part, group, &segment, arena, sums);
            }
            waiting += 1;
            if waiting == SEGMENTS {
                add_to::<S>(totals, sums, lines);
                fill_zero::<S>(sums, lines);
                waiting = 0;
            }
        }
        add_to::<S>(totals, sums, lines);
        write_out(conv, part, totals.cast(), arena);
    }
}

impl Part {
    /// Lines of this unit's groups before `group`.
    fn lines(&self, conv: &Conv2dBackwardWeight, group: usize) -> usize {
        let blocks: usize = conv.groups[self.groups.start..group].iter().map(|g| g.blocks).sum();
        blocks * self.c_blocks.len() * self.taps.len() * conv.geometry.c_block()
    }
}

#[inline(always)]
unsafe fn fill_zero<S: Simd>(lines: *mut f32, count: usize) {
    for i in 0..count {
        // SAFETY: the caller's contract.
        unsafe { S::store(lines.add(i * 16), S::zero()) };
    }
}

#[inline(always)]
unsafe fn add_to<S: Simd>(totals: *mut f32, sums: *const f32, count: usize) {
    for i in (0..count).map(|line| line * 16) {
        // SAFETY: the caller's contract.
        unsafe { S::store(totals.add(i), S::add(S::load(totals.add(i)), S::load(sums.add(i)))) };
    }
}

/// Adds one segment's sums of one group to all lines of the unit.
#[inline(always)]
unsafe fn segment_body<S: Simd>(
    conv: &Conv2dBackwardWeight,
    part: &Part,
    group: usize,
    segment: &Segment,
    arena: *const f32,
    sums: *mut f32,
) {
    let g = &conv.geometry;
    let Group { first, blocks } = conv.groups[group];
    let (stride, padding) = (g.window.stride, g.window.padding);
    let (c_block, pixel) = if g.planar { (g.c, 1) } else { (16, 16) };
    let mut to = part.lines(conv, group);
    for c in part.c_blocks.clone() {
        for tap in part.taps.clone() {
            let (r, s) = (tap / g.window.kernel.1, tap % g.window.kernel.1);
            let p = inside(&segment.p, r, stride.0, padding.0, g.h);
            let q = inside(&segment.q, s, stride.1, padding.1, g.w);
            // SAFETY: the rectangle lies inside dz and, shifted by the tap, inside x.
            unsafe {
                if p.start < p.end && q.start < q.end {
                    let (h, w) = (p.start * stride.0 + r - padding.0, q.start * stride.1 + s - padding.1);
                    let image = segment.images.start;
                    let x = conv.input.offset + image * conv.input.image_stride + c * c_block * g.h * g.w;
                    let sweep = Sweep {
                        dz: arena.add(conv.dz.block(image, first) + (p.start * g.q + q.start) * 16),
                        dz_block: g.p * g.q * 16,
                        dz_row: g.q * 16,
                        dz_image: conv.dz.image_stride,
                        x: arena.add(x + (h * g.w + w) * pixel),
                        x_pixel: stride.1 * pixel,
                        x_row: stride.0 * g.w * pixel,
                        x_image: conv.input.image_stride,
                        x_channel: if g.planar { g.h * g.w } else { 1 },
                        x_ahead: c_block * g.h * g.w,
                        images: segment.images.len(),
                        rows: p.len(),
                        columns: q.len(),
                    };
                    sweep.blocks::<S>(blocks, g.planar, sums.add(to * 16));
                }
            }
            to += blocks * c_block;
        }
    }
}

/// A rectangle of pixels of dz and the pixels of x that one tap pairs them with; offsets in values.
struct Sweep {
    dz: *const f32,
    dz_block: usize,
    dz_row: usize,
    dz_image: usize,
    x: *const f32,
    x_pixel: usize,
    x_row: usize,
    x_image: usize,
    x_channel: usize,
    /// From one block of channels to the next, which is fetched ahead.
    x_ahead: usize,
    images: usize,
    rows: usize,
    columns: usize,
}

impl Sweep {
    /// All channels of one block of x, by the tile's compiled shape.
    #[inline(always)]
    unsafe fn blocks<S: Simd>(&self, blocks: usize, planar: bool, sums: *mut f32) {
        // SAFETY: the caller's contract.
        unsafe {
            match (planar, blocks, S::WEIGHT_TILE) {
                (true, 1, _) => self.tile::<S, 1, 3, true>(0, sums),
                (true, 2, (3, 8)) => self.tile::<S, 2, 3, true>(0, sums),
                (true, 3, (3, 8)) => self.tile::<S, 3, 3, true>(0, sums),
                (false, 1, (1, 2)) => self.tiles::<S, 1, 2>(sums),
                (false, 1, (1, 4)) => self.tiles::<S, 1, 4>(sums),
                (false, 1, (3, 8)) => self.tiles::<S, 1, 8>(sums),
                (false, 2, (3, 8)) => self.tiles::<S, 2, 8>(sums),
                (false, 3, (3, 8)) => self.tiles::<S, 3, 8>(sums),
                (_, blocks, _) => unreachable!("no tile of {blocks} blocks"),
            }
        }
    }

    #[inline(always)]
    unsafe fn tiles<S: Simd, const KB: usize, const NC: usize>(&self, sums: *mut f32) {
        for first in (0..16).step_by(NC) {
            // SAFETY: the caller's contract.
            unsafe { self.tile::<S, KB, NC, false>(first, sums.add(first * KB * 16)) };
        }
    }

    /// `KB` blocks of dz × `NC` channels of x from `first` on; the sums of a channel are lines one behind the other.
    #[inline(always)]
    unsafe fn tile<S: Simd, const KB: usize, const NC: usize, const PLANAR: bool>(
        &self,
        first: usize,
        sums: *mut f32,
    ) {
        let channel = if PLANAR { self.x_channel } else { 1 };
        // SAFETY: the caller's contract.
        unsafe {
            let mut acc = [[S::zero(); KB]; NC];
            for image in 0..self.images {
                for row in 0..self.rows {
                    let mut dz = self.dz.add(image * self.dz_image + row * self.dz_row);
                    let mut x = self.x.add(image * self.x_image + row * self.x_row + first * channel);
                    for _ in 0..self.columns {
                        S::fetch(x.wrapping_add(self.x_ahead));
                        let mut d = [S::zero(); KB];
                        for (k, d) in d.iter_mut().enumerate() {
                            *d = S::load(dz.add(k * self.dz_block));
                        }
                        for (c, acc) in acc.iter_mut().enumerate() {
                            let value = S::splat(x.add(c * channel));
                            for k in 0..KB {
                                acc[k] = S::mul_add(value, d[k], acc[k]);
                            }
                        }
                        dz = dz.wrapping_add(16);
                        x = x.wrapping_add(self.x_pixel);
                    }
                }
            }
            for (c, acc) in acc.iter().enumerate() {
                for (k, acc) in acc.iter().enumerate() {
                    let to = sums.add((c * KB + k) * 16);
                    S::store(to, S::add(S::load(to), *acc));
                }
            }
        }
    }
}

/// Writes a unit's lines to their places in [K,C,R,S].
#[inline(always)]
unsafe fn write_out(conv: &Conv2dBackwardWeight, part: &Part, lines: *const Line, arena: *mut f32) {
    let g = &conv.geometry;
    let (c_block, all_taps) = (g.c_block(), g.window.kernel.0 * g.window.kernel.1);
    for group in part.groups.clone() {
        let Group { first, blocks } = conv.groups[group];
        let begin = part.lines(conv, group);
        for (block, lane) in (0..blocks).flat_map(|block| (0..16).map(move |lane| (block, lane))) {
            let row = conv.rows[first + block] + lane * g.c * all_taps;
            for c in 0..part.c_blocks.len() * c_block {
                let (own, channel) = (c / c_block, c % c_block);
                let to = row + (part.c_blocks.start * c_block + c) * all_taps + part.taps.start;
                for tap in 0..part.taps.len() {
                    let line = ((own * part.taps.len() + tap) * c_block + channel) * blocks + block;
                    // SAFETY: the caller's contract.
                    unsafe { *arena.add(to + tap) = (*lines.add(begin + line)).0[lane] };
                }
            }
        }
    }
}

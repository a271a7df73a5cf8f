//! Filters as the convolution reads them: `[group][C/16][R·S][16 c][blocks][16 k]`, batch norm's scale multiplied in where they do not
//! learn. Those that learn lie in the arena, where [`super::pack_filters`] puts them.
//!
//! A group is a run of 16-channel output blocks that one register tile computes together.

use super::simd::{Isa, Simd};

/// Sixteen float32 of one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub [f32; 16]);

/// A run of output blocks computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// First 16-channel block.
    pub first: usize,
    /// Number of blocks.
    pub blocks: usize,
}

/// Pixels up to which three blocks beside eight pixels read the filters best: the 8×8 maps.
const SMALL_MAP: usize = 64;

/// Cuts `blocks` output blocks over `pixels` into as few groups of nearly equal size as the instruction set's registers
/// allow.
pub(super) fn groups(isa: Isa, blocks: usize, pixels: usize) -> Vec<Group> {
    let widest = tile_pixels(isa).len();
    let most = if pixels <= SMALL_MAP { widest.min(3) } else { widest };
    let count = blocks.div_ceil(most);
    (0..count)
        .map(|g| {
            let first = blocks * g / count;
            Group { first, blocks: blocks * (g + 1) / count - first }
        })
        .collect()
}

/// Pixels of a tile by number of blocks beside, 1 and up.
pub(super) fn tile_pixels(isa: Isa) -> &'static [usize] {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => super::simd::Avx512::TILE_PIXELS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => super::simd::Avx2::TILE_PIXELS,
        _ => super::simd::Portable::TILE_PIXELS,
    }
}

/// The filters of one convolution, of one layer or of merged siblings.
pub(super) struct PackedFilter {
    /// What is computed together.
    pub groups: Vec<Group>,
    lines: Lines,
    /// Lines of one output block: C·R·S.
    block_lines: usize,
}

/// Where packed filters are.
enum Lines {
    Own(Vec<Line>),
    /// From this value of the arena on.
    Arena(usize),
}

/// One output channel before packing: C·R·S values and the factor they are multiplied with.
pub(super) struct FilterRow<'a> {
    /// Values, S fastest.
    pub values: &'a [f32],
    /// Batch norm's scale, or 1.
    pub scale: f64,
}

impl PackedFilter {
    /// Packs `rows`, one an output channel, a multiple of 16, over `c` input channels in blocks of `c_block` and `taps`
    /// = R·S, for maps of `pixels` an image: the batch must not change the order of a sum.
    pub fn pack(
        isa: Isa,
        rows: &[FilterRow<'_>],
        c: usize,
        c_block: usize,
        taps: usize,
        pixels: usize,
    ) -> Self {
        let groups = groups(isa, rows.len() / 16, pixels);
        let block_lines = c * taps;
        let mut lines = vec![Line([0.0; 16]); rows.len() / 16 * block_lines];
        for group in &groups {
            let out = &mut lines[group.first * block_lines..(group.first + group.blocks) * block_lines];
            for (k, row) in rows[group.first * 16..(group.first + group.blocks) * 16].iter().enumerate() {
                let (block, lane) = (k / 16, k % 16);
                for (i, &value) in row.values.iter().enumerate() {
                    let (channel, tap) = (i / taps, i % taps);
                    let (cb, ci) = (channel / c_block, channel % c_block);
                    let line = ((cb * taps + tap) * c_block + ci) * group.blocks + block;
                    out[line].0[lane] = (f64::from(value) * row.scale) as f32;
                }
            }
        }
        PackedFilter { groups, lines: Lines::Own(lines), block_lines }
    }

    /// Filters of `k` output channels and `terms` = C·R·S that lie in the arena from value `offset` on; `pixels` as for
    /// [`PackedFilter::pack`].
    pub fn learned(isa: Isa, k: usize, terms: usize, pixels: usize, offset: usize) -> Self {
        let groups = groups(isa, k / 16, pixels);
        PackedFilter { groups, lines: Lines::Arena(offset), block_lines: terms }
    }

    /// The first line of `group`.
    ///
    /// # Safety
    /// `arena` holds the filters where these do not hold them themselves.
    pub unsafe fn group(&self, group: usize, arena: *const f32) -> *const f32 {
        let first = self.groups[group].first * self.block_lines;
        match &self.lines {
            Lines::Own(lines) => lines[first..].as_ptr().cast(),
            // SAFETY: the caller's contract.
            Lines::Arena(offset) => unsafe { arena.add(offset + first * 16) },
        }
    }
}

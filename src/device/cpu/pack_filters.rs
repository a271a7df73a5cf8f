//! pack_filters: filters that learn, from the parameters [K,C,R,S] into the order of [`super::filter`]. What a data gradient reads is
//! the transpose, the taps of its phase the other way round: [`LearnedFilters::parameter`] says where each value lies.
//!
//! A unit is some blocks of input channels of one group of one convolution; it moves pieces that are contiguous on both sides through
//! tiles of 16 × 16.

use super::filter::{Group, Line};
use crate::program::{Conv2d, LearnedFilters};

/// Bytes of a unit, about.
const UNIT_BYTES: usize = 128 << 10;

/// One packing step: all its convolutions.
pub(super) struct PackFilters {
    /// First of all parameters, in the arena.
    parameters: usize,
    convs: Vec<Packed>,
    /// First unit of each convolution, and the number of all.
    first_units: Vec<usize>,
}

/// The filters of one convolution.
pub(super) struct Packed {
    groups: Vec<Group>,
    /// Input channels of a block, and number of blocks.
    c_block: usize,
    c_blocks: usize,
    taps: usize,
    /// Blocks of input channels of a unit.
    run: usize,
    /// Where the packed filters begin in the arena.
    to: usize,
    source: Source,
}

/// Where a convolution's filters lie among the parameters.
enum Source {
    /// The first filter of each 16 output channels; a filter's C·R·S values are contiguous.
    Forward { rows: Vec<usize> },
    /// Of each 16 input channels, which are the forward convolution's output channels, the first one's filter; values of one such
    /// filter, and of one of its channels; where in the latter each tap is.
    Transposed { rows: Vec<usize>, row_values: usize, channel_values: usize, taps: Vec<usize> },
}

impl Packed {
    /// Those of `conv`, packed by `groups` and blocks of `c_block` input channels to value `to` of the arena.
    pub fn new(
        conv: &Conv2d,
        learned: &LearnedFilters,
        groups: Vec<Group>,
        c_block: usize,
        to: usize,
    ) -> Self {
        let (k, c, (r, s)) = (conv.output_channels(), conv.input.channels, conv.window.kernel);
        let source = match &learned.transposed {
            None => {
                let rows = (0..k / 16).map(|block| learned.parameter(conv, 16 * block, 0, 0, 0));
                Source::Forward { rows: rows.collect() }
            }
            Some(transposed) => {
                let channel_values = transposed.window.kernel.0 * transposed.window.kernel.1;
                let first = learned.layers[0].first;
                let tap = |tap: usize| learned.parameter(conv, 0, 0, tap / s, tap % s) - first;
                let taps: Vec<usize> = (0..r * s).map(tap).collect();
                let row = |block: usize| learned.parameter(conv, 0, 16 * block, 0, 0) - taps[0];
                let rows = (0..c / 16).map(row).collect();
                Source::Transposed { rows, row_values: k * channel_values, channel_values, taps }
            }
        };
        let widest = groups.iter().map(|group| group.blocks).max().unwrap_or(1);
        let run = (UNIT_BYTES / (widest * c_block * r * s * size_of::<Line>())).clamp(1, c / c_block);
        Packed { groups, c_block, c_blocks: c / c_block, taps: r * s, run, to, source }
    }

    fn units(&self) -> usize {
        self.groups.len() * self.c_blocks.div_ceil(self.run)
    }

    /// # Safety
    /// As [`PackFilters::run`].
    unsafe fn unit(&self, unit: usize, parameters: *const f32, arena: *mut f32) {
        let runs = self.c_blocks.div_ceil(self.run);
        let (group, first) = (self.groups[unit / runs], unit % runs * self.run);
        let c_blocks = first..self.c_blocks.min(first + self.run);
        let block_lines = self.c_block * self.taps;
        let begin = (group.first * self.c_blocks + first * group.blocks) * block_lines;
        // SAFETY: the caller's contract; all lines of this group and these blocks of input channels lie behind each other.
        unsafe {
            let to = arena.add(self.to + begin * 16).cast::<Line>();
            let lines = std::slice::from_raw_parts_mut(to, c_blocks.len() * group.blocks * block_lines);
            for block in 0..group.blocks {
                for c_block in c_blocks.clone() {
                    let own = &mut lines[(c_block - first) * group.blocks * block_lines + block..];
                    self.block(parameters, group.first + block, c_block, own, group.blocks);
                }
            }
        }
    }

    /// Fills every `stride`-th of `lines` with 16 output channels' values over one block of input channels.
    ///
    /// # Safety
    /// As [`PackFilters::run`].
    unsafe fn block(
        &self,
        parameters: *const f32,
        block: usize,
        c_block: usize,
        lines: &mut [Line],
        stride: usize,
    ) {
        match &self.source {
            Source::Forward { rows } => {
                let (own, row) = (self.c_block * self.taps, self.c_block * self.c_blocks * self.taps);
                // SAFETY: the caller's contract.
                let filter = |lane: usize| unsafe {
                    let first = parameters.add(rows[block] + lane * row + c_block * own);
                    std::slice::from_raw_parts(first, own)
                };
                let filters: [&[f32]; 16] = std::array::from_fn(filter);
                let (mut channel, mut tap) = (0, 0);
                for first in (0..own).step_by(16) {
                    let count = 16.min(own - first);
                    let tile = filters.map(|filter| tile_row(&filter[first..first + count]));
                    for i in 0..count {
                        let line = &mut lines[(tap * self.c_block + channel) * stride].0;
                        line.iter_mut().zip(&tile).for_each(|(to, row)| *to = row[i]);
                        tap += 1;
                        if tap == self.taps {
                            (channel, tap) = (channel + 1, 0);
                        }
                    }
                }
            }
            Source::Transposed { rows, row_values, channel_values, taps } => {
                for channel in 0..16 {
                    let at = rows[c_block] + channel * row_values + block * 16 * channel_values;
                    // SAFETY: the caller's contract.
                    let filter =
                        unsafe { std::slice::from_raw_parts(parameters.add(at), 16 * channel_values) };
                    for (tap, from) in taps.iter().enumerate() {
                        let line = &mut lines[(tap * 16 + channel) * stride].0;
                        for (to, values) in line.iter_mut().zip(filter.chunks_exact(*channel_values)) {
                            *to = values[*from];
                        }
                    }
                }
            }
        }
    }
}

/// Up to sixteen values, then zeros.
#[inline(always)]
fn tile_row(values: &[f32]) -> [f32; 16] {
    if let Ok(row) = values.try_into() {
        return row;
    }
    let mut row = [0.0; 16];
    row[..values.len()].copy_from_slice(values);
    row
}

impl PackFilters {
    /// Of `convs`, from the parameters that begin at value `parameters` of the arena.
    pub fn new(parameters: usize, convs: impl Iterator<Item = Packed>) -> Self {
        let convs: Vec<Packed> = convs.collect();
        let mut first_units = vec![0];
        let mut end = 0;
        for conv in &convs {
            end += conv.units();
            first_units.push(end);
        }
        PackFilters { parameters, convs, first_units }
    }

    /// Number of units; they write disjoint lines.
    pub fn units(&self) -> usize {
        self.first_units[self.convs.len()]
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds the parameters and, aligned to 64 bytes, the packed filters; nobody else touches this unit's part of them.
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        let conv = self.first_units.partition_point(|first| *first <= unit) - 1;
        // SAFETY: the caller's contract.
        unsafe {
            let parameters = arena.add(self.parameters).cast_const();
            self.convs[conv].unit(unit - self.first_units[conv], parameters, arena);
        }
    }
}

//! Launches of `kernels/pack_filters.cu`, and the table that it reads.

use super::conv2d::{column_pairs, whole};
use super::launch::{Kernel, Launch};
use super::parameters::{Parameters, constant};
use crate::program::{Conv2d, Filters, Packing, Program, STEP_TERMS, Tile, Tiling, Transposed, View};

pub(super) const PACK_FILTERS: Kernel =
    Kernel { module: "pack_filters", name: "pack_filters_f32", threads: 256 };

/// Convolutions and layers of each at most.
const MAX_PACKED: usize = 128;
const MAX_LAYERS: usize = 4;

/// 32-bit words of a row of the table.
const WORDS: usize = 16 + 2 * MAX_LAYERS;

/// Output channels that a block takes.
const BLOCK_CHANNELS: usize = 32;

/// Values of the runs that pass through shared memory: nine taps of an octet of channels.
const MOST_TAPS: usize = 9;

/// Whether the kernel can pack the filters of `convs`.
pub(super) fn fits(convs: &[Packing]) -> bool {
    let conv = |packing: &Packing| {
        let layers = match &packing.conv.filters {
            Filters::Learned(learned) => learned.layers.len(),
            _ => 0,
        };
        packing.cut.is_some() && (1..=MAX_LAYERS).contains(&layers)
    };
    convs.len() <= MAX_PACKED && convs.iter().all(conv)
}

/// One convolution of the table.
struct Row<'a> {
    conv: &'a Conv2d,
    tile: Tile,
    tiling: Tiling,
    pairs: bool,
}

impl Row<'_> {
    /// Octets of input channels, and taps, as the sum counts them.
    fn octets_and_taps(&self) -> (usize, usize) {
        let (r, s) = self.conv.window.kernel;
        match self.pairs {
            true => (1, r * s.div_ceil(2)),
            false => (self.conv.input.channels / STEP_TERMS, r * s),
        }
    }

    /// The window as the parameters have it, the first tap, and from one tap of a column and of a row to the next.
    fn source(&self) -> ((usize, usize), [isize; 3]) {
        let transposed = match &self.conv.filters {
            Filters::Learned(learned) => learned.transposed,
            _ => None,
        };
        match transposed {
            None => (self.conv.window.kernel, [0, self.conv.window.kernel.1 as isize, 1]),
            Some(Transposed { window, first_tap }) => {
                let ((_, s), (down, right)) = (window.kernel, window.stride);
                let (r, s, own) = (down * s, right, self.conv.window.kernel);
                // The packed tap (0, 0) is the last of its phase.
                let first = (first_tap.0 * window.kernel.1 + first_tap.1) + r * (own.0 - 1) + s * (own.1 - 1);
                (window.kernel, [first as isize, -(r as isize), -(s as isize)])
            }
        }
    }

    fn steps(&self) -> usize {
        self.tiling.slices * self.tile.groups * self.tiling.steps
    }

    /// Octets of channels that a block takes, as a power of two: as many as pass through shared memory together.
    fn octets_log(&self) -> usize {
        let ((r, s), _) = self.source();
        (MOST_TAPS / (r * s)).max(1).ilog2() as usize
    }

    /// Blocks for 32 output channels: one more where steps only fill up.
    fn chunks(&self) -> usize {
        let (octets, taps) = self.octets_and_taps();
        // A block behind the last octet begins there or later.
        octets.div_ceil(1 << self.octets_log()) + usize::from(self.steps() > octets * taps)
    }

    fn blocks(&self) -> usize {
        let channels = self.conv.output_channels().next_multiple_of(self.tile.channels);
        channels / BLOCK_CHANNELS * self.chunks()
    }

    fn words(&self, first_block: usize) -> [i32; WORDS] {
        let ((octets, taps), ((r, s), [first, down, right])) = (self.octets_and_taps(), self.source());
        let Filters::Learned(learned) = &self.conv.filters else { return [0; WORDS] };
        let (k, c) = (self.conv.output_channels(), self.conv.input.channels);
        let (order, source_c) = match (self.pairs, learned.transposed.is_some()) {
            (true, _) => (2, c),
            (false, true) => (1, k),
            (false, false) => (0, c),
        };
        let own_s = if self.pairs { s.div_ceil(2) } else { self.conv.window.kernel.1 };
        let numbers = [
            [first_block, k, octets, taps, own_s, self.tile.channels, self.steps(), self.octets_log()],
            [self.chunks(), order, r * s, source_c, s, 0, 0, 0],
        ];
        let mut words = [0; WORDS];
        words.iter_mut().zip(numbers.concat()).for_each(|(word, number)| *word = number as i32);
        words[13..16].copy_from_slice(&[first, down, right].map(|number| number as i32));
        let mut end = 0;
        for (i, layer) in words[16..].chunks_exact_mut(2).enumerate() {
            // Behind the last layer there is nothing.
            let own = learned.layers.get(i).or(learned.layers.last());
            let Some(own) = own.filter(|_| i < learned.layers.len()) else {
                layer[0] = i32::MAX;
                continue;
            };
            let first = own.first as isize - (end * source_c * r * s) as isize;
            end += own.channels;
            layer.copy_from_slice(&[end as i32, first as i32]);
        }
        words
    }
}

fn rows<'a>(program: &Program, convs: &'a [Packing]) -> Vec<Row<'a>> {
    let row = |packing: &'a Packing| {
        let (tile, tiling) = packing.cut?;
        Some(Row { conv: &packing.conv, tile, tiling, pairs: column_pairs(program, &packing.conv) })
    };
    convs.iter().filter_map(row).collect()
}

/// The table, as bits.
pub(super) fn constants(program: &Program, convs: &[Packing]) -> Vec<f32> {
    let mut blocks = 0;
    let words = rows(program, convs).into_iter().flat_map(|row| {
        let first = blocks;
        blocks += row.blocks();
        row.words(first)
    });
    words.map(|word| f32::from_bits(word as u32)).collect()
}

/// All of `convs`.
pub(super) fn launch(program: &Program, parameters: View, convs: &[Packing], constants: usize) -> Launch {
    let rows = rows(program, convs);
    let blocks = rows.iter().map(Row::blocks).sum();
    let packed = rows.iter().map(|row| match &row.conv.filters {
        Filters::Learned(learned) => Some(whole(program, learned.packed)),
        _ => None,
    });
    let packed = packed.chain(std::iter::repeat(None)).take(MAX_PACKED);
    let begin = Parameters::default()
        .pointer(whole(program, parameters))
        .pointer(constant(constants, rows.len() * WORDS))
        .ints([rows.len(), 0]);
    packed.fold(begin, Parameters::pointer).launch(PACK_FILTERS, [blocks, 1, 1])
}

//! Convolutions bound to their places in the arena: forward and data gradients, the packing of filters that learn, their gradient.

use super::conv2d::{Conv2d, Geometry};
use super::conv2d_backward_weight::Conv2dBackwardWeight;
use super::filter::{FilterRow, PackedFilter};
use super::map_view;
use super::pack_filters::{PackFilters, Packed};
use super::task::{Binder, Place, Task};
use crate::error::Result;
use crate::program::{self, Filters, Layout, Packing, View};

impl Binder<'_> {
    pub(super) fn bind_conv2d(&self, conv: &program::Conv2d) -> Result<Task> {
        let geometry = self.geometry(conv);
        let mut outputs = Vec::new();
        for part in &conv.parts {
            let to = map_view(self.program, part.output);
            outputs.extend((0..part.output.channels / 16).map(|block| Place {
                offset: to.block(0, block),
                image_stride: to.image_stride,
                epilogue: part.epilogue,
            }));
        }
        let (filter, bias) = match &conv.filters {
            Filters::Learned(learned) => {
                let k = conv.output_channels();
                (self.learned(conv, learned.packed), vec![0.0; k])
            }
            _ => self.pack(conv, &geometry)?,
        };
        let batch = self.program.options.batch;
        let input = map_view(self.program, conv.input);
        let conv = Conv2d::new(self.isa, geometry, filter, bias, batch, self.threads);
        Ok(Task::Conv2d { conv, input, outputs })
    }

    pub(super) fn bind_pack_filters(&self, parameters: View, convs: &[Packing]) -> Task {
        let packed = convs.iter().filter_map(|Packing { conv, .. }| {
            let Filters::Learned(learned) = &conv.filters else { return None };
            let groups = self.learned(conv, learned.packed).groups;
            let to = map_view(self.program, learned.packed).offset;
            Some(Packed::new(conv, learned, groups, self.geometry(conv).c_block(), to))
        });
        Task::PackFilters(PackFilters::new(map_view(self.program, parameters).offset, packed))
    }

    pub(super) fn bind_conv2d_backward_weight(
        &self,
        conv: &program::Conv2d,
        dz: View,
        gradients: &[View],
    ) -> Task {
        let geometry = self.geometry(conv);
        let values = conv.terms();
        let blocks = |view: &View| {
            let first = map_view(self.program, *view).offset;
            (0..view.channels / (16 * values)).map(move |block| first + block * 16 * values)
        };
        let rows = gradients.iter().flat_map(blocks).collect();
        let (input, dz) = (map_view(self.program, conv.input), map_view(self.program, dz));
        Task::Conv2dBackwardWeight(Conv2dBackwardWeight::new(
            self.isa,
            geometry,
            input,
            dz,
            rows,
            self.threads,
        ))
    }

    fn geometry(&self, conv: &program::Conv2d) -> Geometry {
        let input = map_view(self.program, conv.input);
        let (p, q) = conv.output_size(self.program);
        Geometry {
            c: input.c,
            h: input.h,
            w: input.w,
            window: conv.window,
            p,
            q,
            phase: conv.phase,
            output_w: map_view(self.program, conv.parts[0].output).w,
            planar: self.program.buffers[conv.input.buffer].layout == Layout::Nchw,
        }
    }

    /// The filters of `conv` that a packing step puts to `packed`.
    fn learned(&self, conv: &program::Conv2d, packed: View) -> PackedFilter {
        let (p, q) = conv.output_size(self.program);
        let offset = map_view(self.program, packed).offset;
        PackedFilter::learned(self.isa, conv.output_channels(), conv.terms(), p * q, offset)
    }

    /// Filters from the weights, and their biases.
    fn pack(&self, conv: &program::Conv2d, geometry: &Geometry) -> Result<(PackedFilter, Vec<f32>)> {
        let parts = conv.fixed_filters(self.weights)?;
        let (c, taps) = (geometry.c, conv.window.kernel.0 * conv.window.kernel.1);
        let rows = parts.iter().flat_map(|(values, folded)| {
            let filters = values.chunks_exact(c * taps).zip(&folded.scale);
            filters.map(|(values, &scale)| FilterRow { values, scale })
        });
        let rows: Vec<FilterRow<'_>> = rows.collect();
        let pixels = geometry.p * geometry.q;
        let bias = parts.iter().flat_map(|(_, folded)| folded.bias.iter().copied()).collect();
        Ok((PackedFilter::pack(self.isa, &rows, c, geometry.c_block(), taps, pixels), bias))
    }
}

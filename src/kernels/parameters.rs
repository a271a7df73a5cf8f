//! The struct that a kernel takes, written field by field in C's layout.

use super::launch::{Kernel, Launch, Pointer, Region, Relocation};
use crate::network::MapShape;
use crate::program::{Layout, Program, View};

/// A struct in the making: fields in order, each at a multiple of its size.
#[derive(Default)]
pub(super) struct Parameters {
    bytes: Vec<u8>,
    pointers: Vec<Relocation>,
}

impl Parameters {
    /// Appends an `int`. Values were checked to fit when the program was bound.
    pub fn int(mut self, value: usize) -> Self {
        self.bytes.extend((value as i32).to_le_bytes());
        self
    }

    /// Appends several `int`s.
    pub fn ints(self, values: impl IntoIterator<Item = usize>) -> Self {
        values.into_iter().fold(self, Parameters::int)
    }

    /// Appends several `float`s.
    pub fn floats(mut self, values: impl IntoIterator<Item = f32>) -> Self {
        values.into_iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
        self
    }

    /// Appends several `double`s.
    pub fn doubles(mut self, values: impl IntoIterator<Item = f64>) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        values.into_iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
        self
    }

    /// Appends a pointer; null for `None`.
    pub fn pointer(mut self, pointer: impl Into<Option<Pointer>>) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len();
        self.pointers.extend(pointer.into().map(|pointer| Relocation { at, pointer }));
        self.bytes.extend([0; 8]);
        self
    }

    /// Appends a `MapView` of common.cuh.
    pub fn map(self, map: &MapView) -> Self {
        self.pointer(map.pointer()).ints([map.image_stride, map.shape.c / 4, map.shape.h, map.shape.w])
    }

    /// Fills up with zeros until the struct has `bytes`.
    pub fn pad_to(mut self, bytes: usize) -> Self {
        self.bytes.resize(bytes, 0);
        self
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The launch of `kernel` with these parameters.
    pub fn launch(mut self, kernel: Kernel, grid: [usize; 3]) -> Launch {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let grid = grid.map(|blocks| u32::try_from(blocks).unwrap_or(u32::MAX));
        Launch { kernel, grid, parameters: self.bytes, pointers: self.pointers }
    }
}

/// A view of a program's arena.
#[derive(Clone, Copy)]
pub(super) struct MapView {
    region: Region,
    offset_bytes: usize,
    bytes: usize,
    /// Quads from one image to the next.
    pub image_stride: usize,
    /// One image's part.
    pub shape: MapShape,
    pub images: usize,
}

impl MapView {
    pub fn new(program: &Program, view: View, images: usize) -> Self {
        let buffer = &program.buffers[view.buffer];
        let shape = program.shape(view);
        let image = buffer.layout.values(buffer.shape);
        let (first, own) = match buffer.layout {
            Layout::ColumnPairs => (0, image),
            _ => (view.channel * shape.h * shape.w, shape.elements()),
        };
        let bytes = |values: usize| values * size_of::<f32>();
        let region = if view.buffer == program.input.buffer { Region::Input } else { Region::Arena };
        MapView {
            region,
            offset_bytes: buffer.offset_bytes + bytes(first),
            bytes: bytes((images - 1) * image + own),
            image_stride: image / 4,
            shape,
            images,
        }
    }

    /// All that the view touches.
    pub fn pointer(&self) -> Pointer {
        Pointer { region: self.region, offset_bytes: self.offset_bytes, bytes: self.bytes }
    }
}

/// `values` constants from byte `offset_bytes` on.
pub(super) fn constant(offset_bytes: usize, values: usize) -> Pointer {
    Pointer { region: Region::Constants, offset_bytes, bytes: values * size_of::<f32>() }
}

/// One thread for each of `items` of each image, 256 a block.
pub(super) fn grid(items: usize, images: usize) -> [usize; 3] {
    [items.div_ceil(256), images, 1]
}

//! Maps in the arena, and the operations on single values that the unfused program consists of: batch norm
//! y = s·x + b, ReLU y = max(x, 0), concat (a copy). One unit is one 16-channel block of one image.

/// A channel range of a buffer in the arena; offsets in values.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapView {
    /// First value of the first image's first channel.
    pub offset: usize,
    /// Values from one image to the next.
    pub image_stride: usize,
    /// Channels, height, width.
    pub c: usize,
    pub h: usize,
    pub w: usize,
}

impl MapView {
    /// Blocks of 16 channels.
    pub fn blocks(&self) -> usize {
        self.c.div_ceil(16)
    }

    /// First value of a block of an image.
    pub fn block(&self, image: usize, block: usize) -> usize {
        self.offset + image * self.image_stride + block * 16 * self.h * self.w
    }
}

/// What is done to each value.
pub(super) enum Function {
    /// s·x + b, each one value a channel.
    BatchNorm {
        scale: Vec<f64>,
        bias: Vec<f32>,
    },
    Relu,
    Copy,
}

/// A function of each value of a map.
pub(super) struct Elementwise {
    pub function: Function,
    pub input: MapView,
    pub output: MapView,
}

impl Elementwise {
    /// Units for `images`.
    pub fn units(&self, images: usize) -> usize {
        images * self.input.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// `arena` holds both views, which do not overlap; nobody else touches this unit's output.
    pub unsafe fn run(&self, unit: usize, arena: *mut f32) {
        let (image, block) = (unit / self.input.blocks(), unit % self.input.blocks());
        let values = self.input.h * self.input.w * 16;
        // SAFETY: the caller's contract.
        let (x, y) = unsafe {
            let x = std::slice::from_raw_parts(arena.add(self.input.block(image, block)), values);
            let y = std::slice::from_raw_parts_mut(arena.add(self.output.block(image, block)), values);
            (x, y)
        };
        match &self.function {
            Function::Copy => y.copy_from_slice(x),
            Function::Relu => y.iter_mut().zip(x).for_each(|(y, x)| *y = if *x < 0.0 { 0.0 } else { *x }),
            Function::BatchNorm { scale, bias } => {
                for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
                    let channel = block * 16 + i % 16;
                    *y = (f64::from(*x) * scale[channel] + f64::from(bias[channel])) as f32;
                }
            }
        }
    }
}

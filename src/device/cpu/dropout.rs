//! dropout: y = x/keep with probability keep, else 0. Source: Srivastava et al., JMLR 15, 2014; torch.nn.Dropout.
//!
//! Whether a value stays is told from its place alone: four neighbouring channels of a pixel take the four words of one block of
//! Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), keyed with seed and step. Forward and
//! backward are the same. One unit is one image.

use super::elementwise::MapView;

/// Dropout over blocked maps.
pub(super) struct Dropout {
    pub input: MapView,
    pub output: MapView,
    /// Where the controls lie.
    pub controls: usize,
    /// The share that is kept.
    pub keep: f32,
}

impl Dropout {
    /// Computes one image.
    ///
    /// # Safety
    /// `arena` holds all places; nobody else touches this image's output.
    pub unsafe fn run(&self, image: usize, arena: *mut f32) {
        let (pixels, quads) = (self.input.h * self.input.w, self.input.c / 4);
        let (limit, scale) = (limit(self.keep), 1.0 / self.keep);
        // SAFETY: the caller's contract; seed and step are words 5 and 6 of the controls.
        unsafe {
            let key = [5, 6].map(|word| (*arena.add(self.controls + word)).to_bits());
            for quad in 0..quads {
                let own =
                    |map: &MapView, pixel: usize| map.block(image, quad / 4) + pixel * 16 + quad % 4 * 4;
                for pixel in 0..pixels {
                    let bits = philox([((image * quads + quad) * pixels + pixel) as u32, 0, 0, 0], key);
                    let x = arena.add(own(&self.input, pixel)).cast_const();
                    let y = arena.add(own(&self.output, pixel));
                    for (lane, bits) in bits.into_iter().enumerate() {
                        *y.add(lane) = if bits < limit { *x.add(lane) * scale } else { 0.0 };
                    }
                }
            }
        }
    }
}

/// A value stays where its 32 bits are below this.
fn limit(keep: f32) -> u32 {
    (f64::from(keep) * 4_294_967_296.0) as u32
}

/// A block of Philox4x32 with ten rounds.
fn philox(mut x: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let a = u64::from(x[0]) * 0xD251_1F53;
        let b = u64::from(x[2]) * 0xCD9E_8D57;
        x = [(b >> 32) as u32 ^ x[1] ^ key[0], b as u32, (a >> 32) as u32 ^ x[3] ^ key[1], a as u32];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_philox() {
        // The known answers of Random123, file kat_vectors.
        let all = [u32::MAX; 4];
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox(all, [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let pi = philox(pi, [0xa409_3822, 0x299f_31d0]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}

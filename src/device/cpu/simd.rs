//! Sixteen float32 at a time, on three instruction sets from one source.
//!
//! Operations are generic over [`Simd`]; a `#[target_feature]` wrapper per instruction set (`dispatch!`) inlines them,
//! so that nothing is called inside a loop.

use crate::error::{Error, Result};

/// An instruction set the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// AVX-512F: a vector is one register.
    Avx512,
    /// AVX2 and FMA: a vector is two registers.
    Avx2,
    /// Whatever the compiler makes of plain arithmetic; multiply and add round apart.
    Portable,
}

impl Isa {
    /// All that this processor has, best first.
    pub fn available() -> Vec<Isa> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                all.push(Isa::Avx512);
            }
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                all.push(Isa::Avx2);
            }
        }
        all.push(Isa::Portable);
        all
    }

    /// The best this processor has.
    pub fn detect() -> Isa {
        Self::available()[0]
    }

    /// The instruction set called `name`.
    ///
    /// # Errors
    /// [`Error::Device`] when there is none of that name or this processor lacks it.
    pub fn named(name: &str) -> Result<Isa> {
        let available = Self::available();
        available.iter().copied().find(|isa| isa.name() == name).ok_or_else(|| {
            let names: Vec<&str> = available.iter().map(|isa| isa.name()).collect();
            let problem = format!("no such instruction set on this processor; it has {}", names.join(", "));
            Error::Device { device: format!("cpu:{name}"), problem }
        })
    }

    /// Its name as in `--device cpu:NAME`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        }
    }
}

/// Sixteen float32.
///
/// # Safety
/// Every function needs a processor with the instruction set; pointers must be valid for sixteen values (`splat`:
/// one), of any alignment.
pub(super) trait Simd: Copy {
    /// Sixteen values.
    type V: Copy;
    /// Tile shapes of the convolution by number of 16-channel blocks, 1 and up: pixels that fit the registers beside.
    const TILE_PIXELS: &'static [usize];
    /// Tile of the gradient of filters: 16-channel blocks of outputs at most, and input channels.
    const WEIGHT_TILE: (usize, usize);

    unsafe fn zero() -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    unsafe fn splat(p: *const f32) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// The larger of the two; a NaN on either side wins.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Asks for the cache line at `p`, which need not be valid, to be brought near.
    unsafe fn fetch(p: *const f32);
    /// a·b + c.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `v` but where y ≤ 0, there 0.
    unsafe fn where_positive(y: Self::V, v: Self::V) -> Self::V;
    /// `a` where x > y or x is NaN, else `b`.
    unsafe fn where_larger(x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// `v` where x = y, else 0.
    unsafe fn where_equal(x: Self::V, y: Self::V, v: Self::V) -> Self::V;
}

/// [`Isa::Portable`].
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Simd for Portable {
    type V = [f32; 16];
    const TILE_PIXELS: &'static [usize] = &[2];
    const WEIGHT_TILE: (usize, usize) = (1, 2);

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [0.0; 16]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[f32; 16]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[f32; 16]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn splat(p: *const f32) -> Self::V {
        // SAFETY: the trait's contract.
        [unsafe { *p }; 16]
    }
    #[inline(always)]
    unsafe fn fetch(_: *const f32) {}
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] || a[i].is_nan() { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn where_positive(y: Self::V, v: Self::V) -> Self::V {
        std::array::from_fn(|i| if y[i] <= 0.0 { 0.0 } else { v[i] })
    }
    #[inline(always)]
    unsafe fn where_larger(x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if x[i] > y[i] || x[i].is_nan() { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn where_equal(x: Self::V, y: Self::V, v: Self::V) -> Self::V {
        std::array::from_fn(|i| if x[i] == y[i] { v[i] } else { 0.0 })
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    /// [`super::Isa::Avx512`].
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512;

    // SAFETY (all blocks below): the trait's contract gives the instruction set and valid pointers.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Simd for Avx512 {
        type V = __m512;
        // Of 32 registers, blocks × pixels accumulate; blocks + 1 hold weights and one input.
        const TILE_PIXELS: &'static [usize] = &[12, 12, 8, 6, 5];
        // Of 32 registers, 24 accumulate, 3 hold dz, one an input.
        const WEIGHT_TILE: (usize, usize) = (3, 8);

        #[inline(always)]
        unsafe fn zero() -> Self::V {
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn splat(p: *const f32) -> Self::V {
            unsafe { _mm512_set1_ps(*p) }
        }
        #[inline(always)]
        unsafe fn fetch(p: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
            // The instruction gives b where either is NaN.
            unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a), _mm512_max_ps(a, b), a) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn where_positive(y: Self::V, v: Self::V) -> Self::V {
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(y, Self::zero()), v) }
        }
        #[inline(always)]
        unsafe fn where_larger(x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V {
            unsafe {
                let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
                _mm512_mask_blend_ps(nan | _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, y), b, a)
            }
        }
        #[inline(always)]
        unsafe fn where_equal(x: Self::V, y: Self::V, v: Self::V) -> Self::V {
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(x, y), v) }
        }
    }

    /// [`super::Isa::Avx2`].
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2;

    // SAFETY (all blocks below): the trait's contract gives the instruction set and valid pointers.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Simd for Avx2 {
        type V = (__m256, __m256);
        // Of 16 registers, 12 accumulate, 2 hold weights, 1 an input.
        const TILE_PIXELS: &'static [usize] = &[6];
        // Of 16 registers, 8 accumulate, 2 hold dz, one an input.
        const WEIGHT_TILE: (usize, usize) = (1, 4);

        #[inline(always)]
        unsafe fn zero() -> Self::V {
            unsafe { (_mm256_setzero_ps(), _mm256_setzero_ps()) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe {
                _mm256_storeu_ps(p, v.0);
                _mm256_storeu_ps(p.add(8), v.1);
            }
        }
        #[inline(always)]
        unsafe fn splat(p: *const f32) -> Self::V {
            unsafe {
                let v = _mm256_broadcast_ss(&*p);
                (v, v)
            }
        }
        #[inline(always)]
        unsafe fn fetch(p: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
            // The instruction gives b where either is NaN.
            unsafe {
                let max =
                    |a, b| _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a));
                (max(a.0, b.0), max(a.1, b.1))
            }
        }
        #[inline(always)]
        unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
        }
        #[inline(always)]
        unsafe fn where_positive(y: Self::V, v: Self::V) -> Self::V {
            unsafe {
                let keep = |y, v| _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(y, _mm256_setzero_ps()), v);
                (keep(y.0, v.0), keep(y.1, v.1))
            }
        }
        #[inline(always)]
        unsafe fn where_larger(x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V {
            unsafe {
                let pick = |x, y, a, b| {
                    let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
                    _mm256_blendv_ps(b, a, _mm256_or_ps(nan, _mm256_cmp_ps::<_CMP_GT_OQ>(x, y)))
                };
                (pick(x.0, y.0, a.0, b.0), pick(x.1, y.1, a.1, b.1))
            }
        }
        #[inline(always)]
        unsafe fn where_equal(x: Self::V, y: Self::V, v: Self::V) -> Self::V {
            unsafe {
                let keep = |x, y, v| _mm256_and_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(x, y), v);
                (keep(x.0, y.0, v.0), keep(x.1, y.1, v.1))
            }
        }
    }
}

/// Defines `$name(isa, …)`, which runs the generic `$body::<S>(…)` compiled for `isa`.
///
/// # Safety
/// `isa` must be one of [`Isa::available`]; beyond that as `$body`.
macro_rules! dispatch {
    ($(#[$meta:meta])* fn $name:ident = $body:ident($($arg:ident: $type:ty),* $(,)?)) => {
        $(#[$meta])*
        unsafe fn $name(isa: $crate::device::cpu::simd::Isa, $($arg: $type),*) {
            use $crate::device::cpu::simd::{self, Isa};
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn avx512($($arg: $type),*) {
                // SAFETY: the caller's contract, passed on.
                unsafe { $body::<simd::Avx512>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($($arg: $type),*) {
                // SAFETY: the caller's contract, passed on.
                unsafe { $body::<simd::Avx2>($($arg),*) }
            }
            // SAFETY: `isa` is available, and the caller's contract is passed on.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => avx2($($arg),*),
                    _ => $body::<simd::Portable>($($arg),*),
                }
            }
        }
    };
}
pub(super) use dispatch;

//! The kernels' code, embedded in the binary by `build.rs`: machine code for each architecture, PTX of the newest for later
//! ones, PTX with line numbers for the simulator, and what each kernel needs of a multiprocessor.

use super::Kernel;
use super::card::{Multiprocessor, multiprocessor};
use crate::error::{Error, Result};

/// One file of `kernels/`, compiled.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// The file, without `.cu`.
    pub module: &'static str,
    /// What it is.
    pub kind: ImageKind,
    /// Compute capability times ten.
    pub architecture: u32,
    /// Its size.
    pub bytes: usize,
    /// A zlib stream of it.
    compressed: &'static [u8],
}

/// Kinds of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// Machine code: runs on its architecture and on later ones of the same major number.
    Machine,
    /// PTX: a driver compiles it for any architecture from its own on.
    Ptx,
    /// PTX with line numbers, for the simulator.
    SimulatorPtx,
}

/// What a kernel needs on an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// The kernel.
    pub kernel: &'static str,
    /// Compute capability times ten.
    pub architecture: u32,
    /// Registers of a thread.
    pub registers: u32,
    /// Shared memory of a block.
    pub shared_bytes: u32,
    /// Bytes that a thread spills to local memory.
    pub spill_bytes: u32,
}

mod tables {
    use super::{Image, ImageKind, Resources};
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// All images.
pub fn images() -> &'static [Image] {
    tables::IMAGES
}

/// What each kernel needs on each architecture that there is machine code for.
pub fn resources() -> &'static [Resources] {
    tables::RESOURCES
}

impl Image {
    /// The image itself; PTX without a zero at its end.
    ///
    /// # Errors
    /// [`Error::Device`] when the binary is damaged.
    pub fn code(&self) -> Result<Vec<u8>> {
        miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(self.compressed, self.bytes).map_err(|_| {
            let problem = format!("the embedded code of `{}` is damaged: install nodal anew", self.module);
            Error::Device { device: "gpu".into(), problem }
        })
    }

    /// What the driver of a card of this compute capability loads for `module`: machine code where there is some, PTX for
    /// newer cards; `None` for older ones.
    pub fn of(module: &str, (major, minor): (u32, u32)) -> Option<&'static Image> {
        let capability = 10 * major + minor;
        let own = images().iter().filter(|image| image.module == module);
        let runs = |image: &&Image| match image.kind {
            ImageKind::Machine => image.architecture / 10 == major && image.architecture <= capability,
            ImageKind::Ptx => image.architecture <= capability,
            ImageKind::SimulatorPtx => false,
        };
        own.filter(runs).max_by_key(|image| (image.kind == ImageKind::Machine, image.architecture))
    }

    /// PTX of `module` for the simulator.
    pub fn for_simulator(module: &str) -> Option<&'static Image> {
        images().iter().find(|image| image.module == module && image.kind == ImageKind::SimulatorPtx)
    }
}

impl Resources {
    /// What it needs to run on a card of this compute capability, by the machine code that runs there.
    pub fn of(kernel: &Kernel, (major, minor): (u32, u32)) -> Option<&'static Resources> {
        let own = resources().iter().filter(|r| r.kernel == kernel.name);
        own.filter(|r| r.architecture / 10 == major && r.architecture <= 10 * major + minor)
            .max_by_key(|r| r.architecture)
    }

    /// Blocks of `threads` threads that a multiprocessor holds at once.
    pub fn resident_blocks(&self, threads: u32) -> u32 {
        let Multiprocessor { registers, shared_bytes, warps, blocks } = multiprocessor(self.architecture);
        let block_warps = threads.div_ceil(32);
        // Registers are given to warps 256 at a time, shared memory to blocks 256 bytes at a time.
        let warp_registers = (self.registers * 32).next_multiple_of(256);
        let by_registers = registers / warp_registers.max(1) / block_warps;
        let by_shared = shared_bytes / self.shared_bytes.next_multiple_of(256).max(1);
        by_registers.min(by_shared).min(warps / block_warps).min(blocks)
    }
}

impl Resources {
    /// Share of a multiprocessor's warps that blocks of `threads` threads can fill.
    pub fn occupancy(&self, threads: u32) -> f64 {
        let warps = self.resident_blocks(threads) * threads.div_ceil(32);
        f64::from(warps) / f64::from(multiprocessor(self.architecture).warps)
    }
}

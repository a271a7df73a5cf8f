//! Global memory: buffers, windows into them, and what is known of each word.

use crate::error::{Error, Result};
use crate::words::Words;

/// Sixteen floats, so that buffers begin at multiples of 64 bytes.
#[derive(Clone)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Memory of its own.
struct Storage {
    lines: *mut [Line],
    words: Words,
}

impl Drop for Storage {
    fn drop(&mut self) {
        // SAFETY: it was a box once, and nothing else frees it.
        drop(unsafe { Box::from_raw(self.lines) });
    }
}

/// A buffer or a window into one; its address is its number times 2³².
struct Buffer {
    name: String,
    storage: usize,
    /// Where it begins in its storage.
    offset: usize,
    bytes: usize,
    /// The first byte.
    data: *mut u8,
}

/// All global memory of a simulator.
pub(crate) struct Memory {
    storages: Vec<Storage>,
    buffers: Vec<Buffer>,
    look_after_written: bool,
    look_after_races: bool,
}

// SAFETY: `data` points into `storages`, which lives as long; simulated accesses from several threads are those of the
// simulated program, whose races are its own.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// Bytes before a pointer's buffer number.
const NUMBER_SHIFT: u32 = 32;

impl Memory {
    pub fn new(look_after_written: bool, look_after_races: bool) -> Self {
        let nothing =
            Buffer { name: "null".into(), storage: 0, offset: 0, bytes: 0, data: std::ptr::null_mut() };
        Memory { storages: Vec::new(), buffers: vec![nothing], look_after_written, look_after_races }
    }

    pub fn allocate(&mut self, name: &str, bytes: usize) -> Result<u64> {
        if u32::try_from(bytes).is_err() {
            let limit = "a simulated buffer has fewer than 4 GiB";
            return Err(Error::Memory(format!("{name}: {bytes} bytes; {limit}")));
        }
        let (lines, words) = (bytes.div_ceil(64), bytes.div_ceil(4));
        let mut data = Vec::new();
        let refused = |_| Error::Memory(format!("{name}: there is no memory for {bytes} bytes"));
        data.try_reserve_exact(lines).map_err(refused)?;
        data.resize(lines, Line([u32::MAX; 16]));
        let lines = Box::into_raw(data.into_boxed_slice());
        let pointer = lines.cast();
        let words = Words::new(words, self.look_after_written, self.look_after_races);
        self.storages.push(Storage { lines, words });
        let storage = self.storages.len() - 1;
        self.buffers.push(Buffer { name: name.into(), storage, offset: 0, bytes, data: pointer });
        Ok(((self.buffers.len() - 1) as u64) << NUMBER_SHIFT)
    }

    pub fn window(&mut self, name: &str, pointer: u64, bytes: usize) -> Result<u64> {
        let (buffer, offset) = self.find(pointer, bytes)?;
        let window = Buffer {
            name: name.into(),
            storage: buffer.storage,
            offset: buffer.offset + offset,
            bytes,
            // SAFETY: `find` checked that the window lies within the buffer.
            data: unsafe { buffer.data.add(offset) },
        };
        self.buffers.push(window);
        Ok(((self.buffers.len() - 1) as u64) << NUMBER_SHIFT)
    }

    fn find(&self, pointer: u64, bytes: usize) -> Result<(&Buffer, usize)> {
        let offset = (pointer & 0xffff_ffff) as usize;
        let buffer = self.buffers.get((pointer >> NUMBER_SHIFT) as usize);
        match buffer {
            Some(buffer) if offset.checked_add(bytes).is_some_and(|end| end <= buffer.bytes) => {
                Ok((buffer, offset))
            }
            Some(buffer) => Err(Error::Memory(format!(
                "{bytes} bytes at {offset} lie outside {}, which has {}",
                buffer.name, buffer.bytes
            ))),
            None => Err(Error::Memory(format!("{pointer:#x} points into no buffer"))),
        }
    }

    fn mark(&self, buffer: &Buffer, offset: usize, bytes: usize, written: bool) {
        let begin = buffer.offset + offset;
        self.storages[buffer.storage].words.mark(begin / 4..(begin + bytes).div_ceil(4), written);
    }

    pub fn write(&mut self, pointer: u64, bytes: &[u8]) -> Result<()> {
        let (buffer, offset) = self.find(pointer, bytes.len())?;
        // SAFETY: the range lies within the buffer, and nothing runs: `self` is borrowed alone.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.data.add(offset), bytes.len()) };
        self.mark(buffer, offset, bytes.len(), true);
        Ok(())
    }

    pub fn read(&self, pointer: u64, bytes: &mut [u8]) -> Result<()> {
        let (buffer, offset) = self.find(pointer, bytes.len())?;
        // SAFETY: the range lies within the buffer; no launch runs while `read` is called, which takes the simulator whole.
        unsafe { std::ptr::copy_nonoverlapping(buffer.data.add(offset), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    pub fn forget(&mut self, pointer: u64, bytes: usize) -> Result<()> {
        let (buffer, offset) = self.find(pointer, bytes)?;
        // SAFETY: as in `write`.
        unsafe { std::ptr::write_bytes(buffer.data.add(offset), 0xff, bytes) };
        self.mark(buffer, offset, bytes, false);
        Ok(())
    }

    /// Forgets who touched what: a launch begins.
    pub fn begin_launch(&mut self) {
        self.storages.iter_mut().for_each(|storage| storage.words.begin_launch());
    }

    /// First byte and size of the buffer number `number`.
    #[inline(always)]
    pub fn bounds(&self, number: u32) -> (*mut u8, usize) {
        match self.buffers.get(number as usize) {
            Some(buffer) => (buffer.data, buffer.bytes),
            None => (std::ptr::null_mut(), 0),
        }
    }

    /// What lies at an address, in words.
    pub fn describe(&self, address: u64, bytes: u32) -> String {
        let (mut number, mut offset) = (address >> NUMBER_SHIFT, (address & 0xffff_ffff) as i64);
        if offset > 0xc000_0000 && (number as usize + 1) < self.buffers.len() {
            // Before the begin of the next one.
            (number, offset) = (number + 1, offset - (1 << NUMBER_SHIFT));
        }
        match self.buffers.get(number as usize) {
            Some(buffer) if number != 0 => {
                format!("{bytes} bytes at byte {offset} of `{}`, which has {}", buffer.name, buffer.bytes)
            }
            _ => format!("{bytes} bytes at {address:#x}, where no buffer is"),
        }
    }

    /// Words of the storage behind buffer `number`, which of them lies at byte `offset` of the buffer, and the storage's number.
    pub fn words(&self, number: u32, offset: usize) -> (&Words, usize, usize) {
        let buffer = &self.buffers[number as usize];
        (&self.storages[buffer.storage].words, (buffer.offset + offset) / 4, buffer.storage)
    }

    /// Whether anything of single words is looked after.
    pub fn looks_after_words(&self) -> bool {
        self.look_after_written || self.look_after_races
    }

    /// Whether races between blocks are looked after.
    pub fn looks_after_races(&self) -> bool {
        self.look_after_races
    }
}

//! What is known of each word of four bytes of global memory: whether anybody wrote it, and which blocks of the current launch
//! touched it last.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// One storage's words; each list is empty unless it is looked after.
pub(crate) struct Words {
    /// 1 for each word that has been written.
    written: Box<[AtomicU8]>,
    /// The last write of the launch, as a stamp.
    writers: Box<[AtomicU64]>,
    /// The reads of the launch, as a stamp of one block or of several.
    readers: Box<[AtomicU64]>,
    /// Whether any of [`CHUNK`] words has a stamp.
    stamped: Box<[AtomicU8]>,
}

const CHUNK: usize = 4096;

/// Stamp of a block: its number plus one, whether it was an atomic, its epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp(u64);

/// In a stamp: several blocks, the highest and the lowest follow.
const SEVERAL: u64 = 1 << 63;
const ATOMIC: u64 = 1 << 31;

impl Stamp {
    fn of(block: u32, epoch: u32) -> Self {
        Stamp(u64::from(block + 1) << 32 | u64::from(epoch) & (ATOMIC - 1))
    }

    fn block(self) -> u32 {
        (self.0 >> 32) as u32 - 1
    }

    fn epoch(self) -> u32 {
        self.0 as u32 & !(1 << 31)
    }

    /// Readers with one more.
    fn and(self, block: u32) -> Self {
        let number = u64::from(block + 1);
        let (highest, lowest) = match self.0 & SEVERAL {
            0 => (self.0 >> 32, self.0 >> 32),
            _ => ((self.0 & !SEVERAL) >> 32, self.0 & 0xffff_ffff),
        };
        Stamp(SEVERAL | highest.max(number) << 32 | lowest.min(number))
    }
}

/// What is done to words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Load,
    LoadReadOnly,
    Store,
    Atomic,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Unwritten,
    /// Read through the read-only cache, and written in this launch by the block.
    ReadOnlyWritten(u32),
    /// The block did something to it that is not ordered with this.
    Race {
        block: u32,
        wrote: bool,
    },
}

/// Who does it: a block in an epoch of its own, and what lies before it.
pub(crate) struct Who<F> {
    pub block: u32,
    pub epoch: u32,
    /// Whether what a block did in an epoch lies before this.
    pub covers: F,
}

impl Words {
    pub fn new(words: usize, look_after_written: bool, look_after_races: bool) -> Self {
        let of = |wanted: bool| if wanted { words } else { 0 };
        let stamps = || (0..of(look_after_races)).map(|_| AtomicU64::new(0)).collect();
        let flags = |count: usize| (0..count).map(|_| AtomicU8::new(0)).collect();
        Words {
            written: flags(of(look_after_written)),
            writers: stamps(),
            readers: stamps(),
            stamped: flags(of(look_after_races).div_ceil(CHUNK)),
        }
    }

    /// Makes words count as written, or not.
    pub fn mark(&self, range: std::ops::Range<usize>, written: bool) {
        if !self.written.is_empty() {
            self.written[range].iter().for_each(|word| word.store(u8::from(written), Relaxed));
        }
    }

    /// Forgets who touched what: a launch begins.
    pub fn begin_launch(&mut self) {
        for (chunk, stamped) in self.stamped.iter_mut().enumerate() {
            if std::mem::take(stamped.get_mut()) != 0 {
                let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(self.writers.len());
                self.writers[range.clone()].iter_mut().for_each(|stamp| *stamp.get_mut() = 0);
                self.readers[range].iter_mut().for_each(|stamp| *stamp.get_mut() = 0);
            }
        }
    }

    /// Looks after `count` words from `first` on; the first that is in trouble, counted from there.
    pub fn touch<F: Fn(u32, u32) -> bool>(
        &self,
        first: usize,
        count: usize,
        deed: Deed,
        who: &Who<F>,
    ) -> Option<(usize, Trouble)> {
        if !self.written.is_empty() {
            let written = &self.written[first..first + count];
            if deed != Deed::Store {
                let all = written.iter().fold(1, |all, word| all & word.load(Relaxed));
                if all == 0 {
                    let word = written.iter().position(|word| word.load(Relaxed) == 0);
                    return word.map(|word| (word, Trouble::Unwritten));
                }
            } else {
                written.iter().for_each(|word| word.store(1, Relaxed));
            }
        }
        if self.writers.is_empty() {
            return None;
        }
        self.stamped[first / CHUNK].store(1, Relaxed);
        self.stamped[(first + count - 1) / CHUNK].store(1, Relaxed);
        let own = Stamp::of(who.block, who.epoch);
        let words = self.writers[first..first + count].iter().zip(&self.readers[first..first + count]);
        for (word, (writer, reader)) in words.enumerate() {
            let trouble = match deed {
                Deed::Load | Deed::LoadReadOnly => load(writer, reader, own, deed, who),
                Deed::Store | Deed::Atomic => store(writer, reader, own, deed, who),
            };
            if let Some(trouble) = trouble {
                return Some((word, trouble));
            }
        }
        None
    }
}

#[inline(always)]
fn load<F: Fn(u32, u32) -> bool>(
    writer: &AtomicU64,
    reader: &AtomicU64,
    own: Stamp,
    deed: Deed,
    who: &Who<F>,
) -> Option<Trouble> {
    if reader.load(Relaxed) != own.0 {
        add_reader(reader, own, who.block);
    }
    let written = Stamp(writer.load(Relaxed));
    if written.0 == 0 {
        return None;
    }
    let block = written.block();
    if deed == Deed::LoadReadOnly {
        return Some(Trouble::ReadOnlyWritten(block));
    }
    let fine = block == who.block || (who.covers)(block, written.epoch());
    (!fine).then_some(Trouble::Race { block, wrote: true })
}

fn add_reader(reader: &AtomicU64, own: Stamp, block: u32) {
    _ = reader.fetch_update(Relaxed, Relaxed, |before| {
        let before = Stamp(before);
        let alone = before.0 == 0 || before.0 & SEVERAL == 0 && before.block() == block;
        let after = if alone { own } else { before.and(block) };
        (after != before).then_some(after.0)
    });
}

#[inline(always)]
fn store<F: Fn(u32, u32) -> bool>(
    writer: &AtomicU64,
    reader: &AtomicU64,
    own: Stamp,
    deed: Deed,
    who: &Who<F>,
) -> Option<Trouble> {
    let atomic = deed == Deed::Atomic;
    let stamp = if atomic { own.0 | ATOMIC } else { own.0 };
    let before = Stamp(writer.swap(stamp, Relaxed));
    if before.0 != 0 {
        let plain = before.0 & ATOMIC == 0;
        let block = before.block();
        if block != who.block && (plain || !atomic) && !(who.covers)(block, before.epoch()) {
            return Some(Trouble::Race { block, wrote: true });
        }
        if block == who.block && plain && atomic {
            // Its own plain write still races with others' atomics.
            writer.store(before.0, Relaxed);
        }
    }
    let read = Stamp(reader.load(Relaxed));
    let others = match read.0 {
        0 => return None,
        several if several & SEVERAL != 0 => {
            [((several & !SEVERAL) >> 32) as u32 - 1, several as u32 - 1].map(|block| (block, 0))
        }
        _ => [(read.block(), read.epoch()); 2],
    };
    let racer = others.into_iter().find(|&(block, epoch)| block != who.block && !(who.covers)(block, epoch));
    racer.map(|(block, _)| Trouble::Race { block, wrote: false })
}

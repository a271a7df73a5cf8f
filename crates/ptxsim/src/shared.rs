//! Shared memory of a block, and who touched which word since the last barrier.
//!
//! Each warp has a byte a word for its last read, its last write and its last atomic, stamped with the barrier's number; at a
//! barrier they are compared across warps. That tells the word; where in the program is found by running the block again
//! with a record of every word ([`Precise`]).

/// Shared memory of one block at a time.
pub(crate) struct Shared {
    pub data: Vec<Line>,
    pub bytes: usize,
    /// 1 for each word that has been written.
    pub written: Vec<u8>,
    /// A byte a word, one map a warp: the barrier before which the warp last read, wrote, had an atomic.
    pub reads: Vec<Vec<u8>>,
    pub writes: Vec<Vec<u8>>,
    pub atomics: Vec<Vec<u8>>,
    /// Number of the last barrier, from 1.
    pub epoch: u8,
    pub precise: Option<Precise>,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u32; 16]);

/// Bytes behind the last word of a map, so that it can be written 32 words at a time.
const MARGIN: usize = 32;

/// The accesses to each word since the last barrier, for the report.
pub(crate) struct Precise {
    writer: Vec<Option<Touch>>,
    /// The last readers, of two warps.
    readers: Vec<[Option<Touch>; 2]>,
}

/// Who touched a word: thread and instruction.
#[derive(Clone, Copy)]
pub(crate) struct Touch {
    pub warp: u32,
    pub lane: u32,
    pub pc: u32,
    pub write: bool,
    pub atomic: bool,
}

impl Shared {
    /// `bytes` of memory, and maps for `warps` warps.
    pub fn new(bytes: usize, warps: usize) -> Self {
        let (lines, words) = (bytes.div_ceil(64), bytes.div_ceil(4));
        let maps = || vec![vec![0; words + MARGIN]; warps];
        Shared {
            data: vec![Line([u32::MAX; 16]); lines],
            bytes,
            written: vec![0; words + MARGIN],
            reads: maps(),
            writes: maps(),
            atomics: maps(),
            epoch: 1,
            precise: None,
        }
    }

    /// A new block begins; where the record is precise, unwritten words are let through.
    pub fn begin(&mut self, precise: bool) {
        self.data.fill(Line([u32::MAX; 16]));
        self.written.fill(u8::from(precise));
        self.clear_maps();
        let words = self.bytes.div_ceil(4);
        self.precise =
            precise.then(|| Precise { writer: vec![None; words], readers: vec![[None; 2]; words] });
    }

    fn clear_maps(&mut self) {
        for map in self.reads.iter_mut().chain(&mut self.writes).chain(&mut self.atomics) {
            map.fill(0);
        }
        self.epoch = 1;
    }

    /// A word that one warp wrote and another touched since the last barrier; atomics do not race among themselves.
    pub fn race(&self, atomics: bool) -> Option<usize> {
        const STRIP: usize = 256;
        let (words, epoch) = (self.bytes.div_ceil(4), self.epoch);
        for first in (0..words).step_by(STRIP) {
            let end = (first + STRIP).min(words);
            // Warps that touched each word, that did so plainly, and that changed it.
            let (mut all, mut plain, mut change) = ([0u8; STRIP], [0u8; STRIP], [0u8; STRIP]);
            for (warp, (reads, writes)) in self.reads.iter().zip(&self.writes).enumerate() {
                let (reads, writes) = (&reads[first..end], &writes[first..end]);
                for ((all, change), (read, write)) in
                    all.iter_mut().zip(&mut change).zip(reads.iter().zip(writes))
                {
                    let wrote = u8::from(*write == epoch);
                    *change |= wrote;
                    *all += wrote | u8::from(*read == epoch);
                }
                if atomics {
                    for (at, atomic) in self.atomics[warp][first..end].iter().enumerate() {
                        let touched = u8::from(reads[at] == epoch || writes[at] == epoch);
                        let atomic = u8::from(*atomic == epoch);
                        plain[at] |= touched;
                        change[at] |= atomic;
                        all[at] += atomic & !touched;
                    }
                }
            }
            let races = |at: usize| all[at] >= 2 && change[at] != 0 && (!atomics || plain[at] != 0);
            let mut any = false;
            for at in 0..STRIP {
                any |= races(at);
            }
            if any {
                return (0..STRIP).find(|&at| races(at)).map(|at| first + at);
            }
        }
        None
    }

    /// All threads have reached a barrier.
    pub fn next_epoch(&mut self) {
        match self.epoch {
            u8::MAX => self.clear_maps(),
            _ => self.epoch += 1,
        }
        if let Some(precise) = &mut self.precise {
            precise.writer.fill(None);
            precise.readers.fill([None; 2]);
        }
    }
}

impl Precise {
    /// Records an access and gives an earlier one of another warp that it races with.
    pub fn touch(&mut self, word: usize, touch: Touch) -> Option<Touch> {
        let races = |other: &Touch| other.warp != touch.warp && !(other.atomic && touch.atomic);
        let found = self.writer[word].filter(races);
        if touch.write {
            let found = found.or_else(|| self.readers[word].into_iter().flatten().find(races));
            self.writer[word] = Some(touch);
            return found;
        }
        let readers = &mut self.readers[word];
        match readers[0] {
            Some(first) if first.warp != touch.warp => readers[1] = Some(touch),
            _ => readers[0] = Some(touch),
        }
        found
    }
}

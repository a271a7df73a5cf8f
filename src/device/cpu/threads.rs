//! The threads of one engine: parallel sections without a queue and without waiting for sleepers.
//!
//! A section is a number of units; whoever is awake claims the next one until none is left. A worker that wakes too
//! late finds the section closed and is not waited for. Between sections a worker watches for a short while, then
//! sleeps.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a waiting thread watches before it sleeps, or offers its core to others.
const WATCH: Duration = Duration::from_micros(100);

/// A unit of work by its number.
type Unit<'a> = dyn Fn(usize) + Sync + 'a;

/// The calling thread and its helpers.
pub(super) struct Threads {
    shared: Arc<Shared>,
    workers: Vec<(Thread, Option<JoinHandle<()>>)>,
}

struct Shared {
    /// The section's work; read only by those counted in `active` while `open`.
    work: UnsafeCell<Option<&'static Unit<'static>>>,
    units: AtomicUsize,
    next: AtomicUsize,
    active: AtomicUsize,
    /// Number of the section; odd while it is open.
    section: AtomicUsize,
    sleeping: Vec<AtomicBool>,
    panicked: AtomicBool,
    quit: AtomicBool,
}

// SAFETY: `work` is written only by the owner of `Threads` while the section is closed and `active` is 0, and read only
// by workers that have raised `active` and then seen the section open.
unsafe impl Sync for Shared {}
// SAFETY: the reference in `work` is to a `Sync` closure.
unsafe impl Send for Shared {}

impl Threads {
    /// The caller and `threads − 1` helpers. When the system grants fewer helpers, fewer there are: results are the
    /// same for any number.
    pub fn new(threads: usize) -> Self {
        let helpers = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            work: UnsafeCell::new(None),
            units: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            section: AtomicUsize::new(0),
            sleeping: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
            panicked: AtomicBool::new(false),
            quit: AtomicBool::new(false),
        });
        let start = |index: usize| {
            let shared = shared.clone();
            let builder = std::thread::Builder::new().name(format!("nodal-{}", index + 1));
            let handle = builder.spawn(move || shared.help(index)).ok()?;
            Some((handle.thread().clone(), Some(handle)))
        };
        let workers = (0..helpers).map_while(start).collect();
        Threads { shared, workers }
    }

    /// Threads that compute, the caller included.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `work(0)`, …, `work(units − 1)`, each once, in any order, and returns when all are done.
    pub fn run(&mut self, units: usize, work: &Unit<'_>) {
        if units <= 1 || self.workers.is_empty() {
            return (0..units).for_each(work);
        }
        let shared = &*self.shared;
        // SAFETY: the section is closed and nobody is active, so nobody reads `work`; the reference does not outlive
        // this call, since `Section` closes the section and waits for the active before it returns or unwinds.
        unsafe { *shared.work.get() = Some(std::mem::transmute::<&Unit<'_>, &'static Unit<'static>>(work)) };
        shared.units.store(units, SeqCst);
        shared.next.store(0, SeqCst);
        shared.panicked.store(false, SeqCst);
        shared.section.fetch_add(1, SeqCst);
        let section = Section(shared);
        for (index, (thread, _)) in self.workers.iter().enumerate() {
            if shared.sleeping[index].load(SeqCst) {
                thread.unpark();
            }
        }
        shared.claim(work);
        drop(section);
        assert!(!shared.panicked.swap(false, SeqCst), "a unit of work panicked");
    }
}

/// An open section; closes it when dropped.
struct Section<'a>(&'a Shared);

impl Drop for Section<'_> {
    fn drop(&mut self) {
        self.0.section.fetch_add(1, SeqCst);
        let begin = Instant::now();
        while self.0.active.load(SeqCst) != 0 {
            if begin.elapsed() < WATCH {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.quit.store(true, SeqCst);
        for (thread, handle) in &mut self.workers {
            thread.unpark();
            if let Some(handle) = handle.take() {
                let _ = handle.join();
            }
        }
    }
}

impl Shared {
    /// Claims and runs units until none is left.
    fn claim(&self, work: &Unit<'_>) {
        let units = self.units.load(SeqCst);
        loop {
            let unit = self.next.fetch_add(1, SeqCst);
            if unit >= units {
                return;
            }
            work(unit);
        }
    }

    /// A helper's life.
    fn help(&self, index: usize) {
        let mut seen = 0;
        while let Some(section) = self.wait(index, seen) {
            seen = section;
            self.active.fetch_add(1, SeqCst);
            // Counted as active, an open section stays open until this helper leaves.
            if self.section.load(SeqCst) == section {
                // SAFETY: the section is open and this helper is active: `work` is set and not written.
                if let Some(work) = unsafe { *self.work.get() } {
                    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.claim(work)));
                    if unwound.is_err() {
                        self.panicked.store(true, SeqCst);
                    }
                }
            }
            self.active.fetch_sub(1, SeqCst);
        }
    }

    /// Waits for an open section other than `seen`; `None` when it is time to end.
    fn wait(&self, index: usize, seen: usize) -> Option<usize> {
        let mut begin = Instant::now();
        loop {
            let section = self.section.load(SeqCst);
            if self.quit.load(SeqCst) {
                return None;
            }
            if section % 2 == 1 && section != seen {
                return Some(section);
            }
            let waited = begin.elapsed();
            if waited < WATCH {
                std::hint::spin_loop();
            } else {
                self.sleeping[index].store(true, SeqCst);
                if self.section.load(SeqCst) == section && !self.quit.load(SeqCst) {
                    std::thread::park();
                }
                self.sleeping[index].store(false, SeqCst);
                begin = Instant::now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_runs_once_in_every_section() {
        for count in [1, 2, 3, 5] {
            let mut threads = Threads::new(count);
            assert_eq!(threads.count(), count);
            for section in 0..2000 {
                let units = section % 17;
                let runs: Vec<AtomicUsize> = (0..units).map(|_| AtomicUsize::new(0)).collect();
                threads.run(units, &|unit| {
                    runs[unit].fetch_add(1, SeqCst);
                });
                assert!(runs.iter().all(|n| n.load(SeqCst) == 1));
                if section % 500 == 0 {
                    std::thread::sleep(WATCH * 3);
                }
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_threads_go_on() {
        let mut threads = Threads::new(3);
        for _ in 0..20 {
            let section = || threads.run(64, &|unit| assert!(unit != 40, "planted"));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(section)).is_err());
        }
        let sum = AtomicUsize::new(0);
        threads.run(10, &|unit| {
            sum.fetch_add(unit, SeqCst);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}

//! The images of a data set, decoded: all of them once before training starts, so that none is found broken in a late epoch, and as
//! many as a bound allows kept in memory, as their files have them. The others are decoded again whenever they are asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Dataset;
use crate::data::Image;
use crate::error::{Error, Result};

/// Decoded images, by the index of their sample.
#[derive(Debug)]
pub struct Images {
    paths: Vec<PathBuf>,
    kept: Vec<Option<Arc<Image>>>,
}

impl Images {
    /// Decodes every image of `data` on at most `threads` threads, and keeps pixels of up to `limit_bytes`.
    ///
    /// # Errors
    /// What is wrong with the first image that cannot be read, and how many there are of them.
    pub fn open(data: &Dataset, limit_bytes: usize, threads: usize) -> Result<Self> {
        let paths: Vec<PathBuf> = data.samples().iter().map(|sample| sample.image.clone()).collect();
        let (next, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            let mut opened = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = paths.get(i) else { return opened };
                let image = Image::open(path).map(|image| {
                    let bytes = image.memory_bytes();
                    let room = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= limit_bytes);
                    let fits = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
                    fits.then(|| Arc::new(image))
                });
                opened.push((i, image));
            }
        };
        let mut opened = std::thread::scope(|scope| {
            let others = threads.min(paths.len()).saturating_sub(1);
            // A thread that cannot be had leaves its work to the others.
            let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
            let others: Vec<_> = (0..others).filter_map(spawn).collect();
            let mut all = work();
            for other in others {
                all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            all
        });
        opened.sort_by_key(|(i, _)| *i);
        let (mut kept, mut errors) = (Vec::with_capacity(paths.len()), Vec::new());
        for (_, image) in opened {
            match image {
                Ok(image) => kept.push(image),
                Err(error) => errors.push(error),
            }
        }
        let failed = errors.len();
        match errors.into_iter().next() {
            None => Ok(Images { paths, kept }),
            Some(only) if failed == 1 => Err(only),
            Some(first) => Err(Error::format(
                data.root(),
                format!("{failed} of {} images cannot be read, the first: {first}", paths.len()),
            )),
        }
    }

    /// The image of `sample`.
    ///
    /// # Errors
    /// As [`Image::open`] for one that was not kept; [`Error::Argument`] for a sample that there is not.
    pub fn get(&self, sample: usize) -> Result<Arc<Image>> {
        match self.kept.get(sample) {
            Some(Some(image)) => Ok(image.clone()),
            Some(None) => Image::open(&self.paths[sample]).map(Arc::new),
            None => Err(Error::Argument(format!("there is no sample {sample} among {}", self.kept.len()))),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.paths.len()
    }

    /// How many are kept in memory.
    pub fn kept(&self) -> usize {
        self.kept.iter().flatten().count()
    }
}

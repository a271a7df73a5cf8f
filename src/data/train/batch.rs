//! Makes one batch: each image fitted, augmented and normalised into its place, by threads that take image after image.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::random::Stream;
use super::{Images, LoaderOptions, Room};
use crate::data::Preprocess;
use crate::error::{Error, Result};

/// What makes the batches of one part of a data set.
pub(super) struct Maker {
    pub images: Arc<Images>,
    pub labels: Vec<usize>,
    pub part: Vec<usize>,
    pub preprocess: Preprocess,
    pub options: LoaderOptions,
    /// Buffers to be used again.
    pub spare: Arc<Mutex<Vec<Vec<f32>>>>,
}

/// Some images of an epoch, ready for the network. Dropping it gives its memory back to its loader.
pub struct Batch {
    /// Its position in the epoch.
    pub index: usize,
    /// [N, 3, H, W], fitted, augmented and normalised.
    pub inputs: Vec<f32>,
    /// The class of each image.
    pub labels: Vec<usize>,
    /// The index of each image in the data set.
    pub samples: Vec<usize>,
    spare: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        locked(&self.spare).push(std::mem::take(&mut self.inputs));
    }
}

impl Maker {
    /// Batches in an epoch.
    pub fn batches(&self) -> usize {
        let (images, batch) = (self.part.len(), self.options.batch);
        if self.options.drop_last { images / batch } else { images.div_ceil(batch) }
    }

    /// Makes the batches of `epoch` until there are no more, one fails, or nobody takes them.
    pub fn produce(&self, epoch: u64, first: usize, stop: &AtomicBool, sender: &SyncSender<Result<Batch>>) {
        let mut order = self.part.clone();
        if self.options.shuffle {
            Stream::new(self.options.seed, "order").below(epoch).shuffle(&mut order);
        }
        let mut rooms: Vec<Room> = (0..self.options.threads).map(|_| Room::default()).collect();
        let chunks = order.chunks(self.options.batch).take(self.batches()).enumerate();
        for (index, samples) in chunks.skip(first) {
            let batch = self.make(epoch, index, samples, &mut rooms, stop);
            let failed = batch.is_err();
            if stop.load(Ordering::Relaxed) || sender.send(batch).is_err() || failed {
                return;
            }
        }
    }

    fn make(
        &self,
        epoch: u64,
        index: usize,
        samples: &[usize],
        rooms: &mut [Room],
        stop: &AtomicBool,
    ) -> Result<Batch> {
        let length = 3 * self.preprocess.size.0 * self.preprocess.size.1;
        let mut inputs = locked(&self.spare).pop().unwrap_or_default();
        let memory = |bytes: usize| Error::Memory { what: "a batch".into(), needed_bytes: bytes };
        let values = length.checked_mul(samples.len()).ok_or_else(|| memory(usize::MAX))?;
        let missing = values.saturating_sub(inputs.len());
        inputs.try_reserve_exact(missing).map_err(|_| memory(values.saturating_mul(size_of::<f32>())))?;
        inputs.resize(values, 0.0);
        self.fill(epoch, samples, length, rooms, stop, &mut inputs)?;
        Ok(Batch {
            index,
            inputs,
            labels: samples.iter().map(|&sample| self.labels[sample]).collect(),
            samples: samples.to_vec(),
            spare: self.spare.clone(),
        })
    }

    /// Fills `inputs`, an input of `length` values for each of `samples`, with a thread for each of `rooms`.
    ///
    /// # Errors
    /// That of the first sample that has one.
    fn fill(
        &self,
        epoch: u64,
        samples: &[usize],
        length: usize,
        rooms: &mut [Room],
        stop: &AtomicBool,
        inputs: &mut [f32],
    ) -> Result<()> {
        let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
        let work = Mutex::new(samples.iter().zip(inputs.chunks_exact_mut(length)).enumerate());
        let run = |room: &mut Room| {
            while !stop.load(Ordering::Relaxed) {
                let Some((position, (&sample, input))) = locked(&work).next() else { return };
                if let Err(error) = self.input(epoch, sample, room, input) {
                    let mut failed = locked(&failed);
                    if failed.as_ref().is_none_or(|(before, _)| position < *before) {
                        *failed = Some((position, error));
                    }
                }
            }
        };
        if let Some((own, others)) = rooms.split_first_mut() {
            std::thread::scope(|scope| {
                for room in others.iter_mut().take(samples.len().saturating_sub(1)) {
                    // A thread that cannot be had leaves its work to the others.
                    let _ = std::thread::Builder::new().spawn_scoped(scope, || run(room));
                }
                run(own);
            });
        }
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The input of `sample` in `epoch`.
    fn input(&self, epoch: u64, sample: usize, room: &mut Room, input: &mut [f32]) -> Result<()> {
        let image = self.images.get(sample)?;
        let transform = self.options.augmentation.draw(self.options.seed, epoch, sample);
        transform.apply(&self.preprocess, &image, room, input)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

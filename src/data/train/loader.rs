//! Batches of network inputs, made ahead of whoever takes them.
//!
//! One thread an epoch makes batch after batch, in order, with helpers on the images of a batch; a bounded queue of finished ones
//! lies between it and the consumer. Which images form a batch, and what is done to each, follows from seed, epoch and
//! position alone: any number of threads gives the same bits, and an epoch can start at any of its batches.
//!
//! Memory: `ahead` batches in the queue, one being made, one in use, each of N·3·H·W values; buffers come back when a batch is
//! dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::batch::{Batch, Maker};
use super::{Augmentation, Dataset, Images};
use crate::data::Preprocess;
use crate::error::{Error, Result};

/// How batches are made.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Images in a batch. Default 64.
    pub batch: usize,
    /// Whether the last batch of an epoch is left out when it is not full. Default false.
    pub drop_last: bool,
    /// Whether each epoch has an order of its own; else the order is that of the part. Default true.
    pub shuffle: bool,
    /// What order and augmentation are drawn by. Default 0.
    pub seed: u64,
    /// What may be done to an image. Default nothing.
    pub augmentation: Augmentation,
    /// Threads that make a batch. Default 1.
    pub threads: usize,
    /// Finished batches that wait at most. Default 2.
    pub ahead: usize,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        LoaderOptions {
            batch: 64,
            drop_last: false,
            shuffle: true,
            seed: 0,
            augmentation: Augmentation::default(),
            threads: 1,
            ahead: 2,
        }
    }
}

/// Makes the batches of one part of a data set.
pub struct Loader {
    maker: Arc<Maker>,
}

/// The batches of one epoch, in order. Dropping it ends its threads.
pub struct Epoch {
    /// `None` once it is to end.
    batches: Option<Receiver<Result<Batch>>>,
    producer: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    waited: Duration,
}

impl Loader {
    /// A loader of the samples `part` of `data`, whose pixels are `images`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a part that is empty, smaller than the one batch it must fill, or names samples that there are not,
    /// for a size without pixels, and for zero in `options`; [`Error::Shape`] for a mean image of another size than the input.
    pub fn new(
        data: &Dataset,
        images: &Arc<Images>,
        part: &[usize],
        preprocess: &Preprocess,
        options: LoaderOptions,
    ) -> Result<Self> {
        let LoaderOptions { batch, threads, ahead, drop_last, .. } = options;
        if batch == 0 || threads == 0 || ahead == 0 {
            let problem = format!(
                "a batch of {batch}, {threads} threads and {ahead} batches ahead: each is at least 1"
            );
            return Err(Error::Argument(problem));
        }
        let (h, w) = preprocess.size;
        let length = h.checked_mul(w).and_then(|map| map.checked_mul(3)).unwrap_or(usize::MAX);
        preprocess.check(length)?;
        let count = data.samples().len();
        if images.count() != count || part.iter().any(|&sample| sample >= count) {
            let problem = format!(
                "the part names samples beyond the {count} of the data set, or images of another one"
            );
            return Err(Error::Argument(problem));
        }
        if part.is_empty() || drop_last && part.len() < batch {
            let (images, size) = (part.len(), if drop_last { batch } else { 1 });
            let problem =
                format!("{images} images do not fill a batch of {size}: make the batch smaller, or add data");
            return Err(Error::Argument(problem));
        }
        let maker = Maker {
            images: images.clone(),
            labels: data.samples().iter().map(|sample| sample.label).collect(),
            part: part.to_vec(),
            preprocess: preprocess.clone(),
            options,
            spare: Arc::default(),
        };
        Ok(Loader { maker: Arc::new(maker) })
    }

    /// Batches in an epoch.
    pub fn batches(&self) -> usize {
        self.maker.batches()
    }

    /// The batches of `epoch` from number `first` on. Its threads start here and end with it.
    ///
    /// # Errors
    /// [`Error::Argument`] for a batch beyond the last, and where no thread can be had.
    pub fn epoch(&self, epoch: u64, first: usize) -> Result<Epoch> {
        let batches = self.batches();
        if first > batches {
            return Err(Error::Argument(format!("there is no batch {first} in an epoch of {batches}")));
        }
        let (sender, receiver) = sync_channel(self.maker.options.ahead);
        let stop = Arc::new(AtomicBool::new(false));
        let (maker, stopped) = (self.maker.clone(), stop.clone());
        let producer = std::thread::Builder::new()
            .name("nodal-loader".into())
            .spawn(move || maker.produce(epoch, first, &stopped, &sender))
            .map_err(|e| Error::Argument(format!("the loader cannot start a thread: {e}")))?;
        Ok(Epoch { batches: Some(receiver), producer: Some(producer), stop, waited: Duration::ZERO })
    }
}

impl Epoch {
    /// How long the consumer has waited for batches so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Ends the thread; a panic in it goes on here.
    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that waits for room in the queue sees that nobody takes from it.
        self.batches = None;
        if let Some(Err(panic)) = self.producer.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let batch = self.batches.as_ref()?.recv().ok();
        self.waited += start.elapsed();
        if batch.is_none() {
            self.end();
        }
        batch
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        self.end();
    }
}

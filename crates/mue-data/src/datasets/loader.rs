//! Pictures decoded before they are wanted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::dataset::Dataset;
use super::error::DataError;
use super::problem::{Problem, Problems};
use super::sample::Sample;
use crate::picture::{ImageLimits, Orientation, RgbImage};

/// How samples are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Threads that decode; at least one is used.
    pub threads: usize,
    /// Pictures that each thread may be ahead of their use; at least one is.
    pub ahead: usize,
    /// What may be decoded.
    pub limits: ImageLimits,
    /// What to do about a camera's orientation.
    pub orientation: Orientation,
    /// Samples that may be unreadable before loading fails.
    pub problems_max: usize,
}

impl Default for LoaderConfig {
    /// Two threads, 16 pictures ahead each, pixels as they are stored; nothing may be unreadable.
    fn default() -> Self {
        Self {
            threads: 2,
            ahead: 16,
            limits: ImageLimits::default(),
            orientation: Orientation::Ignore,
            problems_max: 0,
        }
    }
}

/// A sample with its picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded<T> {
    /// Its place in the order it was asked for.
    pub position: usize,
    /// The sample.
    pub sample: Sample,
    /// What was made of its picture.
    pub picture: T,
}

/// Gives samples in the order asked for, however many threads decode them.
///
/// Each thread has every n-th sample and a bounded channel of its own, so neither order nor
/// memory depends on which of them is faster. An unreadable sample is left out and counted; the
/// one too many ends the iteration with an error. Dropping a loader ends its threads.
#[derive(Debug)]
pub struct Loader<T> {
    channels: Vec<Receiver<Result<Loaded<T>, Problem>>>,
    threads: Vec<JoinHandle<()>>,
    dataset: Arc<Dataset>,
    order: Arc<[usize]>,
    /// The next position, and how many there are.
    next: usize,
    count: usize,
    problems: Problems,
}

impl<T: Send + 'static> Loader<T> {
    /// Starts loading samples by their numbers; `prepare` runs on the threads.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started.
    ///
    /// # Panics
    ///
    /// If a number is not below the data set's length.
    pub fn start<F>(
        dataset: &Arc<Dataset>,
        order: Vec<usize>,
        config: LoaderConfig,
        prepare: F,
    ) -> Result<Self, DataError>
    where
        F: Fn(RgbImage) -> T + Send + Sync + 'static,
    {
        assert!(order.iter().all(|index| *index < dataset.len()), "a sample that is not there");
        let (count, order) = (order.len(), Arc::<[usize]>::from(order));
        let step = config.threads.max(1);
        let work = Arc::new(Work {
            dataset: Arc::clone(dataset),
            order: Arc::clone(&order),
            config,
            prepare,
        });
        let mut loader = Self {
            channels: Vec::new(),
            threads: Vec::new(),
            dataset: Arc::clone(dataset),
            order,
            next: 0,
            count,
            problems: Problems::at_most(config.problems_max),
        };
        for first in 0..step {
            let (sender, receiver) = sync_channel(config.ahead.max(1));
            let work = Arc::clone(&work);
            let thread = thread::Builder::new()
                .name(format!("decode {first}"))
                .spawn(move || work.run(first, step, &sender))
                .map_err(DataError::Thread)?;
            loader.channels.push(receiver);
            loader.threads.push(thread);
        }
        Ok(loader)
    }
}

impl<T> Loader<T> {
    /// Samples that could not be read so far.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// What `read` makes of the next sample that it can use, or why it cannot, which counts as if the
    /// sample could not be read; what is left out on the way is reported as it is met.
    pub fn next_usable<U>(
        &mut self,
        mut report: impl FnMut(&Problem),
        mut read: impl FnMut(Loaded<T>) -> Result<U, String>,
    ) -> Option<Result<U, DataError>> {
        while self.next < self.count {
            let position = self.next;
            self.next += 1;
            let failure = match self.channels[position % self.channels.len()].recv() {
                Ok(loaded) => {
                    let place = || self.dataset.place(self.order[position]);
                    let named = |message| Problem { place: place(), message };
                    match loaded.and_then(|loaded| read(loaded).map_err(named)) {
                        Ok(usable) => return Some(Ok(usable)),
                        Err(problem) => {
                            report(&problem);
                            self.problems.record(problem)
                        }
                    }
                }
                Err(_) => Err(DataError::ThreadBroke(position)),
            };
            if let Err(error) = failure {
                self.next = self.count;
                return Some(Err(error));
            }
        }
        None
    }
}

impl<T> Iterator for Loader<T> {
    type Item = Result<Loaded<T>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_usable(|_| {}, Ok)
    }
}

impl<T> Drop for Loader<T> {
    fn drop(&mut self) {
        // Without its channel a thread's next picture finds no taker, and the thread ends.
        self.channels.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a panic has been reported as a broken thread
        }
    }
}

struct Work<F> {
    dataset: Arc<Dataset>,
    order: Arc<[usize]>,
    config: LoaderConfig,
    prepare: F,
}

impl<F> Work<F> {
    fn run<T>(&self, first: usize, step: usize, sender: &SyncSender<Result<Loaded<T>, Problem>>)
    where
        F: Fn(RgbImage) -> T,
    {
        for position in (first..self.order.len()).step_by(step) {
            let loaded = self.load(position);
            if sender.send(loaded).is_err() {
                return;
            }
        }
    }

    fn load<T>(&self, position: usize) -> Result<Loaded<T>, Problem>
    where
        F: Fn(RgbImage) -> T,
    {
        let index = self.order[position];
        let sample = self.dataset.sample(index).map_err(|error| match error {
            DataError::Sample(problem) => problem,
            other => Problem::of_error(self.dataset.place(index), &other),
        })?;
        let picture = sample
            .picture
            .load(self.config.limits, self.config.orientation)
            .map_err(|error| Problem::of_error(self.dataset.place(index), &error))?;
        Ok(Loaded { position, sample, picture: (self.prepare)(picture) })
    }
}

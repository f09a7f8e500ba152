//! Threads for work that would hold up the ones that talk HTTP: a bounded number of it at a time.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};

/// Work about so many bytes is done where it comes up. With more, what takes a moment can take a
/// second; with fewer, changing threads takes longer than the work.
const HERE_BYTES_MAX: usize = 64 << 10;

/// Work that may run at once.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Semaphore>);

impl Pool {
    /// So much of it; 0 is one per CPU.
    pub(crate) fn new(places: usize) -> Self {
        let places = match places {
            0 => available_parallelism().map_or(1, NonZero::get),
            places => places,
        };
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Does pieces of work at once, begun in their order as places are free. Once one has failed, no
    /// other is begun.
    ///
    /// # Errors
    ///
    /// If one panics; what the first that fails says is within.
    pub(crate) async fn all<T, E, W>(&self, works: Vec<W>) -> Result<Result<Vec<T>, E>, JoinError>
    where
        T: Send + 'static,
        E: Send + 'static,
        W: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let has_failed = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::with_capacity(works.len());
        for work in works {
            let place = self.place().await;
            // Whatever fails says so before its place is free.
            if has_failed.load(Ordering::Relaxed) {
                break;
            }
            let failed = Arc::clone(&has_failed);
            let work = move || work().inspect_err(|_| failed.store(true, Ordering::Relaxed));
            tasks.push(begin(place, work));
        }
        let mut done = Vec::with_capacity(tasks.len());
        for task in tasks {
            match task.await? {
                Ok(value) => done.push(value),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(done))
    }

    /// Does some work about so many bytes: here, or if they are many, when there is a place for it.
    ///
    /// # Errors
    ///
    /// If it panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match bytes <= HERE_BYTES_MAX {
            true => Ok(work()),
            false => begin(self.place().await, work).await,
        }
    }

    /// Waits for a place; there is always one in the end, since they are never closed.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

fn begin<T: Send + 'static>(
    place: Option<OwnedSemaphorePermit>,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || {
        // Held to the end: a caller who leaves does not stop the work, and it still counts.
        let _place = place;
        work()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn much_work_is_done_elsewhere() {
        let (pool, here) = (Pool::new(1), thread::current().id());
        let place = || thread::current().id();
        assert_eq!(pool.run(100, place).await.unwrap(), here);
        assert_ne!(pool.run(1 << 20, place).await.unwrap(), here);
    }

    #[tokio::test]
    async fn once_something_has_failed_nothing_else_is_begun() {
        let (pool, begun) = (Pool::new(1), Arc::new(AtomicUsize::new(0)));
        let all = |failing: usize| {
            let work = |number: usize| {
                let begun = Arc::clone(&begun);
                move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    if number == failing { Err(number) } else { Ok(number) }
                }
            };
            pool.all((0..5).map(work).collect())
        };
        assert_eq!(all(1).await.unwrap(), Err(1));
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        assert_eq!(all(5).await.unwrap(), Ok(vec![0, 1, 2, 3, 4]));
    }
}

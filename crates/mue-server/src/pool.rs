//! Threads for work that would hold up the ones that talk HTTP: a bounded number of it at a time.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
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

    /// Starts some work when there is a place for it.
    pub(crate) async fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let place = Arc::clone(&self.0).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            // Held to the end: a caller who leaves does not stop the work, and it still counts.
            let _place = place;
            work()
        })
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
            false => self.start(work).await.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn much_work_is_done_elsewhere() {
        let (pool, here) = (Pool::new(1), thread::current().id());
        let place = || thread::current().id();
        assert_eq!(pool.run(100, place).await.unwrap(), here);
        assert_ne!(pool.run(1 << 20, place).await.unwrap(), here);
    }
}

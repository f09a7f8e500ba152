//! Places for requests under way: a bounded number, counted beside the semaphore that gives them.
//!
//! A drain waits for all of them, and from then on the semaphore has none free, whatever is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places, some of them taken.
pub(crate) struct Places {
    max: usize,
    free: Arc<Semaphore>,
    taken: Arc<AtomicUsize>,
}

/// A place, which is free again when this is dropped.
pub(crate) struct Place {
    taken: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many, or as many as can be counted.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { max, free: Arc::new(Semaphore::new(max)), taken: Arc::default() }
    }

    /// How many there are.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes one, if one is free and nobody waits for all.
    pub(crate) fn take(&self) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(Place { taken: Arc::clone(&self.taken), _permit: permit })
    }

    /// Waits until none is taken; meanwhile none is given.
    pub(crate) async fn all_free(&self) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_all_takes_no_place() {
        let places = Places::new(3);
        let place = places.take().unwrap();
        let mut all = pin!(places.all_free());
        assert!(all.as_mut().now_or_never().is_none());
        assert_eq!((places.taken(), places.take().is_none()), (1, true));
        drop(place);
        all.await;
        assert_eq!((places.taken(), places.take().is_some()), (0, true));
    }
}

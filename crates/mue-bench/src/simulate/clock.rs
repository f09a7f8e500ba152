//! Virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock that stands still unless told otherwise; clones are the same clock.
#[derive(Clone)]
pub(crate) struct Clock {
    start: Instant,
    elapsed_ns: Arc<AtomicU64>,
}

impl Clock {
    /// A clock that has just started.
    pub(crate) fn new() -> Self {
        // The batcher measures in `Instant`s, and only real ones can be made. Which one does not
        // matter: everything is relative to it.
        Self { start: Instant::now(), elapsed_ns: Arc::default() }
    }

    /// The time it shows.
    pub(crate) fn now(&self) -> Instant {
        self.at(self.elapsed())
    }

    /// Since its start.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::Relaxed))
    }

    /// What it shows so long after its start.
    pub(crate) fn at(&self, elapsed: Duration) -> Instant {
        self.start + elapsed
    }

    /// When it shows this.
    pub(crate) fn since_start(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.start)
    }

    /// Passes the time of a step.
    pub(crate) fn advance(&self, duration: Duration) {
        self.elapsed_ns.fetch_add(duration.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Passes the time until then, if it is ahead.
    pub(crate) fn advance_to(&self, elapsed: Duration) {
        self.elapsed_ns.fetch_max(elapsed.as_nanos() as u64, Ordering::Relaxed);
    }
}

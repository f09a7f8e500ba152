//! The bytes of all bodies that requests hold, and of the pictures that are fetched for them.
//!
//! They count when they are there, not when they are announced, so that a client keeps nobody out by
//! what it has not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::admit::too_many;
use crate::problem::Problem;
use crate::serving::Serving;

/// How many bytes all requests hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies(Arc<AtomicUsize>);

/// Those of one request, which nobody holds any more once this is dropped.
pub(crate) struct HeldBytes {
    all: Bodies,
    bytes: AtomicUsize,
    serving: Serving,
}

impl Bodies {
    /// None yet, for a request that this serves.
    pub(crate) fn hold(&self, serving: &Serving) -> HeldBytes {
        HeldBytes { all: self.clone(), bytes: AtomicUsize::new(0), serving: serving.clone() }
    }
}

impl HeldBytes {
    /// How many there are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Holds so many more.
    ///
    /// # Errors
    ///
    /// If all requests together would hold more than `bodies_bytes_max`.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Problem> {
        let most = self.serving.config.bodies_bytes_max;
        let grown = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        match self.all.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => {
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => {
                let detail = format!("the bodies of requests under way fill {most} bytes");
                Err(too_many(detail, &self.serving, Instant::now()))
            }
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

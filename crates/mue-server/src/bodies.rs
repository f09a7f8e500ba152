//! The bytes of all bodies that requests hold, and of the pictures that are fetched for them.
//!
//! They count when they are there, not when they are announced, so that a client keeps nobody out by
//! what it has not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mue_engine::BatchOfa;
use mue_engine::batcher::Handle;

use crate::admit::too_many;
use crate::problem::Problem;
use crate::serving::Serving;

/// How many bytes all requests hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies(Arc<AtomicUsize>);

/// Those of one request, which nobody holds any more once this is dropped. What goes on for a client
/// that has hung up may hold this, so it holds no generation, which a reload waits for.
pub(crate) struct HeldBytes {
    all: Bodies,
    all_max: usize,
    bytes: AtomicUsize,
    bytes_max: usize,
    batcher: Handle<BatchOfa>,
}

/// Why a request may not hold more.
pub(crate) enum NoRoom {
    /// It would hold more than one may, `body_bytes_max`.
    OfItsOwn,
    /// All together would hold more than they may, `bodies_bytes_max`.
    OfAll(Problem),
}

impl Bodies {
    /// None yet, for a request that this serves.
    pub(crate) fn hold(&self, serving: &Serving) -> HeldBytes {
        HeldBytes {
            all: self.clone(),
            all_max: serving.config.bodies_bytes_max,
            bytes: AtomicUsize::new(0),
            bytes_max: serving.config.body_bytes_max,
            batcher: serving.engine.batcher().clone(),
        }
    }

    /// How many there are.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl HeldBytes {
    /// How many more the request may hold.
    pub(crate) fn left(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes.load(Ordering::Relaxed))
    }

    /// Holds so many more.
    ///
    /// # Errors
    ///
    /// If the request, or all together, would hold too much.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        grow(&self.bytes, bytes, self.bytes_max).ok_or(NoRoom::OfItsOwn)?;
        grow(&self.all.0, bytes, self.all_max).ok_or_else(|| {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            let detail = format!("the bodies of requests under way fill {} bytes", self.all_max);
            NoRoom::OfAll(too_many(detail, &self.batcher, Instant::now()))
        })
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.all.0.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

fn grow(held: &AtomicUsize, bytes: usize, most: usize) -> Option<()> {
    let grown = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
    held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).ok().map(drop)
}

//! Callers who are let in before it is known what they will ask.

use std::time::Instant;

use crate::error::SubmitError;
use crate::handle::{Handle, Permit};
use crate::inbox::Closed;
use crate::model::BatchModel;

/// A caller who was let in, and may reserve rows even if a drain has begun since.
///
/// It keeps no rows free: what it will ask may be long in coming. A drain waits for it until its
/// deadline.
pub struct Admission<M: BatchModel> {
    handle: Handle<M>,
}

impl<M: BatchModel> Handle<M> {
    /// Lets a caller in, if the queue has room for a row at the moment.
    ///
    /// # Errors
    ///
    /// If it has none, or nothing is accepted any more.
    pub fn admit(&self, now: Instant) -> Result<Admission<M>, SubmitError> {
        let shared = self.shared();
        let mut inbox = shared.lock();
        let refused = inbox.refusal().map(Closed::submit_error);
        let room = refused.map_or_else(|| shared.room_for(1, &inbox, now), Err);
        match room {
            Ok(()) => {
                inbox.admitted += 1;
                Ok(Admission { handle: self.clone() })
            }
            Err(error) => {
                drop(inbox);
                shared.observer.rejected(1, &error);
                Err(error)
            }
        }
    }
}

impl<M: BatchModel> Admission<M> {
    /// Keeps rows of the queue free, as [`Handle::reserve`] does.
    ///
    /// # Errors
    ///
    /// If there is no room, there can be none, or the batcher is closed.
    pub fn reserve(&self, rows: usize, now: Instant) -> Result<Permit<M>, SubmitError> {
        self.handle.reserve_as(true, rows, now)
    }
}

impl<M: BatchModel> Drop for Admission<M> {
    fn drop(&mut self) {
        let shared = self.handle.shared();
        let mut inbox = shared.lock();
        inbox.admitted -= 1;
        // Only a drain waits for this.
        if inbox.drain.is_some() {
            shared.tell(inbox);
        }
    }
}

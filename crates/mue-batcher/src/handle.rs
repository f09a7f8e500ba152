//! The callers' end: permits and submissions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::SubmitError;
use crate::inbox::{Entry, Inbox, Shared};
use crate::model::{BatchModel, RequestId, Rows};
use crate::observer::QueueDepth;
use crate::priority::Priority;
use crate::queue::Waiting;
use crate::ticket::Ticket;

/// Takes requests from any thread; clones are cheap.
///
/// Nothing here blocks for longer than a few map operations. When the last handle, permit and
/// admission are gone, the worker finishes what it has and ends.
pub struct Handle<M: BatchModel> {
    door: Arc<Door<M>>,
}

/// What all handles of one batcher share; its end tells the worker that nothing more will come.
struct Door<M: BatchModel> {
    shared: Arc<Shared<M>>,
}

/// A list of requests, accepted whole or not at all.
pub struct Submission<I> {
    /// The requests; each is answered on its own.
    pub inputs: Vec<I>,
    /// How urgent they are.
    pub priority: Priority,
    /// When nobody will wait for the answers any more. Checked before every step; an answer that
    /// the step in progress completes is still given.
    pub deadline: Option<Instant>,
    /// Whether to keep what happens before the answers for [`Ticket::next_event`].
    pub stream: bool,
}

/// Rows of the queue kept free for a list that is being prepared.
///
/// Taken before expensive preparation, so that nobody decodes pictures only to be told that the
/// queue is full. Dropping it gives the rows back. A drain waits for it until its deadline.
pub struct Permit<M: BatchModel> {
    handle: Handle<M>,
    rows: usize,
    /// Whether its owner was let in before any drain, which then refuses it only when it is over.
    admitted: bool,
}

/// Rows in each place, for gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Kept free by permits.
    pub reserved_rows: usize,
    /// What waits.
    pub queue: QueueDepth,
    /// Rows that encode and decode, as of the worker's last step.
    pub live_rows: usize,
}

impl<M: BatchModel> Handle<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>) -> Self {
        Self { door: Arc::new(Door { shared }) }
    }

    /// Accepts a list of requests that arrive now: one ticket each, in the order of the list.
    ///
    /// # Errors
    ///
    /// If there is no room, there can be none, or nothing is accepted any more.
    pub fn submit(
        &self,
        submission: Submission<M::Input>,
        now: Instant,
    ) -> Result<Vec<Ticket<M>>, SubmitError> {
        let permit = Permit { handle: self.clone(), rows: 0, admitted: false };
        permit.submit(submission, now)
    }

    /// Keeps rows of the queue free: the sum of [`Rows::held`] over the list to come.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit).
    pub fn reserve(&self, rows: usize, now: Instant) -> Result<Permit<M>, SubmitError> {
        self.reserve_as(false, rows, now)
    }

    /// The same, by somebody who was let in before any drain or not.
    pub(crate) fn reserve_as(
        &self,
        admitted: bool,
        rows: usize,
        now: Instant,
    ) -> Result<Permit<M>, SubmitError> {
        let mut permit = Permit { handle: self.clone(), rows: 0, admitted };
        let grown = permit.grow(&mut self.shared().lock(), rows, now);
        grown.inspect_err(|error| self.shared().observer.rejected(rows, error))?;
        Ok(permit)
    }

    /// When so many rows will have left at the rate at which rows have been leaving, if any have.
    pub fn retry_after(&self, rows: usize, now: Instant) -> Option<Duration> {
        self.shared().lock().rate.time_for(rows, now)
    }

    /// Accepts nothing more, but from those who were let in and for the permits already out; what
    /// was accepted has until the deadline to finish, and is refused then. The worker ends when
    /// everything is answered.
    ///
    /// Draining again can only shorten the deadline.
    pub fn drain(&self, deadline: Instant) {
        let mut inbox = self.shared().lock();
        inbox.drain = Some(inbox.drain.map_or(deadline, |earlier| earlier.min(deadline)));
        self.shared().tell(inbox);
    }

    /// Rows in each place.
    pub fn load(&self) -> Load {
        let inbox = self.shared().lock();
        Load {
            reserved_rows: inbox.reserved_rows,
            queue: inbox.queue.depth(),
            live_rows: self.shared().live_rows(),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.door.shared
    }
}

impl<M: BatchModel> Permit<M> {
    /// Accepts the list that the permit was taken for, arriving now. More rows than were reserved
    /// have to find room; the rest of a larger reservation is given back.
    ///
    /// # Errors
    ///
    /// As [`Handle::submit`].
    pub fn submit(
        mut self,
        submission: Submission<M::Input>,
        now: Instant,
    ) -> Result<Vec<Ticket<M>>, SubmitError> {
        let shared = Arc::clone(self.handle.shared());
        let costs: Vec<Rows> = submission.inputs.iter().map(M::rows).collect();
        let rows = costs.iter().map(|rows| rows.held()).sum();
        let fits = costs.iter().try_for_each(|rows| fits_alone(&shared, *rows));
        let mut inbox = shared.lock();
        let accepted = fits.and_then(|()| match inbox.closed {
            Some(closed) => Err(closed.submit_error()),
            None => self.grow(&mut inbox, rows, now),
        });
        if let Err(error) = accepted {
            drop(inbox);
            shared.observer.rejected(rows, &error);
            return Err(error);
        }
        inbox.reserved_rows -= rows;
        self.rows -= rows;
        let tickets = enqueue(&shared, &mut inbox, submission, (&costs, now));
        let queue = inbox.queue.depth();
        shared.tell(inbox);
        tickets.iter().for_each(|ticket| shared.observer.accepted(ticket.id(), queue));
        Ok(tickets)
    }

    /// Reserves rows until there are as many, if the queue has room.
    fn grow(&mut self, inbox: &mut Inbox<M>, rows: usize, now: Instant) -> Result<(), SubmitError> {
        let rows_max = self.handle.shared().config.queue_rows_max;
        if rows > rows_max {
            return Err(SubmitError::TooLarge { rows, rows_max });
        }
        let more = rows.saturating_sub(self.rows);
        let closed = if self.admitted { inbox.closed } else { inbox.refusal() };
        if let Some(closed) = closed.filter(|_| more > 0) {
            return Err(closed.submit_error());
        }
        self.handle.shared().room_for(more, inbox, now)?;
        inbox.reserved_rows += more;
        self.rows += more;
        Ok(())
    }
}

/// Whether a request fits the limits on an otherwise empty machine.
fn fits_alone<M: BatchModel>(shared: &Shared<M>, rows: Rows) -> Result<(), SubmitError> {
    let limits =
        [(rows.held(), shared.config.rows_max), (rows.encoded(), shared.config.cohort_rows_max)];
    match limits.into_iter().find(|(rows, rows_max)| rows > rows_max) {
        Some((rows, rows_max)) => Err(SubmitError::TooLarge { rows, rows_max }),
        None => Ok(()),
    }
}

fn enqueue<M: BatchModel>(
    shared: &Arc<Shared<M>>,
    inbox: &mut Inbox<M>,
    submission: Submission<M::Input>,
    (costs, arrived): (&[Rows], Instant),
) -> Vec<Ticket<M>> {
    let Submission { inputs, priority, deadline, stream } = submission;
    let mut tickets = Vec::with_capacity(inputs.len());
    for (input, rows) in inputs.into_iter().zip(costs) {
        let id = RequestId::from(inbox.next_id);
        inbox.next_id += 1;
        let (reply, ticket) = Ticket::new((id, priority), stream, shared);
        let item = Entry { input, reply };
        inbox.queue.push(id, Waiting { rows: *rows, priority, arrived, deadline, item });
        tickets.push(ticket);
    }
    tickets
}

impl<M: BatchModel> Drop for Permit<M> {
    fn drop(&mut self) {
        if self.rows > 0 {
            let shared = self.handle.shared();
            let mut inbox = shared.lock();
            inbox.reserved_rows -= self.rows;
            shared.tell(inbox);
        }
    }
}

impl<M: BatchModel> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { door: Arc::clone(&self.door) }
    }
}

impl<M: BatchModel> Drop for Door<M> {
    fn drop(&mut self) {
        let mut inbox = self.shared.lock();
        inbox.abandoned = true;
        self.shared.tell(inbox);
    }
}

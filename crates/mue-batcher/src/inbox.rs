//! What handles, tickets and the worker share, behind one lock that nobody holds for long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::answer::{Answer, BatchShare, Timing};
use crate::config::Config;
use crate::error::{RequestError, Stage, SubmitError};
use crate::model::{BatchModel, RequestId};
use crate::observer::{End, Observer, Outcome};
use crate::priority::Priority;
use crate::queue::{Queue, Waiting};
use crate::rate::DrainRate;

/// What a ticket resolves to.
pub(crate) type Verdict<M> =
    Result<Answer<<M as BatchModel>::Output>, RequestError<<M as BatchModel>::Error>>;

/// The worker's end of a ticket.
pub(crate) struct Reply<M: BatchModel> {
    pub(crate) verdict: oneshot::Sender<Verdict<M>>,
    pub(crate) events: Option<mpsc::UnboundedSender<M::Event>>,
}

/// A request in the queue.
pub(crate) struct Entry<M: BatchModel> {
    pub(crate) input: M::Input,
    pub(crate) reply: Reply<M>,
}

/// Why nothing is accepted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    ShuttingDown,
    ModelUnavailable,
}

impl Closed {
    pub(crate) fn submit_error(self) -> SubmitError {
        match self {
            Self::ShuttingDown => SubmitError::ShuttingDown,
            Self::ModelUnavailable => SubmitError::ModelUnavailable,
        }
    }

    pub(crate) fn request_error<E>(self) -> RequestError<E> {
        match self {
            Self::ShuttingDown => RequestError::ShuttingDown,
            Self::ModelUnavailable => RequestError::ModelUnavailable,
        }
    }
}

/// The state under the lock.
pub(crate) struct Inbox<M: BatchModel> {
    pub(crate) queue: Queue<Entry<M>>,
    /// Rows that permits keep free in the queue.
    pub(crate) reserved_rows: usize,
    /// Callers who were let in and have not said yet what they ask.
    pub(crate) admitted: usize,
    /// Requests beyond the queue whose ticket was dropped. Only unanswered ones come here, so there
    /// are never more than rows in flight.
    pub(crate) cancelled: Vec<RequestId>,
    /// Until when accepted work may finish, once nothing new is accepted.
    pub(crate) drain: Option<Instant>,
    /// Every handle is gone.
    pub(crate) abandoned: bool,
    pub(crate) closed: Option<Closed>,
    /// Something changed since the worker last looked.
    pub(crate) news: bool,
    pub(crate) next_id: u64,
    pub(crate) rate: DrainRate,
}

/// The lock, what wakes the worker, and what never changes.
pub(crate) struct Shared<M: BatchModel> {
    inbox: Mutex<Inbox<M>>,
    wake: Condvar,
    pub(crate) live_rows: AtomicUsize,
    pub(crate) config: Config,
    pub(crate) observer: Arc<dyn Observer>,
}

impl<M: BatchModel> Shared<M> {
    pub(crate) fn new(config: Config, observer: Arc<dyn Observer>) -> Self {
        let inbox = Inbox {
            queue: Queue::new(config.aging),
            reserved_rows: 0,
            admitted: 0,
            cancelled: Vec::new(),
            drain: None,
            abandoned: false,
            closed: None,
            news: false,
            next_id: 0,
            rate: DrainRate::default(),
        };
        Self {
            inbox: Mutex::new(inbox),
            wake: Condvar::new(),
            live_rows: AtomicUsize::new(0),
            config,
            observer,
        }
    }

    /// Nothing panics half-way through a change under the lock, so poison means nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inbox<M>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock and has the worker look.
    pub(crate) fn tell(&self, mut inbox: MutexGuard<'_, Inbox<M>>) {
        inbox.news = true;
        drop(inbox);
        self.wake.notify_one();
    }

    /// Blocks the worker until there is news or the time has come.
    pub(crate) fn wait(&self, until: Option<Instant>) {
        let mut inbox = self.lock();
        while !inbox.news {
            let Some(until) = until else {
                inbox = self.wake.wait(inbox).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return;
            }
            let woken = self.wake.wait_timeout(inbox, left);
            inbox = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the queue has room for so many rows more.
    pub(crate) fn room_for(
        &self,
        rows: usize,
        inbox: &Inbox<M>,
        now: Instant,
    ) -> Result<(), SubmitError> {
        let wanted = inbox.queue.held_rows() + inbox.reserved_rows + rows;
        match wanted.checked_sub(self.config.queue_rows_max) {
            None | Some(0) => Ok(()),
            Some(excess) => {
                Err(SubmitError::QueueFull { retry_after: inbox.rate.time_for(excess, now) })
            }
        }
    }

    /// The ticket of an unanswered request was dropped.
    pub(crate) fn cancel(&self, id: RequestId, priority: Priority) {
        let mut inbox = self.lock();
        let queued = inbox.queue.remove(id, priority);
        // What is not queued is in the worker's hands, until there is no worker.
        if queued.is_none() && inbox.closed.is_none() {
            inbox.cancelled.push(id);
        }
        self.tell(inbox);
        if let Some(waiting) = queued {
            // The caller's clock is not known here, so the time it waited is not told.
            self.observer.ended(id, &queue_end(Outcome::Cancelled, Duration::ZERO));
            drop(waiting);
        }
    }

    /// Ends a request that was still queued.
    pub(crate) fn end_queued(
        &self,
        (id, waiting): (RequestId, Waiting<Entry<M>>),
        outcome: Outcome,
        error: RequestError<M::Error>,
        now: Instant,
    ) {
        let waited = now.saturating_duration_since(waiting.arrived);
        self.observer.ended(id, &queue_end(outcome, waited));
        // A caller that has gone needs no answer.
        let _ = waiting.item.reply.verdict.send(Err(error));
    }

    pub(crate) fn live_rows(&self) -> usize {
        self.live_rows.load(Ordering::Relaxed)
    }
}

impl<M: BatchModel> Inbox<M> {
    /// Why a new request is refused, whatever its size.
    pub(crate) fn refusal(&self) -> Option<Closed> {
        self.closed.or(self.drain.map(|_| Closed::ShuttingDown))
    }

    /// Whether nothing more can come.
    pub(crate) fn is_dry(&self) -> bool {
        let shut = self.drain.is_some() || self.abandoned;
        shut && self.queue.is_empty() && self.reserved_rows == 0 && self.admitted == 0
    }
}

fn queue_end(outcome: Outcome, waited: Duration) -> End {
    let timing = Timing { queue: waited, ..Timing::default() };
    End { outcome, stage: Stage::Queue, timing, batch: BatchShare::default() }
}

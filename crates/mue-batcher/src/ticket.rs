//! The caller's end of an accepted request.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::error::RequestError;
use crate::inbox::{Reply, Shared, Verdict};
use crate::model::{BatchModel, RequestId};
use crate::priority::Priority;

/// An accepted request: a future of its answer, and a stream of what happens before.
///
/// Dropping it cancels the request, whose rows are freed at the next step.
pub struct Ticket<M: BatchModel> {
    id: RequestId,
    priority: Priority,
    verdict: oneshot::Receiver<Verdict<M>>,
    events: Option<mpsc::UnboundedReceiver<M::Event>>,
    taken: bool,
    shared: Arc<Shared<M>>,
}

impl<M: BatchModel> Ticket<M> {
    pub(crate) fn new(
        (id, priority): (RequestId, Priority),
        stream: bool,
        shared: &Arc<Shared<M>>,
    ) -> (Reply<M>, Self) {
        let (reply, verdict) = oneshot::channel();
        // Unbounded, yet never longer than the model's steps for one request.
        let (sender, events) = stream.then(mpsc::unbounded_channel).unzip();
        let shared = Arc::clone(shared);
        let ticket = Self { id, priority, verdict, events, taken: false, shared };
        (Reply { verdict: reply, events: sender }, ticket)
    }

    /// The request's id, as the observer knows it.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// What the model tells next. Ends when the answer, or the error, is there; at once if the
    /// submission did not ask to stream.
    pub async fn next_event(&mut self) -> Option<M::Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// [`next_event`](Self::next_event) for hand-written streams.
    pub fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<M::Event>> {
        match &mut self.events {
            Some(events) => events.poll_recv(context),
            None => Poll::Ready(None),
        }
    }
}

impl<M: BatchModel> Future for Ticket<M> {
    type Output = Verdict<M>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let verdict = Pin::new(&mut self.verdict).poll(context);
        self.taken = verdict.is_ready();
        // A worker that ends without a word has shut down.
        verdict.map(|verdict| verdict.unwrap_or(Err(RequestError::ShuttingDown)))
    }
}

impl<M: BatchModel> Drop for Ticket<M> {
    fn drop(&mut self) {
        if !self.taken && matches!(self.verdict.try_recv(), Err(TryRecvError::Empty)) {
            self.shared.cancel(self.id, self.priority);
        }
    }
}

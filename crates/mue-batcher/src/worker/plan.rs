//! Looks at everything under the lock, once, and decides what this turn does.

use std::sync::Arc;
use std::time::Instant;

use super::Worker;
use crate::error::{RequestError, Stage};
use crate::inbox::{Entry, Inbox};
use crate::model::{BatchModel, RequestId};
use crate::observer::Outcome;
use crate::policy::{Step, View, choose};
use crate::queue::{Room, Waiting};

/// What a turn does.
pub(super) enum Plan<M: BatchModel> {
    /// Refuse what is left and end.
    Close,
    /// Begin with a cohort taken from the queue.
    Start(Vec<(RequestId, Waiting<Entry<M>>)>),
    /// Run the cohort's next layer.
    Encode,
    /// Decode one token of every row.
    Decode,
    /// Both at the same time.
    Both,
    /// Make the model.
    Build,
    /// Nothing, until then.
    Rest(Option<Instant>),
}

impl<M: BatchModel> Worker<M> {
    pub(super) fn plan(&mut self, now: Instant) -> Plan<M> {
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.lock();
        let expired = inbox.queue.expire(now);
        let plan = self.decide(&mut inbox, now);
        let busy = !self.live.is_empty() || matches!(plan, Plan::Start(_));
        inbox.rate.record(std::mem::take(&mut self.left_rows), busy, now);
        drop(inbox);
        for expired in expired {
            let error = RequestError::DeadlineExceeded { stage: Stage::Queue };
            shared.end_queued(expired, Outcome::Expired, error, now);
        }
        plan
    }

    fn decide(&mut self, inbox: &mut Inbox<M>, now: Instant) -> Plan<M> {
        let over = inbox.drain.is_some_and(|deadline| deadline <= now);
        if inbox.closed.is_some() || over || (inbox.is_dry() && self.live.is_empty()) {
            return Plan::Close;
        }
        let room = self.room();
        let view = self.view(inbox, room, now);
        let step = choose(&self.config().policy, &view);
        self.streaks = view.streaks_after(step);
        match step {
            Step::Start => Plan::Start(inbox.queue.take(room)),
            Step::Encode => Plan::Encode,
            Step::Decode => Plan::Decode,
            Step::Both => Plan::Both,
            Step::Rest if self.may_build(now) => Plan::Build,
            Step::Rest => Plan::Rest(self.next_look(inbox)),
        }
    }

    fn room(&self) -> Room {
        Room {
            held_rows: self.config().rows_max - self.live.counts().held_rows,
            encode_rows: self.config().cohort_rows_max,
        }
    }

    fn view(&self, inbox: &Inbox<M>, room: Room, now: Instant) -> View {
        let counts = self.live.counts();
        let may_start = counts.encoding_rows == 0 && self.machine.is_up();
        let startable = may_start && self.is_ripe(inbox, room, now);
        let startable_rows = if startable { inbox.queue.encode_rows_fitting(room) } else { 0 };
        View {
            startable_rows,
            startable_full: startable_rows >= room.encode_rows,
            encoding_rows: counts.encoding_rows,
            decoding_rows: counts.decoding_rows,
            streaks: self.streaks,
        }
    }

    /// Whether the next cohort has waited long enough for company, or has no more to expect.
    fn is_ripe(&self, inbox: &Inbox<M>, room: Room, now: Instant) -> bool {
        let Some(ripe_at) = self.ripe_at(inbox) else { return false };
        ripe_at <= now || inbox.queue.fills(room) || inbox.drain.is_some() || inbox.abandoned
    }

    /// When the oldest has waited long enough.
    fn ripe_at(&self, inbox: &Inbox<M>) -> Option<Instant> {
        inbox.queue.oldest_arrival().map(|arrived| arrived + self.config().wait_max)
    }

    fn may_build(&self, now: Instant) -> bool {
        !self.machine.is_up() && self.machine.retry_at.is_none_or(|retry_at| retry_at <= now)
    }

    /// When something may be due though nobody says so. Only asked when nothing is live.
    fn next_look(&self, inbox: &Inbox<M>) -> Option<Instant> {
        let start = match self.machine.is_up() {
            true => self.ripe_at(inbox),
            false => self.machine.retry_at,
        };
        [start, inbox.queue.next_deadline(), inbox.drain].into_iter().flatten().min()
    }
}

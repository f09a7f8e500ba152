//! Everything that leaves without an answer: cancelled, expired, failed, lost, refused.

use std::time::Instant;

use super::Worker;
use crate::error::{RequestError, Stage};
use crate::inbox::Closed;
use crate::live::{LiveRequest, Phase};
use crate::machine::{Panicked, Running};
use crate::model::{BatchModel, RequestId};
use crate::observer::Outcome;

/// Which of the model's holdings lost requests.
#[derive(Default)]
struct Freed {
    cohort: bool,
    ready: bool,
    set: bool,
}

impl<M: BatchModel> Worker<M> {
    /// Frees the rows of live requests that were cancelled or have expired.
    pub(super) fn free(&mut self, now: Instant) {
        let cancelled = {
            let mut inbox = self.shared.lock();
            inbox.news = false;
            std::mem::take(&mut inbox.cancelled)
        };
        let mut freed = Freed::default();
        for id in cancelled {
            if let Some(request) = self.live.remove(id) {
                freed.note(request.phase);
                self.end(id, &request, Outcome::Cancelled, now);
            }
        }
        while let Some((id, request)) = self.live.expire(now) {
            freed.note(request.phase);
            let stage = self.end(id, &request, Outcome::Expired, now).stage;
            request.refuse(RequestError::DeadlineExceeded { stage });
        }
        self.retain(&freed, now);
    }

    /// Has the model drop what is no longer live.
    fn retain(&mut self, freed: &Freed, now: Instant) {
        if !(freed.cohort || freed.ready || freed.set) {
            return;
        }
        let live = &self.live;
        let encodes = |id| live.get_in(Stage::Encode, id).is_some();
        let decodes = |id| live.get_in(Stage::Decode, id).is_some();
        let done = live.counts().encoding_rows == 0;
        let retained = self.machine.call(|Running { model, cohort, set, ready }| {
            if freed.ready {
                ready.retain(|(id, _)| live.get(*id).is_some());
            }
            if freed.set {
                model.retain_decode(set, &decodes);
            }
            match cohort {
                Some(_) if done => *cohort = None,
                Some(cohort) if freed.cohort => model.retain_encode(cohort, &encodes),
                Some(_) | None => {}
            }
        });
        if let Err(panicked) = retained {
            self.lose(&panicked, now);
        }
    }

    /// Ends requests that the model failed on in a stage. One that it does not hold there goes on: it
    /// is in other hands, which would miss it.
    pub(super) fn fail(&mut self, stage: Stage, failed: Vec<(RequestId, M::Error)>, now: Instant) {
        for (id, error) in failed {
            if let Some(request) = self.live.remove_from(stage, id) {
                self.end(id, &request, Outcome::Failed, now);
                request.refuse(RequestError::Model(error));
            }
        }
    }

    /// Ends everything in flight after a panic.
    pub(super) fn lose(&mut self, panicked: &Panicked, now: Instant) {
        self.observer().panicked(&panicked.to_string());
        for (id, request) in self.live.clear() {
            self.end(id, &request, Outcome::Panicked, now);
            request.refuse(RequestError::ModelPanicked);
        }
    }

    /// Refuses everything, now and from now on.
    pub(super) fn close(&mut self, why: Closed, now: Instant) {
        let queued = {
            let mut inbox = self.shared.lock();
            inbox.closed.get_or_insert(why);
            inbox.cancelled.clear();
            inbox.queue.clear()
        };
        for waiting in queued {
            self.shared.end_queued(waiting, Outcome::Refused, why.request_error(), now);
        }
        for (id, request) in self.live.clear() {
            self.end(id, &request, Outcome::Refused, now);
            request.refuse(why.request_error());
        }
        self.machine.stop();
    }

    /// Tells the observer how a request ended that was taken out of the live ones.
    pub(super) fn end(
        &mut self,
        id: RequestId,
        request: &LiveRequest<M>,
        outcome: Outcome,
        now: Instant,
    ) -> crate::observer::End {
        self.left_rows += request.rows.held();
        let end = self.live.end(request, outcome, now);
        self.observer().ended(id, &end);
        end
    }
}

impl<M: BatchModel> LiveRequest<M> {
    fn refuse(self, error: RequestError<M::Error>) {
        // A caller that has gone needs no answer.
        let _ = self.reply.verdict.send(Err(error));
    }
}

impl Freed {
    fn note(&mut self, phase: Phase) {
        match phase {
            Phase::Encoding => self.cohort = true,
            Phase::Ready => self.ready = true,
            Phase::Decoding(_) => self.set = true,
        }
    }
}

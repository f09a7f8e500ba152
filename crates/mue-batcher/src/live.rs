//! The requests in the worker's hands.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::answer::{BatchShare, Timing};
use crate::error::Stage;
use crate::inbox::{Entry, Reply};
use crate::model::{BatchModel, RequestId, Rows};
use crate::observer::{End, Outcome};
use crate::queue::Waiting;

/// Admitted requests that are not answered yet, with their rows counted by phase.
pub(crate) struct Live<M: BatchModel> {
    requests: HashMap<RequestId, LiveRequest<M>>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    counts: Counts,
    decoded: Decoded,
}

/// Rows by phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Held by all.
    pub(crate) held_rows: usize,
    /// That encode.
    pub(crate) encoding_rows: usize,
    /// Held by those ready to join or in the decode set.
    pub(crate) decoding_rows: usize,
}

/// Decode steps so far, and the rows held in each added up: a request's share of batches is a
/// difference of two of these.
#[derive(Clone, Copy, Debug, Default)]
struct Decoded {
    steps: u64,
    held_rows: u64,
}

/// How far a live request is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// In the cohort.
    Encoding,
    /// Encoded; joins the decode set at the next token.
    Ready,
    /// In the decode set since then.
    Decoding(DecodeStart),
}

impl Phase {
    /// Whether the model holds the request in its cohort, or in its decode set.
    fn is_held_in(self, stage: Stage) -> bool {
        matches!(
            (self, stage),
            (Self::Encoding, Stage::Encode) | (Self::Decoding(_), Stage::Decode)
        )
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeStart {
    at: Instant,
    decoded: Decoded,
}

/// One of them.
pub(crate) struct LiveRequest<M: BatchModel> {
    pub(crate) reply: Reply<M>,
    pub(crate) rows: Rows,
    pub(crate) phase: Phase,
    deadline: Option<Instant>,
    arrived: Instant,
    admitted: Instant,
    cohort_rows: usize,
}

impl<M: BatchModel> Live<M> {
    pub(crate) fn new() -> Self {
        Self {
            requests: HashMap::new(),
            deadlines: BTreeSet::new(),
            counts: Counts::default(),
            decoded: Decoded::default(),
        }
    }

    /// Takes over a cohort from the queue; gives back what it asks of the model.
    pub(crate) fn admit(
        &mut self,
        cohort: Vec<(RequestId, Waiting<Entry<M>>)>,
        now: Instant,
    ) -> Vec<(RequestId, M::Input)> {
        let cohort_rows = cohort.iter().map(|(_, waiting)| waiting.rows.encoded()).sum();
        let mut inputs = Vec::with_capacity(cohort.len());
        for (id, waiting) in cohort {
            let Waiting { rows, arrived, deadline, item: Entry { input, reply }, .. } = waiting;
            self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
            self.counts.held_rows += rows.held();
            self.counts.encoding_rows += rows.encoded();
            let request = LiveRequest {
                reply,
                rows,
                phase: Phase::Encoding,
                deadline,
                arrived,
                admitted: now,
                cohort_rows,
            };
            self.requests.insert(id, request);
            inputs.push((id, input));
        }
        inputs
    }

    /// Notes that a request's encoding is complete; whether it is one that encodes.
    pub(crate) fn ready(&mut self, id: RequestId) -> bool {
        let Some(request) = self.requests.get_mut(&id) else { return false };
        let encodes = request.phase.is_held_in(Stage::Encode);
        if encodes {
            request.phase = Phase::Ready;
            self.counts.encoding_rows -= request.rows.encoded();
            self.counts.decoding_rows += request.rows.held();
        }
        encodes
    }

    /// Notes that ready requests join the decode set.
    pub(crate) fn join(&mut self, ids: &[RequestId], now: Instant) {
        let start = DecodeStart { at: now, decoded: self.decoded };
        for id in ids {
            let request = self.requests.get_mut(id).expect("a request that joins is live");
            request.phase = Phase::Decoding(start);
        }
    }

    /// Counts a decode step of every row in the set.
    pub(crate) fn note_decode(&mut self) {
        self.decoded.steps += 1;
        self.decoded.held_rows += self.counts.decoding_rows as u64;
    }

    pub(crate) fn get(&self, id: RequestId) -> Option<&LiveRequest<M>> {
        self.requests.get(&id)
    }

    /// A request that the model holds in this stage.
    pub(crate) fn get_in(&self, stage: Stage, id: RequestId) -> Option<&LiveRequest<M>> {
        self.get(id).filter(|request| request.phase.is_held_in(stage))
    }

    /// Takes out a request that the model holds in this stage.
    pub(crate) fn remove_from(&mut self, stage: Stage, id: RequestId) -> Option<LiveRequest<M>> {
        self.get_in(stage, id)?;
        self.remove(id)
    }

    pub(crate) fn remove(&mut self, id: RequestId) -> Option<LiveRequest<M>> {
        let request = self.requests.remove(&id)?;
        self.counts.held_rows -= request.rows.held();
        match request.phase {
            Phase::Encoding => self.counts.encoding_rows -= request.rows.encoded(),
            Phase::Ready | Phase::Decoding(_) => self.counts.decoding_rows -= request.rows.held(),
        }
        if let Some(deadline) = request.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        Some(request)
    }

    /// Takes out one request whose deadline has passed.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(RequestId, LiveRequest<M>)> {
        let (_, id) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now).copied()?;
        self.remove(id).map(|request| (id, request))
    }

    /// Takes out everything, oldest first.
    pub(crate) fn clear(&mut self) -> Vec<(RequestId, LiveRequest<M>)> {
        let mut ids: Vec<RequestId> = self.requests.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.remove(id).map(|request| (id, request))).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// How a request ends that was taken out now.
    pub(crate) fn end(&self, request: &LiveRequest<M>, outcome: Outcome, now: Instant) -> End {
        let LiveRequest { phase, arrived, admitted, cohort_rows, .. } = request;
        let mut timing =
            Timing { queue: admitted.saturating_duration_since(*arrived), ..Timing::default() };
        let mut batch = BatchShare { cohort_rows: *cohort_rows, ..BatchShare::default() };
        let Phase::Decoding(start) = phase else {
            timing.encode = now.saturating_duration_since(*admitted);
            return End { outcome, stage: Stage::Encode, timing, batch };
        };
        timing.encode = start.at.saturating_duration_since(*admitted);
        timing.decode = now.saturating_duration_since(start.at);
        batch.decode_steps = self.decoded.steps - start.decoded.steps;
        let rows = self.decoded.held_rows - start.decoded.held_rows;
        batch.decode_rows_mean = rows as f64 / batch.decode_steps.max(1) as f64;
        End { outcome, stage: Stage::Decode, timing, batch }
    }
}

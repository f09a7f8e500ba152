//! An observer that remembers.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use mue_batcher::{
    CohortStart, DecodeStep, EncodeStep, End, Join, Observer, QueueDepth, RequestId, SubmitError,
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Accepted(RequestId, QueueDepth),
    Rejected(usize, SubmitError),
    Admitted(RequestId, Duration),
    CohortStarted(CohortStart),
    Encoded(EncodeStep),
    /// Who, and the rows that the set holds with them.
    Joined(Vec<RequestId>, usize),
    Decoded(Decoded),
    Ended(RequestId, End),
    Panicked(String),
    Built,
    BuildFailed(String),
}

/// A decode step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) held_rows: usize,
    pub(crate) layer_rows: Vec<usize>,
    pub(crate) beside_encode: bool,
}

#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Seen>>);

impl Recorder {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.0.lock().expect("assertions fail outside the lock")
    }

    fn note(&self, seen: Seen) {
        self.seen().push(seen);
    }

    /// How each request ended, in order.
    pub(crate) fn ends(&self) -> Vec<(RequestId, End)> {
        let seen = self.seen();
        let ends = seen.iter().filter_map(|seen| match seen {
            Seen::Ended(id, end) => Some((*id, *end)),
            _ => None,
        });
        ends.collect()
    }

    /// Rows of each cohort that started.
    pub(crate) fn cohorts(&self) -> Vec<usize> {
        let seen = self.seen();
        let rows = seen.iter().filter_map(|seen| match seen {
            Seen::CohortStarted(start) => Some(start.rows),
            _ => None,
        });
        rows.collect()
    }

    /// Requests in the order of their admission.
    pub(crate) fn admitted(&self) -> Vec<u64> {
        let seen = self.seen();
        let ids = seen.iter().filter_map(|seen| match seen {
            Seen::Admitted(id, _) => Some((*id).into()),
            _ => None,
        });
        ids.collect()
    }
}

impl Observer for Recorder {
    fn accepted(&self, id: RequestId, queue: QueueDepth) {
        self.note(Seen::Accepted(id, queue));
    }

    fn rejected(&self, rows: usize, error: &SubmitError) {
        self.note(Seen::Rejected(rows, error.clone()));
    }

    fn admitted(&self, id: RequestId, wait: Duration) {
        self.note(Seen::Admitted(id, wait));
    }

    fn cohort_started(&self, cohort: &CohortStart) {
        self.note(Seen::CohortStarted(*cohort));
    }

    fn encode_step(&self, step: &EncodeStep) {
        self.note(Seen::Encoded(*step));
    }

    fn joined(&self, join: &Join<'_>) {
        self.note(Seen::Joined(join.requests.to_vec(), join.held_rows));
    }

    fn decode_step(&self, step: &DecodeStep<'_>) {
        let DecodeStep { held_rows, layer_rows, beside_encode, .. } = *step;
        let layer_rows = layer_rows.to_vec();
        self.note(Seen::Decoded(Decoded { held_rows, layer_rows, beside_encode }));
    }

    fn ended(&self, id: RequestId, end: &End) {
        self.note(Seen::Ended(id, *end));
    }

    fn panicked(&self, message: &str) {
        self.note(Seen::Panicked(message.to_owned()));
    }

    fn built(&self, _duration: Duration) {
        self.note(Seen::Built);
    }

    fn build_failed(&self, message: &str) {
        self.note(Seen::BuildFailed(message.to_owned()));
    }
}

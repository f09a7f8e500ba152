//! Sees every decision, for metrics and for tests.

use std::time::Duration;

use crate::answer::{BatchShare, Timing};
use crate::error::{Stage, SubmitError};
use crate::model::RequestId;

/// Hears what the batcher does, as it does it.
///
/// Acceptance, rejection and cancellation in the queue are told on the caller's thread, the rest on
/// the worker's, which may be ahead: no lock is held. Every accepted request [ends](Self::ended)
/// exactly once. A panic here ends the worker.
pub trait Observer: Send + Sync {
    /// A request entered the queue.
    fn accepted(&self, _id: RequestId, _queue: QueueDepth) {}

    /// A list of requests of so many rows was turned away.
    fn rejected(&self, _rows: usize, _error: &SubmitError) {}

    /// A request left the queue for a cohort.
    fn admitted(&self, _id: RequestId, _wait: Duration) {}

    /// A cohort began to encode.
    fn cohort_started(&self, _cohort: &CohortStart) {}

    /// One encoder layer ran.
    fn encode_step(&self, _step: &EncodeStep) {}

    /// Encoded requests joined the decode set.
    fn joined(&self, _join: &Join<'_>) {}

    /// One token of every row was decoded.
    fn decode_step(&self, _step: &DecodeStep<'_>) {}

    /// A request is over.
    fn ended(&self, _id: RequestId, _end: &End) {}

    /// The model panicked; every request in flight ends with it.
    fn panicked(&self, _message: &str) {}

    /// The model was built.
    fn built(&self, _duration: Duration) {}

    /// An attempt to build the model failed.
    fn build_failed(&self, _message: &str) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// What waits in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Requests.
    pub requests: usize,
    /// Their rows.
    pub rows: usize,
}

/// A cohort began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CohortStart {
    /// Requests in it.
    pub requests: usize,
    /// Their rows to encode.
    pub rows: usize,
    /// How long beginning took.
    pub duration: Duration,
    /// What stayed in the queue.
    pub queue: QueueDepth,
}

/// One encoder layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeStep {
    /// The deepest that ran, counted from 1; 0 for what comes before the first.
    pub layer: usize,
    /// Rows computed.
    pub rows: usize,
    /// Requests that the layer completed.
    pub ready: usize,
    /// How long it took.
    pub duration: Duration,
    /// Whether rows decoded at the same time: their step took as long, and is told before.
    pub beside_decode: bool,
}

/// Requests joined the decode set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join<'a> {
    /// Which.
    pub requests: &'a [RequestId],
    /// Rows that the set holds with them.
    pub held_rows: usize,
}

/// One token of every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeStep<'a> {
    /// Rows that the set holds: what its requests may take, though the first step of several beams
    /// computes one.
    pub held_rows: usize,
    /// Rows computed at each decoder layer.
    pub layer_rows: &'a [usize],
    /// How long it took.
    pub duration: Duration,
    /// Whether rows encoded at the same time.
    pub beside_encode: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// With what.
    pub outcome: Outcome,
    /// Where it was.
    pub stage: Stage,
    /// Time spent up to there.
    pub timing: Timing,
    /// The company it was computed in.
    pub batch: BatchShare,
}

/// With what a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An answer.
    Finished,
    /// An error of the model about this request.
    Failed,
    /// Its caller went away.
    Cancelled,
    /// Its deadline passed.
    Expired,
    /// The model panicked.
    Panicked,
    /// Shut down, or no model.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Finished,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
        Self::Panicked,
        Self::Refused,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Panicked => "panicked",
            Self::Refused => "refused",
        }
    }
}

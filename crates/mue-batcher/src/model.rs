//! The model behind a trait, so that it can be a fake.

use std::fmt;

/// Names a request; later requests have greater ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

impl From<u64> for RequestId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl From<RequestId> for u64 {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a request costs: its places in the model's batches. Zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Rows that it encodes: one per picture or sentence.
    pub encode: usize,
    /// Rows that it decodes: one per beam.
    pub decode: usize,
}

impl Rows {
    /// The same number of rows in both stages.
    pub const fn both(rows: usize) -> Self {
        Self { encode: rows, decode: rows }
    }

    /// Rows held from admission to the answer: those of the wider stage. Every limit counts these,
    /// but for [`Config::cohort_rows_max`](crate::Config::cohort_rows_max).
    pub fn held(self) -> usize {
        self.encode.max(self.decode).max(1)
    }

    pub(crate) fn encoded(self) -> usize {
        self.encode.max(1)
    }
}

/// A model that computes in steps, many requests at a time.
///
/// The worker calls it from one thread. Per request, it begins to encode once, is reported ready or
/// failed by one [`encode`](Self::encode), joins a decode set once, and is reported finished or
/// failed by one [`decode`](Self::decode). A `retain` may take it out in between. Reports about
/// requests that the model does not hold in the stage that it reports of are ignored.
///
/// A panic in any method costs the requests in flight and the model, which is built anew.
pub trait BatchModel: Sized {
    /// One request.
    type Input: Send;
    /// Its answer.
    type Output: Send;
    /// Something worth telling before the answer is complete, such as a token.
    type Event: Send;
    /// Why one request failed.
    type Error: Send;
    /// Requests that encode together.
    type Cohort;
    /// One request's finished encoding.
    type Encoded;
    /// Requests that decode together.
    type DecodeSet;

    /// What a request costs. Called on the submitting thread.
    fn rows(input: &Self::Input) -> Rows;

    /// Starts a cohort, and reports the requests that failed to enter it.
    fn begin_encode(
        &mut self,
        inputs: Vec<(RequestId, Self::Input)>,
    ) -> (Self::Cohort, Vec<(RequestId, Self::Error)>);

    /// Runs one encoder layer on the rows that still need it, or a part of what comes before the
    /// first. Not called on an empty cohort.
    fn encode(&mut self, cohort: &mut Self::Cohort) -> EncodeReport<Self>;

    /// Frees the cohort's other requests.
    fn retain_encode(&mut self, cohort: &mut Self::Cohort, keep: &dyn Fn(RequestId) -> bool);

    /// Makes an empty decode set; called once in the life of a model.
    fn begin_decode(&mut self) -> Self::DecodeSet;

    /// Adds encoded requests to the set. Events are heard of those alone that `streams` names, so the
    /// others need none.
    fn join(
        &mut self,
        set: &mut Self::DecodeSet,
        encoded: Vec<(RequestId, Self::Encoded)>,
        streams: &dyn Fn(RequestId) -> bool,
    );

    /// Decodes one token of every row, or does something else that its answer needs, of no more work
    /// than a cohort's layer. Not called on an empty set.
    fn decode(&mut self, set: &mut Self::DecodeSet) -> DecodeReport<Self>;

    /// Runs one encoder layer and decodes one token of every row. The two touch different requests,
    /// so a model may do both at the same time.
    fn encode_and_decode(
        &mut self,
        cohort: &mut Self::Cohort,
        set: &mut Self::DecodeSet,
    ) -> (EncodeReport<Self>, DecodeReport<Self>) {
        (self.encode(cohort), self.decode(set))
    }

    /// Frees the set's other requests.
    fn retain_decode(&mut self, set: &mut Self::DecodeSet, keep: &dyn Fn(RequestId) -> bool);
}

/// What one encoder layer did.
pub struct EncodeReport<M: BatchModel> {
    /// The deepest layer that ran, counted from 1; 0 if only what comes before the first did.
    pub layer: usize,
    /// Rows that it computed.
    pub rows: usize,
    /// Requests whose encoding is complete: they leave the cohort.
    pub ready: Vec<(RequestId, M::Encoded)>,
    /// Requests that failed: they leave the cohort.
    pub failed: Vec<(RequestId, M::Error)>,
}

/// What one decode step did.
pub struct DecodeReport<M: BatchModel> {
    /// Rows computed at each decoder layer.
    pub layer_rows: Vec<usize>,
    /// What to tell those who stream.
    pub events: Vec<(RequestId, M::Event)>,
    /// Complete answers: they leave the set.
    pub finished: Vec<(RequestId, M::Output)>,
    /// Requests that failed: they leave the set.
    pub failed: Vec<(RequestId, M::Error)>,
}

//! The requests that decode together, between two tokens.

use burn::tensor::Tensor;

use super::{DecodedAnswer, StepExit};
use crate::attention::KeysValues;
use crate::computed::Computed;
use crate::exit::BranchPolicy;
use crate::gather::Gathering;
use crate::rows::RowIndex;
use crate::search::BeamSearch;
use crate::source::Source;
use crate::trace::DecoderCost;

/// A set of requests that decode together.
///
/// The self-attention cache is right-aligned: the newest token of every row is in the last column,
/// and rows that joined later begin further right. A layer's columns are filled when a row first
/// needs them: what exited rows would have put there is projected from their exit states then, and
/// never if nobody comes by.
#[derive(Debug, Default)]
pub struct DecoderRun {
    pub(super) requests: Vec<Request>,
    /// State in which each processed token left, `[rows, columns, d_model]`.
    pub(super) exit_states: Option<Tensor<3>>,
    /// By layer: keys and values of the first columns, as many as are filled.
    pub(super) caches: Vec<Option<KeysValues>>,
    pub(super) computed: Computed,
    pub(super) gathering: Gathering,
    pub(super) next_id: u64,
}

/// Names a request within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) u64);

/// A request between two tokens.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: RequestId,
    pub(super) source: Source,
    pub(super) policy: BranchPolicy,
    pub(super) search: BeamSearch,
    pub(super) exits: Vec<StepExit>,
    pub(super) cost: DecoderCost,
}

impl DecoderRun {
    /// Rows that the next step computes at layer 1.
    fn rows(&self) -> usize {
        self.requests.iter().map(|request| request.search.rows()).sum()
    }

    /// Whether nothing is left to decode.
    pub fn is_finished(&self) -> bool {
        self.requests.is_empty()
    }

    /// What was computed so far.
    pub fn computed(&self) -> &Computed {
        &self.computed
    }

    /// What was gathered since this was last asked.
    pub fn take_gathering(&mut self) -> Gathering {
        std::mem::take(&mut self.gathering)
    }

    /// Drops requests whose answer nobody waits for any more.
    pub fn cancel(&mut self, cancelled: impl Fn(RequestId) -> bool) {
        self.add_rows();
        let starts = self.first_rows();
        let mut rows = Vec::new();
        for (request, start) in self.requests.iter().zip(starts) {
            if !cancelled(request.id) {
                rows.extend(start..start + request.search.rows());
            }
        }
        let total = self.rows();
        self.requests.retain(|request| !cancelled(request.id));
        self.select(rows, total);
    }

    /// First row of each request.
    pub(super) fn first_rows(&self) -> Vec<usize> {
        let mut next = 0;
        self.requests
            .iter()
            .map(|request| {
                let first = next;
                next += request.search.rows();
                first
            })
            .collect()
    }

    pub(super) fn columns(&self) -> usize {
        self.exit_states.as_ref().map_or(0, |states| states.dims()[1])
    }

    /// Tokens processed by each row.
    pub(super) fn ages(&self) -> Vec<usize> {
        self.requests
            .iter()
            .flat_map(|request| vec![request.search.step(); request.search.rows()])
            .collect()
    }

    /// Keeps, repeats and reorders rows, then drops columns that no row uses.
    pub(super) fn select(&mut self, rows: Vec<usize>, total: usize) {
        let Some(states) = self.exit_states.take() else { return };
        let columns = states.dims()[1];
        let unused = self.columns_unused(columns);
        if rows.is_empty() || unused == columns {
            // Nobody is left, or only requests that have processed nothing yet.
            self.caches.fill_with(|| None);
            return;
        }
        let rows = RowIndex::new(rows, total, &states.device());
        let gathering = &mut self.gathering;
        self.exit_states = Some(drop_columns(gathering.select(states, &rows), unused));
        for cache in &mut self.caches {
            *cache = cache.take().and_then(|cache| {
                let filled = cache.keys.dims()[2];
                let kept = gathering.select(cache, &rows);
                (filled > unused).then(|| {
                    kept.map(|part| {
                        if unused == 0 { part } else { part.narrow(2, unused, filled - unused) }
                    })
                })
            });
        }
    }

    fn columns_unused(&self, columns: usize) -> usize {
        let oldest = self.requests.iter().map(|request| request.search.step()).max();
        columns - oldest.unwrap_or(0).min(columns)
    }

    /// Gives rows to the requests that have joined since the last step, all in one go.
    pub(super) fn add_rows(&mut self) {
        let Some(states) = self.exit_states.take() else { return };
        let [rows, columns, width] = states.dims();
        let new_rows = self.rows() - rows;
        if new_rows == 0 {
            self.exit_states = Some(states);
            return;
        }
        let blank = |tensor: &Tensor<4>| {
            let [_, heads, columns, head_dim] = tensor.dims();
            Tensor::zeros([new_rows, heads, columns, head_dim], &tensor.device())
        };
        let zeros = Tensor::zeros([new_rows, columns, width], &states.device());
        self.exit_states = Some(Tensor::cat(vec![states, zeros], 0));
        for cache in self.caches.iter_mut().flatten() {
            let empty = KeysValues { keys: blank(&cache.keys), values: blank(&cache.values) };
            *cache = KeysValues::stack(vec![cache.clone(), empty]);
        }
    }
}

fn drop_columns(states: Tensor<3>, unused: usize) -> Tensor<3> {
    let columns = states.dims()[1];
    if unused == 0 { states } else { states.narrow(1, unused, columns - unused) }
}

impl Request {
    pub(super) fn into_answer(self) -> DecodedAnswer {
        DecodedAnswer {
            hypotheses: self.search.into_hypotheses(),
            exits: self.exits,
            cost: self.cost,
        }
    }
}

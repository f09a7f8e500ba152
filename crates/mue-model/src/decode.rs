//! The decoder run: requests of any age share a step, and inside a step each leaves at its layer.

mod exits;
mod layer;
mod step;

use burn::tensor::Tensor;

use crate::attention::KeysValues;
use crate::exit::BranchPolicy;
use crate::gather::Gathering;
use crate::macs::Computed;
use crate::model::{DecoderState, Ofa};
use crate::prediction::Prediction;
use crate::rows::RowIndex;
use crate::search::{Advance, BeamSearch, Hypothesis, NonFiniteLogits, SearchSettings};
use crate::source::Source;
use crate::trace::DecoderCost;
use step::Step;

/// A set of requests that decode together.
///
/// The self-attention cache is right-aligned: the newest token of every row is in the last column,
/// and rows that joined later begin further right. A layer's columns are filled when a row first
/// needs them: what exited rows would have put there is projected from their exit states then, and
/// never if nobody comes by.
#[derive(Debug, Default)]
pub struct DecoderRun {
    requests: Vec<Request>,
    /// State in which each processed token left, `[rows, columns, d_model]`.
    exit_states: Option<Tensor<3>>,
    /// By layer: keys and values of the first columns, as many as are filled.
    caches: Vec<Option<KeysValues>>,
    computed: Computed,
    gathering: Gathering,
    next_id: u64,
}

/// Names a request within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

#[derive(Debug)]
struct Request {
    id: RequestId,
    source: Source,
    policy: BranchPolicy,
    search: BeamSearch,
    exits: Vec<StepExit>,
    cost: DecoderCost,
}

/// Where one step of one request left the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct StepExit {
    /// Layers run.
    pub layer: usize,
    /// Similarity after each layer run, over all beams together; empty if not asked for.
    pub similarities: Vec<f32>,
    /// What would have been answered from each layer that the policy asked.
    pub predictions: Vec<Prediction>,
}

impl StepExit {
    /// Of a step that has not begun.
    pub(crate) fn none() -> Self {
        Self { layer: 0, similarities: Vec::new(), predictions: Vec::new() }
    }
}

/// What one step did to one request.
#[derive(Debug)]
pub struct RequestStep {
    /// Which request.
    pub id: RequestId,
    /// Layers run.
    pub layer: usize,
    /// The best live hypothesis' tokens so far; after the last step, of the best finished one.
    pub tokens: Vec<u32>,
    /// The answer, if this step completed it.
    pub finished: Option<Result<DecodedAnswer, NonFiniteLogits>>,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct DecodedAnswer {
    /// Finished hypotheses, best first.
    pub hypotheses: Vec<Hypothesis>,
    /// One entry per step, shared by the beams.
    pub exits: Vec<StepExit>,
    /// What the decoder computed for this request alone.
    pub cost: DecoderCost,
}

/// What one decoder step did.
#[derive(Debug, Default)]
pub struct TokenReport {
    /// Rows computed at each layer.
    pub layer_rows: Vec<usize>,
    /// One entry per request, in the order they joined.
    pub requests: Vec<RequestStep>,
    /// Logits at the exit layer as the searches saw them, `[rows, vocabulary]` row-major.
    pub logits: Vec<f32>,
}

impl DecoderRun {
    /// Requests that still decode.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Rows that the next step computes at layer 1.
    pub fn rows(&self) -> usize {
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
    fn first_rows(&self) -> Vec<usize> {
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

    fn columns(&self) -> usize {
        self.exit_states.as_ref().map_or(0, |states| states.dims()[1])
    }

    /// Tokens processed by each row.
    fn ages(&self) -> Vec<usize> {
        self.requests
            .iter()
            .flat_map(|request| vec![request.search.step(); request.search.rows()])
            .collect()
    }

    /// Keeps, repeats and reorders rows, then drops columns that no row uses.
    fn select(&mut self, rows: Vec<usize>, total: usize) {
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
    fn add_rows(&mut self) {
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

impl Ofa {
    /// An empty set.
    pub fn begin_decode(&self) -> DecoderRun {
        DecoderRun { caches: vec![None; self.decoder().layers.len()], ..Default::default() }
    }

    /// Adds a request; it takes part from the next step on.
    ///
    /// # Panics
    ///
    /// If the answer may become longer than the model has positions for.
    pub fn join_decode(
        &self,
        run: &mut DecoderRun,
        source: Source,
        policy: BranchPolicy,
        settings: SearchSettings,
    ) -> RequestId {
        let positions = self.decoder().positions().tokens_max();
        assert!(settings.tokens_max < positions, "an answer has at most {positions} positions");
        run.caches.resize(self.decoder().layers.len(), None);
        let id = RequestId(run.next_id);
        run.next_id += 1;
        run.requests.push(Request {
            id,
            source,
            policy,
            search: BeamSearch::new(settings, self.special_tokens()),
            exits: Vec::new(),
            cost: DecoderCost::new(self.decoder().layers.len()),
        });
        id
    }

    /// Generates one token of every row.
    ///
    /// # Panics
    ///
    /// If the run is finished.
    pub fn decode_token(&self, run: &mut DecoderRun) -> TokenReport {
        self.decode_token_with(run, |_, _| {})
    }

    /// The same with logits that `adjust` may change before the searches see them; it is called
    /// for every row in order, with the row's request. Adding Gumbel noise makes of a greedy search
    /// a sample.
    ///
    /// # Panics
    ///
    /// If the run is finished.
    pub fn decode_token_with(
        &self,
        run: &mut DecoderRun,
        mut adjust: impl FnMut(RequestId, &mut [f32]),
    ) -> TokenReport {
        assert!(!run.is_finished(), "there is nothing to decode");
        run.add_rows();
        let mut report = TokenReport::default();
        let mut step = self.begin_step(run);
        for layer in 0..self.decoder().layers.len() {
            if step.active.is_empty() {
                break;
            }
            report.layer_rows.push(self.run_layer(run, &mut step, layer));
        }
        let newest = self.newest(&step);
        if self.decoder_state() == DecoderState::Propagate {
            run.exit_states = Some(match run.exit_states.take() {
                Some(states) => Tensor::cat(vec![states, newest.clone()], 1),
                None => newest.clone(),
            });
        }
        report.logits = self.exit_logits(run, &mut step, &newest);
        let rows = run.requests.iter().flat_map(|it| vec![it.id; it.search.rows()]);
        for (id, row) in rows.zip(report.logits.chunks_exact_mut(self.config().vocab_size)) {
            adjust(id, row);
        }
        report.requests = self.advance(run, step, &report.logits);
        report
    }

    /// Lets every search choose its tokens, and takes finished requests out.
    fn advance(&self, run: &mut DecoderRun, step: Step, logits: &[f32]) -> Vec<RequestStep> {
        let vocabulary = self.config().vocab_size;
        let total = step.ages.len();
        let mut kept_rows = Vec::new();
        let mut kept = Vec::new();
        let mut reports = Vec::new();
        let first_rows = step.first_rows;
        for ((mut request, exit), first) in run.requests.drain(..).zip(step.exits).zip(first_rows) {
            let rows = request.search.rows();
            let row_logits: Vec<&[f32]> =
                logits[first * vocabulary..].chunks_exact(vocabulary).take(rows).collect();
            let layer = exit.layer;
            request.exits.push(exit);
            let (id, advance) = (request.id, request.search.advance(&row_logits));
            let mut tokens = request.search.best_tokens().to_vec();
            let finished = match advance {
                Ok(Advance::Continue { parents }) => {
                    kept_rows.extend(parents.into_iter().map(|parent| first + parent));
                    kept.push(request);
                    None
                }
                Ok(Advance::Done) => {
                    let answer = request.into_answer();
                    tokens = answer.hypotheses.first().map_or(tokens, |best| best.tokens.clone());
                    Some(Ok(answer))
                }
                Err(error) => Some(Err(error)),
            };
            reports.push(RequestStep { id, layer, tokens, finished });
        }
        run.requests = kept;
        run.select(kept_rows, total);
        reports
    }
}

impl Request {
    fn into_answer(self) -> DecodedAnswer {
        DecodedAnswer {
            hypotheses: self.search.into_hypotheses(),
            exits: self.exits,
            cost: self.cost,
        }
    }
}

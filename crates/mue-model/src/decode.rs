//! The decoder run: requests of any age share a step, and inside a step each leaves at its layer.

mod exits;
mod layer;
mod run;
mod step;

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::exit::BranchPolicy;
use crate::host;
use crate::model::{DecoderState, Ofa};
use crate::prediction::Prediction;
use crate::search::{Advance, BeamSearch, Hypothesis, NonFiniteLogits, SearchSettings};
use crate::source::Source;
use crate::trace::DecoderCost;
use run::Request;
pub use run::{DecoderRun, RequestId};
use step::Step;

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
    /// Rows of the request in these layers: one at first, then one per live beam.
    pub rows: usize,
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
        let total = step.ages.len();
        let mut kept_rows = Vec::new();
        let mut kept = Vec::new();
        let mut reports = Vec::new();
        let rows: Vec<usize> = run.requests.iter().map(|request| request.search.rows()).collect();
        let advances = self.advance_searches(&mut run.requests, &step.first_rows, logits);
        let left = step.exits.into_iter().zip(step.first_rows).zip(rows).zip(advances);
        for (mut request, (((exit, first), rows), advance)) in run.requests.drain(..).zip(left) {
            let (id, layer) = (request.id, exit.layer);
            request.exits.push(exit);
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
            reports.push(RequestStep { id, layer, rows, tokens, finished });
        }
        run.requests = kept;
        run.select(kept_rows, total);
        reports
    }

    /// Each search sees its own rows alone, so with a large vocabulary they go on at the same time.
    fn advance_searches(
        &self,
        requests: &mut [Request],
        first_rows: &[usize],
        logits: &[f32],
    ) -> Vec<Result<Advance, NonFiniteLogits>> {
        let vocabulary = self.config().vocab_size;
        let advance = |(request, first): (&mut Request, &usize)| {
            let rows = logits[first * vocabulary..].chunks_exact(vocabulary);
            let rows: Vec<&[f32]> = rows.take(request.search.rows()).collect();
            request.search.advance(&rows)
        };
        let together = host::CHUNK.div_ceil(vocabulary);
        let searches = requests.par_iter_mut().zip(first_rows).with_min_len(together);
        searches.map(advance).collect()
    }
}

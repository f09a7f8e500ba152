//! Which requests leave a step after a layer, and what they say there.

use burn::tensor::Tensor;

use super::step::Step;
use super::{DecoderRun, Request};
use crate::exit::LayerSignal;
use crate::model::{DecoderState, Ofa};
use crate::rows::{SelectRows, to_host};
use crate::similarity::Products;

impl Ofa {
    pub(super) fn note_step_similarities(
        &self,
        run: &DecoderRun,
        step: &mut Step,
        requests: &[usize],
        (before, after): (Tensor<3>, Tensor<3>),
    ) {
        let asks = |request: &usize| run.requests[*request].policy.needs_similarity();
        if !step.active.iter().any(asks) {
            return;
        }
        let [_, target, _] = before.dims();
        let products = Products::of(before, after);
        let mut first = 0;
        for request in requests {
            let Request { search, policy, .. } = &run.requests[*request];
            let rows = first..first + search.rows();
            first = rows.end;
            if policy.needs_similarity() && step.active.contains(request) {
                let tokens = match self.decoder_state() {
                    DecoderState::RecomputePrefix => search.step() + 1,
                    DecoderState::Propagate | DecoderState::Recompute => 1,
                };
                let similarity = products.cosine(rows, target - tokens..target);
                step.exits[*request].similarities.push(similarity);
            }
        }
    }

    /// Reads the answers of the active requests whose policy asks this layer; after the last one
    /// nothing hangs on them.
    pub(super) fn ask(&self, run: &mut DecoderRun, step: &mut Step, layer: usize) {
        let is_last = layer + 1 == self.decoder().layers.len();
        let asking: Vec<usize> = step
            .active
            .iter()
            .copied()
            .filter(|place| !is_last && run.requests[*place].policy.needs_prediction(layer + 1))
            .collect();
        if asking.is_empty() {
            return;
        }
        let vocabulary = self.config().vocab_size;
        let newest = self.newest(step);
        let logits = self.head(run, step, &newest, &asking);
        let mut rest = logits.as_slice();
        for place in asking {
            let Request { search, cost, .. } = &mut run.requests[place];
            cost.asked(search.rows() as u64 * self.macs().head());
            let (own, others) = rest.split_at(search.rows() * vocabulary);
            rest = others;
            step.note_answer(place, layer + 1, (own, vocabulary));
        }
    }

    /// Logits of every row at its exit state, `[rows, vocabulary]`; those of requests that asked
    /// the layer at which they left are there already.
    pub(super) fn exit_logits(
        &self,
        run: &mut DecoderRun,
        step: &mut Step,
        newest: &Tensor<3>,
    ) -> Vec<f32> {
        let open: Vec<usize> =
            (0..run.requests.len()).filter(|place| !step.is_answered(*place)).collect();
        let computed = match open.is_empty() {
            true => Vec::new(),
            false => self.head(run, step, newest, &open),
        };
        let is_all = open.len() == run.requests.len();
        let mut rest = computed.as_slice();
        let vocabulary = self.config().vocab_size;
        let mut logits = Vec::new();
        for place in 0..run.requests.len() {
            let Request { search, policy, cost, .. } = &mut run.requests[place];
            let was_asked = step.is_answered(place);
            cost.answered(search.rows() as u64 * self.macs().head(), was_asked);
            if let Some(answer) = step.answers[place].as_ref().filter(|_| was_asked) {
                logits.extend_from_slice(&answer.logits);
                continue;
            }
            let (own, others) = rest.split_at(search.rows() * vocabulary);
            rest = others;
            if !is_all {
                logits.extend_from_slice(own);
            }
            let layer = step.exits[place].layer;
            if policy.needs_prediction(layer) {
                step.note_answer(place, layer, (own, vocabulary));
            }
        }
        if is_all { computed } else { logits }
    }

    /// The LM head on the newest tokens of some requests, `[rows, vocabulary]` row-major.
    fn head(
        &self,
        run: &mut DecoderRun,
        step: &Step,
        newest: &Tensor<3>,
        requests: &[usize],
    ) -> Vec<f32> {
        let rows = self.rows_of(run, step, requests);
        run.computed.outside_macs += rows.rows().len() as u64 * self.macs().head();
        let states = newest.clone().select_rows(&rows).squeeze_dim(1); // [rows, d_model]
        to_host(self.decoder().logits(states, self.encoder().token_table()))
    }

    pub(super) fn leave_step(&self, run: &DecoderRun, step: &mut Step, layer: usize) {
        let layers = self.decoder().layers.len();
        let exits = &mut step.exits;
        step.active.retain(|request| {
            let exit = &mut exits[*request];
            exit.layer = layer + 1;
            let Request { search, policy, .. } = &run.requests[*request];
            let similarity = exit.similarities.last().copied();
            let prediction =
                exit.predictions.last().copied().filter(|answer| answer.layer == layer + 1);
            let signal = LayerSignal {
                layer: layer + 1,
                layers,
                step: search.step(),
                similarity,
                prediction,
            };
            !policy.exits(signal)
        });
    }
}

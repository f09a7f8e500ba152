//! One decoder layer of a step, for the requests that still run.

use burn::tensor::Tensor;

use super::step::Step;
use super::{DecoderRun, Request};
use crate::attention::KeysValues;
use crate::model::{DecoderState, Execution, Ofa};
use crate::rows::{RowIndex, SelectRows};
use crate::source::{Attending, cross_attend, pending_macs};

impl Ofa {
    /// Runs one layer for the active requests; returns the rows that it computed.
    pub(super) fn run_layer(&self, run: &mut DecoderRun, step: &mut Step, layer: usize) -> usize {
        let computed = match self.gathers(run, step, layer) {
            true => step.active.clone(),
            false => (0..run.requests.len()).collect(),
        };
        let rows = self.rows_of(run, step, &computed);
        let cached = self.cached(run, step, layer, &rows);
        for request in &computed {
            let tokens = run.requests[*request].source.prepare(self.decoder(), layer);
            run.computed.keys_values(layer, self.macs().cross_keys_values(tokens));
        }
        let before = run.gathering.select(step.hidden.clone(), &rows);
        let bias = self.layer_bias(run, step, layer, &rows);
        let attending: Vec<Attending<'_>> =
            computed.iter().map(|request| self.attending(run, step, *request)).collect();
        let after = self.decoder().layers[layer].forward(
            before.clone(),
            &cached,
            bias,
            |attention, queries| cross_attend(attention, queries, &attending, layer),
        );
        drop(attending);
        let macs = self.charge(run, step, &computed, layer);
        run.computed.layer(layer, rows.rows().len(), macs);
        self.note_step_similarities(run, step, &computed, (before, after.clone()));
        let row_count = rows.rows().len();
        let active = self.rows_of(run, step, &step.active);
        // Without a gather, rows are numbered as in the set.
        let after = match computed.len() == step.active.len() {
            true => after,
            false => run.gathering.select(after, &active),
        };
        step.hidden = run.gathering.put(step.hidden.clone(), after, &active);
        self.ask(run, step, layer);
        self.leave_step(run, step, layer);
        row_count
    }

    /// Whether a layer runs on the active rows alone: their states and caches are gathered then.
    fn gathers(&self, run: &DecoderRun, step: &Step, layer: usize) -> bool {
        let options = self.options();
        if options.execution == Execution::Masked || step.active.len() == run.requests.len() {
            return options.execution == Execution::Compacted;
        }
        let requests = |active: bool| {
            let chosen = run.requests.iter().enumerate();
            let chosen = chosen.filter(move |(place, _)| step.active.contains(place) == active);
            chosen.map(|(_, request)| request)
        };
        let sources = |active: bool| requests(active).map(|request| &request.source);
        let saved = requests(false).map(|request| self.layer_macs(request)).sum::<u64>()
            + pending_macs(self.macs(), layer, sources(true), sources(false));
        let active_rows: usize = requests(true).map(|request| request.search.rows()).sum();
        let elements = active_rows * self.config().d_model * (1 + 2 * run.columns());
        options.gather.pays(elements, saved)
    }

    /// The rows of some requests.
    pub(super) fn rows_of(&self, run: &DecoderRun, step: &Step, requests: &[usize]) -> RowIndex {
        let rows = requests
            .iter()
            .flat_map(|request| {
                let first = step.first_rows[*request];
                first..first + run.requests[*request].search.rows()
            })
            .collect();
        RowIndex::new(rows, step.ages.len(), self.device())
    }

    /// Keys and values that the given rows attend to at a layer, the newest columns included.
    fn cached(
        &self,
        run: &mut DecoderRun,
        step: &Step,
        layer: usize,
        rows: &RowIndex,
    ) -> KeysValues {
        let decoder_layer = &self.decoder().layers[layer];
        if self.decoder_state() != DecoderState::Propagate {
            return decoder_layer.self_keys_values(step.hidden.clone().select_rows(rows));
        }
        let columns = run.columns();
        let filled = run.caches[layer].as_ref().map_or(0, |cache| cache.keys.dims()[2]);
        let mut pending = Vec::new();
        if let Some(states) = run.exit_states.as_ref().filter(|_| filled < columns) {
            pending.push(states.clone().narrow(1, filled, columns - filled));
        }
        pending.push(step.hidden.clone());
        let pending = if pending.len() == 1 { pending.remove(0) } else { Tensor::cat(pending, 1) };
        let fresh = decoder_layer.self_keys_values(pending);
        let valid = step.ages.iter().map(|age| (columns - filled).min(*age) + 1).sum();
        run.computed.keys_values(layer, self.macs().self_keys_values(valid));
        let all = match run.caches[layer].take() {
            Some(cache) => KeysValues::concat(vec![cache, fresh]),
            None => fresh.map(crate::rows::contiguous),
        };
        run.caches[layer] = Some(all.clone());
        run.gathering.select(all, rows)
    }

    fn attending<'a>(&self, run: &'a DecoderRun, step: &Step, request: usize) -> Attending<'a> {
        let Request { source, search, .. } = &run.requests[request];
        let target = step.hidden.dims()[1];
        let positions =
            (0..target).map(|column| (search.step() + column + 1).saturating_sub(target)).collect();
        Attending { source, rows: search.rows(), positions }
    }

    /// The layer's self-attention bias, `[rows, heads, target, cached]`.
    fn layer_bias(
        &self,
        run: &mut DecoderRun,
        step: &Step,
        layer: usize,
        rows: &RowIndex,
    ) -> Tensor<4> {
        let heads = self.config().decoder_attention_heads;
        let bias = step.bias.clone().narrow(3, layer * heads, heads);
        run.gathering.select(bias, rows).permute([0, 3, 1, 2]) // [rows, heads, target, cached]
    }

    /// Books what the layer cost each request alone; returns what it computed for all of them,
    /// without the keys and values that are kept.
    fn charge(&self, run: &mut DecoderRun, step: &Step, requests: &[usize], layer: usize) -> u64 {
        let mut total = 0;
        for place in requests {
            let request = &mut run.requests[*place];
            total += self.layer_macs(request);
            if step.active.contains(place) {
                let tokens = self.tokens_computed(request);
                let Request { source, search, cost, .. } = request;
                cost.layer(self.macs(), source, (search.step(), search.rows()), (layer, tokens));
            }
        }
        total
    }

    /// What a layer computes for a request in this step, without the keys and values that are kept:
    /// its source's, and those of its own tokens unless the prefix is recomputed.
    fn layer_macs(&self, request: &Request) -> u64 {
        let Request { source, search, .. } = request;
        let tokens = self.tokens_computed(request);
        let recomputed = match self.decoder_state() {
            DecoderState::Propagate => 0,
            DecoderState::Recompute | DecoderState::RecomputePrefix => tokens,
        };
        let token = self.macs().decoder_layer(search.step() + 1, source.tokens());
        let row = tokens as u64 * token + self.macs().self_keys_values(recomputed);
        search.rows() as u64 * row
    }

    /// Tokens of each of a request's rows that go through the layers in this step.
    fn tokens_computed(&self, request: &Request) -> usize {
        match self.decoder_state() {
            DecoderState::Propagate => 1,
            DecoderState::Recompute | DecoderState::RecomputePrefix => request.search.step() + 1,
        }
    }
}

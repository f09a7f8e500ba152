//! One decoder layer over the prefixes of a cohort.

use burn::tensor::Tensor;

use super::{AnswerRequest, AnswerRun};
use crate::model::{Execution, Ofa};
use crate::rows::RowIndex;
use crate::similarity::Products;
use crate::source::{Attending, cross_attend, pending_macs};

impl Ofa {
    /// Runs one layer on the rows that are still active, and the answers' head once the last of
    /// them has left; returns how many rows the layer computed.
    ///
    /// # Panics
    ///
    /// If the run is finished.
    pub fn answer_layer(&self, run: &mut AnswerRun) -> usize {
        assert!(!run.is_finished(), "every row of the run has left");
        let layer = run.layer;
        let computed: Vec<usize> = match self.gathers_prefixes(run) {
            true => run.active.clone(),
            false => (0..run.requests.len()).collect(),
        };
        let rows = RowIndex::new(computed.clone(), run.requests.len(), self.device());
        for request in &computed {
            let tokens = run.requests[*request].source.prepare(self.decoder(), layer);
            run.computed.keys_values(layer, self.macs().cross_keys_values(tokens));
        }
        let before = run.gathering.select(run.hidden.clone(), &rows);
        let after = self.forward_prefixes(run, &computed, before.clone());
        for request in &computed {
            run.requests[*request].source.forget(layer);
        }
        self.charge_prefixes(run, &computed);
        let asks = |request: &usize| run.requests[*request].policy.needs_similarity();
        let products = run.active.iter().any(asks).then(|| Products::of(before, after.clone()));
        self.note_exits(run, &computed, products);
        let active = RowIndex::new(run.active.clone(), run.requests.len(), self.device());
        // Without a gather, rows are numbered as in the cohort.
        let after = match computed.len() == run.active.len() {
            true => after,
            false => run.gathering.select(after, &active),
        };
        run.hidden = run.gathering.put(run.hidden.clone(), after, &active);
        run.layer += 1;
        self.ask_prefixes(run);
        self.leave_prefixes(run);
        if run.is_finished() {
            self.answer_exits(run);
        }
        computed.len()
    }

    /// Whether the next layer runs on the active rows alone.
    fn gathers_prefixes(&self, run: &AnswerRun) -> bool {
        let options = self.options();
        if options.execution == Execution::Masked || run.active.len() == run.requests.len() {
            return options.execution == Execution::Compacted;
        }
        let [_, tokens, width] = run.hidden.dims();
        let requests = |active: bool| {
            let chosen = run.requests.iter().enumerate();
            let chosen = chosen.filter(move |(place, _)| run.active.contains(place) == active);
            chosen.map(|(_, request)| request)
        };
        let sources = |active: bool| requests(active).map(|request| &request.source);
        let saved = requests(false).map(|request| self.prefix_macs(request)).sum::<u64>()
            + pending_macs(self.macs(), run.layer, sources(true), sources(false));
        let elements = run.active.len() * tokens * width;
        options.gather.pays(elements, saved)
    }

    fn forward_prefixes(
        &self,
        run: &AnswerRun,
        computed: &[usize],
        before: Tensor<3>,
    ) -> Tensor<3> {
        let target = before.dims()[1];
        let attending: Vec<Attending<'_>> = computed
            .iter()
            .map(|request| {
                let AnswerRequest { source, prefix, .. } = &run.requests[*request];
                // A source has no positions beyond its prefix; what padding sees is never read.
                let positions = (0..target).map(|place| place.min(prefix.len() - 1)).collect();
                Attending { source, rows: 1, positions }
            })
            .collect();
        let layer = &self.decoder().layers[run.layer];
        // Prefixes are padded behind, where the causal mask alone keeps padding out of sight.
        let bias = self.causal_bias(run.layer, target);
        let cached = layer.self_keys_values(before.clone());
        layer.forward(before, &cached, bias, |attention, queries| {
            cross_attend(attention, queries, &attending, run.layer)
        })
    }

    /// A decoder layer's self-attention bias with the causal mask, `[1, heads, tokens, tokens]`.
    pub fn causal_bias(&self, layer: usize, tokens: usize) -> Tensor<4> {
        let heads = self.config().decoder_attention_heads;
        let causal = self.tables().causal(self.decoder().positions(), tokens);
        causal.as_ref().clone().slice([layer..layer + 1, 0..heads, 0..tokens, 0..tokens])
    }

    fn charge_prefixes(&self, run: &mut AnswerRun, computed: &[usize]) {
        let mut macs = 0;
        for place in computed {
            let request = &run.requests[*place];
            macs += self.prefix_macs(request);
            if run.active.contains(place) {
                let tokens = request.prefix.len();
                let (step, layer) = ((tokens - 1, 1), (run.layer, tokens));
                run.costs[*place].layer(self.macs(), &request.source, step, layer);
            }
        }
        run.computed.layer(run.layer, computed.len(), macs);
    }

    /// What a layer computes for a prefix, without its source's keys and values.
    fn prefix_macs(&self, AnswerRequest { source, prefix, .. }: &AnswerRequest) -> u64 {
        let tokens = prefix.len();
        let token = self.macs().decoder_layer(tokens, source.tokens());
        tokens as u64 * token + self.macs().self_keys_values(tokens)
    }

    fn note_exits(&self, run: &mut AnswerRun, computed: &[usize], products: Option<Products>) {
        for (place, request) in computed.iter().enumerate() {
            if !run.active.contains(request) {
                continue;
            }
            let exit = &mut run.exits[*request];
            exit.layer = run.layer + 1;
            let AnswerRequest { policy, prefix, .. } = &run.requests[*request];
            if let Some(products) = products.as_ref().filter(|_| policy.needs_similarity()) {
                exit.similarities.push(products.cosine(place..place + 1, 0..prefix.len()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tiny_model::{encoded, model};
    use crate::{AnswerRequest, BranchPolicy};

    #[test]
    fn keys_and_values_are_held_while_their_layer_runs() {
        let model = model();
        let prefix = vec![0, 5, 6];
        let source = model.source(encoded(&model), prefix.len());
        let request = AnswerRequest { source, prefix, policy: BranchPolicy::Full };
        let mut run = model.begin_answers(vec![request], &[4, 5, 6]);
        while !run.is_finished() {
            model.answer_layer(&mut run);
            assert_eq!(run.requests[0].source.layers_held(), 0);
        }
    }
}

//! The beginning of a step: every row enters the first layer.

use burn::tensor::Tensor;

use super::{DecoderRun, Request, StepExit};
use crate::model::{DecoderState, Ofa};
use crate::prediction::LayerAnswer;
use crate::rows::{index, token_ids};
use crate::tables::PairTable;

/// The state of one step while it goes through the layers.
pub(super) struct Step {
    /// Residual stream of every row, `[rows, target, d_model]`; frozen where a row has left.
    pub(super) hidden: Tensor<3>,
    /// Self-attention bias of every layer, `[rows, target, cached, layers * heads]`.
    pub(super) bias: Tensor<4>,
    /// Requests still running.
    pub(super) active: Vec<usize>,
    /// By request: first row.
    pub(super) first_rows: Vec<usize>,
    /// By row: tokens processed before this step.
    pub(super) ages: Vec<usize>,
    pub(super) exits: Vec<StepExit>,
    /// By request: the answer of the newest layer that was asked.
    pub(super) answers: Vec<Option<LayerAnswer>>,
}

impl Step {
    /// Whether the logits of a request's exit layer are there.
    pub(super) fn is_answered(&self, request: usize) -> bool {
        let exit = self.exits[request].layer;
        self.answers[request].as_ref().is_some_and(|answer| answer.prediction.layer == exit)
    }

    pub(super) fn note_answer(
        &mut self,
        request: usize,
        layer: usize,
        (logits, width): (&[f32], usize),
    ) {
        let before = self.answers[request].as_ref();
        let answer = LayerAnswer::new(layer, logits.to_vec(), width, before);
        self.exits[request].predictions.push(answer.prediction);
        self.answers[request] = Some(answer);
    }
}

impl Ofa {
    /// State of the newest column, `[rows, 1, d_model]`.
    pub(super) fn newest(&self, step: &Step) -> Tensor<3> {
        let target = step.hidden.dims()[1];
        step.hidden.clone().narrow(1, target - 1, 1)
    }

    pub(super) fn begin_step(&self, run: &mut DecoderRun) -> Step {
        for Request { source, search, .. } in &mut run.requests {
            self.reach(source, search.step() + 1);
        }
        let ages = run.ages();
        let oldest = ages.iter().copied().max().unwrap_or(0);
        let columns = match self.decoder_state() {
            DecoderState::Propagate => run.columns(),
            DecoderState::Recompute | DecoderState::RecomputePrefix => oldest,
        };
        let target = match self.decoder_state() {
            DecoderState::Propagate => 1,
            DecoderState::Recompute | DecoderState::RecomputePrefix => columns + 1,
        };
        let tokens: Vec<Vec<u32>> = run
            .requests
            .iter()
            .flat_map(|request| request.search.prefixes(target, self.config().pad_token_id))
            .collect();
        let embedded = self.encoder().embed(token_ids(&tokens, self.device()));
        let hidden = self.decoder().embed(embedded);
        let table = self.tables().pairs(self.decoder().positions(), oldest + 1);
        let bias = step_bias(&table, &ages, columns + 1, target);
        Step {
            hidden,
            bias,
            active: (0..run.requests.len()).collect(),
            first_rows: run.first_rows(),
            ages,
            exits: vec![StepExit::none(); run.requests.len()],
            answers: vec![None; run.requests.len()],
        }
    }
}

/// Bias of the last `target` columns against all `columns`, for rows of different ages,
/// `[rows, target, columns, layers * heads]`.
fn step_bias(table: &PairTable, ages: &[usize], columns: usize, target: usize) -> Tensor<4> {
    let masked = table.tokens * table.tokens;
    let mut pairs = Vec::with_capacity(ages.len() * target * columns);
    for age in ages {
        let position = |column: usize| (age + column + 1).checked_sub(columns);
        for query in columns - target..columns {
            let query = position(query);
            pairs.extend((0..columns).map(|key| match (query, position(key)) {
                (Some(query), Some(key)) if key <= query => query * table.tokens + key,
                // Also columns before the row's first token: what they compute is never read.
                _ => masked,
            }));
        }
    }
    let width = table.pairs.dims()[1];
    let pairs = index(&pairs, &table.pairs.device());
    table.pairs.clone().select(0, pairs).reshape([ages.len(), target, columns, width])
}

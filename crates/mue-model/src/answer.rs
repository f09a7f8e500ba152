//! One-token answers: visual entailment is one pass over the prompt (OFA's prompt prefix).

mod layer;

use burn::tensor::{Int, Tensor};

use crate::computed::Computed;
use crate::decode::StepExit;
use crate::exit::{BranchPolicy, LayerSignal};
use crate::gather::Gathering;
use crate::model::Ofa;
use crate::prediction::{LayerAnswer, Prediction};
use crate::rows::{index, to_host, token_ids};
use crate::search::NonFiniteLogits;
use crate::source::Source;
use crate::trace::DecoderCost;

/// A prompt whose next token is the answer.
#[derive(Debug)]
pub struct AnswerRequest {
    /// The encoder output.
    pub source: Source,
    /// What the decoder is fed: BOS and the prompt, no EOS.
    pub prefix: Vec<u32>,
    /// How the decoder exits: all positions of the prefix leave after the same layer.
    pub policy: BranchPolicy,
}

/// The scores of the answers.
#[derive(Clone, Debug)]
pub struct ScoredAnswer {
    /// Logits of the answer tokens, in the order given.
    pub logits: Vec<f32>,
    /// Logarithms of their softmax.
    pub log_probs: Vec<f32>,
    /// The most probable answer, and how sure it is.
    pub prediction: Prediction,
    /// Where the decoder left.
    pub exit: StepExit,
    /// What the decoder computed.
    pub cost: DecoderCost,
}

/// A cohort of prefixes, resumable layer by layer.
#[derive(Debug)]
pub struct AnswerRun {
    requests: Vec<AnswerRequest>,
    /// `[rows, tokens, d_model]`, frozen where a row has left.
    hidden: Tensor<3>,
    /// Requests that still run.
    active: Vec<usize>,
    exits: Vec<StepExit>,
    costs: Vec<DecoderCost>,
    /// The head's rows of the answers, `[answers, d_model]`.
    table: Tensor<2>,
    /// By request: the answer of the newest layer that was asked.
    answers: Vec<Option<LayerAnswer>>,
    layer: usize,
    computed: Computed,
    gathering: Gathering,
}

impl AnswerRun {
    /// Whether every row has left.
    pub fn is_finished(&self) -> bool {
        self.active.is_empty()
    }

    /// Requests that still run.
    pub fn active_rows(&self) -> &[usize] {
        &self.active
    }

    /// Whether the newest answer of a row is of the layer that it is at.
    fn was_asked(&self, row: usize) -> bool {
        let answer = self.answers[row].as_ref();
        answer.is_some_and(|answer| answer.prediction.layer == self.exits[row].layer)
    }

    /// The residual stream, `[rows, tokens, d_model]`; a row's padding is behind its prefix.
    pub fn hidden(&self) -> Tensor<3> {
        self.hidden.clone()
    }

    /// What was computed so far.
    pub fn computed(&self) -> &Computed {
        &self.computed
    }

    /// What was gathered since this was last asked.
    pub fn take_gathering(&mut self) -> Gathering {
        std::mem::take(&mut self.gathering)
    }
}

impl Ofa {
    /// Starts one pass over the prefixes of a cohort, to choose among the tokens `answers`.
    ///
    /// # Panics
    ///
    /// If a prefix is empty or longer than the model has positions for.
    pub fn begin_answers(&self, mut requests: Vec<AnswerRequest>, answers: &[u32]) -> AnswerRun {
        let longest = requests.iter().map(|request| request.prefix.len()).max().unwrap_or(0);
        let positions = self.decoder().positions().tokens_max();
        assert!(longest <= positions, "a prefix has at most {positions} tokens");
        for AnswerRequest { source, prefix, .. } in &mut requests {
            self.reach(source, prefix.len());
        }
        let pad = self.config().pad_token_id;
        let padded: Vec<Vec<u32>> = requests
            .iter()
            .map(|request| {
                assert!(!request.prefix.is_empty(), "a prefix starts with BOS");
                let mut prefix = request.prefix.clone();
                prefix.resize(longest, pad);
                prefix
            })
            .collect();
        let embedded = self.encoder().embed(token_ids(&padded, self.device()));
        let ids: Vec<usize> = answers.iter().map(|id| *id as usize).collect();
        AnswerRun {
            table: self.encoder().token_table().clone().select(0, index(&ids, self.device())),
            answers: vec![None; requests.len()],
            hidden: self.decoder().embed(embedded),
            active: (0..requests.len()).collect(),
            exits: vec![StepExit::none(); requests.len()],
            costs: vec![DecoderCost::new(self.decoder().layers.len()); requests.len()],
            requests,
            layer: 0,
            computed: Computed::default(),
            gathering: Gathering::default(),
        }
    }

    fn leave_prefixes(&self, run: &mut AnswerRun) {
        let layers = self.decoder().layers.len();
        let AnswerRun { active, requests, exits, answers, layer, .. } = run;
        let layer = *layer;
        active.retain(|request| {
            let similarity = exits[*request].similarities.last().copied();
            let prediction = answers[*request].as_ref().map(|answer| answer.prediction);
            let prediction = prediction.filter(|prediction| prediction.layer == layer);
            let signal = LayerSignal { layer, layers, step: 0, similarity, prediction };
            !requests[*request].policy.exits(signal)
        });
    }

    /// Reads the answers of the active rows whose policy asks the layer just run; after the last
    /// one nothing hangs on them.
    fn ask_prefixes(&self, run: &mut AnswerRun) {
        let is_last = run.layer == self.decoder().layers.len();
        let asks = |row: &usize| run.requests[*row].policy.needs_prediction(run.layer);
        let asking: Vec<usize> =
            run.active.iter().copied().filter(|row| !is_last && asks(row)).collect();
        self.answer_rows(run, &asking);
        let head = self.answer_macs(run);
        for row in asking {
            run.costs[row].asked(head);
        }
    }

    /// Reads the answers of some rows: the head's rows of the answers only.
    fn answer_rows(&self, run: &mut AnswerRun, rows: &[usize]) {
        if rows.is_empty() {
            return;
        }
        run.computed.outside_macs += rows.len() as u64 * self.answer_macs(run);
        let last: Vec<usize> = rows.iter().map(|row| run.requests[*row].prefix.len() - 1).collect();
        let newest = last_tokens(run.hidden.clone(), rows, &last);
        let logits = to_host(self.decoder().logits(newest, run.table.clone()));
        let width = run.table.dims()[0];
        for (row, logits) in rows.iter().zip(logits.chunks_exact(width)) {
            let exit = &mut run.exits[*row];
            let before = run.answers[*row].as_ref();
            let answer = LayerAnswer::new(exit.layer, logits.to_vec(), width, before);
            if run.requests[*row].policy.needs_prediction(exit.layer) {
                exit.predictions.push(answer.prediction);
            }
            run.answers[*row] = Some(answer);
        }
    }

    fn answer_macs(&self, run: &AnswerRun) -> u64 {
        self.macs().head_of(run.table.dims()[0])
    }

    /// Reads the answers of a finished run's rows that were not asked at the layer where they left,
    /// and books the head of every row.
    fn answer_exits(&self, run: &mut AnswerRun) {
        let open: Vec<usize> = (0..run.requests.len()).filter(|row| !run.was_asked(*row)).collect();
        let head = self.answer_macs(run);
        for row in 0..run.requests.len() {
            let was_asked = run.was_asked(row);
            run.costs[row].answered(head, was_asked);
        }
        self.answer_rows(run, &open);
    }

    /// The answers of a finished run, each at its exit state.
    ///
    /// # Panics
    ///
    /// If the run is not finished.
    pub fn finish_answers(&self, run: AnswerRun) -> Vec<Result<ScoredAnswer, NonFiniteLogits>> {
        assert!(run.is_finished(), "some row of the run has not left");
        let answers = run.answers.into_iter().flatten().zip(run.exits).zip(run.costs);
        answers
            .map(|((answer, exit), cost)| {
                let log_probs = log_softmax(&answer.logits)?;
                let LayerAnswer { prediction, logits, .. } = answer;
                Ok(ScoredAnswer { logits, log_probs, prediction, exit, cost })
            })
            .collect()
    }

    /// All answers of a cohort.
    pub fn answer(
        &self,
        requests: Vec<AnswerRequest>,
        answers: &[u32],
    ) -> Vec<Result<ScoredAnswer, NonFiniteLogits>> {
        let mut run = self.begin_answers(requests, answers);
        while !run.is_finished() {
            self.answer_layer(&mut run);
        }
        self.finish_answers(run)
    }
}

/// The last token of some rows, `[all rows, tokens, d_model]` to `[rows, d_model]`.
fn last_tokens(hidden: Tensor<3>, rows: &[usize], last: &[usize]) -> Tensor<2> {
    let [all, tokens, width] = hidden.dims();
    let flat: Vec<usize> = rows.iter().zip(last).map(|(row, token)| row * tokens + token).collect();
    let flat: Tensor<1, Int> = index(&flat, &hidden.device());
    hidden.reshape([all * tokens, width]).select(0, flat)
}

fn log_softmax(logits: &[f32]) -> Result<Vec<f32>, NonFiniteLogits> {
    let log_sum = crate::search::log_sum_exp(logits)?;
    Ok(logits.iter().map(|logit| logit - log_sum).collect())
}

//! Requests that decode together: captions token by token, entailments in one pass.

use std::collections::HashMap;

use mue_batcher::{DecodeReport, RequestId};
use mue_model::{AnswerRequest, DecodedAnswer, DecoderRun, RequestStep, ScoredAnswer};

use super::BatchOfa;
use super::cohort::Encoded;
use crate::answer::{Caption, EncoderTrace, Entailment, Reply, TokenExit};
use crate::observer::{Branch, LayerStep};
use crate::request::Task;

/// Requests between their encoding and their answer.
pub struct DecodeSet {
    run: DecoderRun,
    captions: HashMap<mue_model::RequestId, Captioning>,
    /// Entailments, answered by the next step.
    entailments: Vec<(RequestId, AnswerRequest, EncoderTrace)>,
}

/// A caption in the making.
struct Captioning {
    id: RequestId,
    trace: EncoderTrace,
    /// Whether each step decides a token; among several beams, only the last step decides all.
    is_greedy: bool,
}

impl DecodeSet {
    pub(super) fn new(run: DecoderRun) -> Self {
        Self { run, captions: HashMap::new(), entailments: Vec::new() }
    }

    /// Frees the other requests.
    pub(super) fn retain(&mut self, keep: &dyn Fn(RequestId) -> bool) {
        self.entailments.retain(|(id, ..)| keep(*id));
        let captions = &mut self.captions;
        self.run.cancel(|id| captions.get(&id).is_none_or(|caption| !keep(caption.id)));
        captions.retain(|_, caption| keep(caption.id));
    }
}

impl BatchOfa {
    pub(super) fn join_one(&self, set: &mut DecodeSet, id: RequestId, encoded: Encoded) {
        let Encoded { request, parts } = encoded;
        let trace = EncoderTrace::new(&parts, self.model.macs());
        match request.task {
            Task::Caption { search } => {
                let is_greedy = search.beam_size == 1;
                // It grows with the caption, which is mostly far shorter than it may be.
                let source = self.model.source(parts, 1);
                let policy = request.policy.decoder;
                let place = self.model.join_decode(&mut set.run, source, policy, search);
                set.captions.insert(place, Captioning { id, trace, is_greedy });
            }
            Task::Entailment { prompt: mut prefix } => {
                prefix.pop(); // the decoder is fed the prompt without EOS
                let source = self.model.source(parts, prefix.len());
                let request = AnswerRequest { source, prefix, policy: request.policy.decoder };
                set.entailments.push((id, request, trace));
            }
        }
    }

    /// Answers the entailments that have joined, then decodes one token of every caption.
    pub(super) fn decode_step(&self, set: &mut DecodeSet) -> DecodeReport<Self> {
        let mut report = DecodeReport {
            layer_rows: Vec::new(),
            events: Vec::new(),
            finished: Vec::new(),
            failed: Vec::new(),
        };
        if !set.entailments.is_empty() {
            self.answer(std::mem::take(&mut set.entailments), &mut report);
        }
        if !set.run.is_finished() {
            let step = self.model.decode_token(&mut set.run);
            self.computed(&step.layer_rows, &mut report);
            self.gathered(Branch::Decoder, set.run.take_gathering());
            for request in step.requests {
                self.advance(set, request, &mut report);
            }
        }
        report
    }

    fn answer(
        &self,
        entailments: Vec<(RequestId, AnswerRequest, EncoderTrace)>,
        report: &mut DecodeReport<Self>,
    ) {
        let (mut requests, mut whose) = (Vec::new(), Vec::new());
        for (id, request, trace) in entailments {
            requests.push(request);
            whose.push((id, trace));
        }
        let mut run = self.model.begin_answers(requests, &self.folder.answer_ids);
        let mut layer_rows = Vec::new();
        while !run.is_finished() {
            layer_rows.push(self.model.answer_layer(&mut run));
        }
        self.computed(&layer_rows, report);
        self.gathered(Branch::Decoder, run.take_gathering());
        let answers = self.model.finish_answers(run);
        for ((id, trace), answer) in whose.into_iter().zip(answers) {
            match answer {
                Ok(answer) => report.finished.push((id, self.entailment(answer, trace))),
                Err(error) => report.failed.push((id, error)),
            }
        }
    }

    fn advance(&self, set: &mut DecodeSet, step: RequestStep, report: &mut DecodeReport<Self>) {
        let Some(&Captioning { id, is_greedy, .. }) = set.captions.get(&step.id) else { return };
        if is_greedy && let Some(token) = self.newest(&step) {
            report.events.push((id, token));
        }
        let Some(answer) = step.finished else { return };
        let Some(Captioning { trace, .. }) = set.captions.remove(&step.id) else { return };
        match answer.map(|answer| self.caption(answer, trace)) {
            Ok(caption) => {
                if !is_greedy {
                    report.events.extend(caption.tokens.iter().map(|token| (id, token.clone())));
                }
                report.finished.push((id, Reply::Caption(caption)));
            }
            Err(error) => report.failed.push((id, error)),
        }
    }

    /// The token that a step of one beam decided, unless it is the end.
    fn newest(&self, step: &RequestStep) -> Option<TokenExit> {
        if *step.tokens.last()? == self.model.special_tokens().eos {
            return None;
        }
        let pieces = self.folder.tokenizer.pieces(&step.tokens);
        Some(TokenExit { text: pieces.into_iter().next_back()?, layer: step.layer })
    }

    fn computed(&self, layer_rows: &[usize], report: &mut DecodeReport<Self>) {
        for (index, rows) in layer_rows.iter().enumerate() {
            let step = LayerStep { branch: Branch::Decoder, layer: index + 1, rows: *rows };
            self.observer.layer(&step);
            match report.layer_rows.get_mut(index) {
                Some(total) => *total += rows,
                None => report.layer_rows.push(*rows),
            }
        }
    }

    fn caption(&self, answer: DecodedAnswer, trace: EncoderTrace) -> Caption {
        let eos = self.model.special_tokens().eos;
        Caption::new(answer, trace, (&self.folder.tokenizer, eos))
    }

    fn entailment(&self, answer: ScoredAnswer, trace: EncoderTrace) -> Reply {
        Reply::Entailment(Entailment::new(answer, trace, &self.folder.settings.answers))
    }
}

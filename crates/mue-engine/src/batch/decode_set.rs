//! Requests that decode together: captions token by token, entailments in one pass, or in two if the
//! first answer is deferred.

use std::collections::HashMap;

use mue_batcher::{DecodeReport, RequestId};
use mue_model::{DecodedAnswer, DecoderRun, ExitPolicy, RequestStep};

use super::BatchOfa;
use super::cohort::Encoded;
use super::entailments::{Entailments, Judging};
use super::image_cache::CacheKey;
use super::telling::Telling;
use crate::answer::{Caption, EncoderTrace, Reply};
use crate::calibration::Deferral;
use crate::observer::{Branch, LayerStep};
use crate::request::Task;

/// Requests between their encoding and their answer.
pub struct DecodeSet {
    run: DecoderRun,
    captions: HashMap<mue_model::RequestId, Captioning>,
    entailments: Entailments,
}

/// A caption in the making.
struct Captioning {
    id: RequestId,
    trace: EncoderTrace,
    telling: Telling,
}

impl DecodeSet {
    pub(super) fn new(run: DecoderRun) -> Self {
        Self { run, captions: HashMap::new(), entailments: Entailments::default() }
    }

    /// Frees the other requests.
    pub(super) fn retain(&mut self, keep: &dyn Fn(RequestId) -> bool) {
        self.entailments.retain(keep);
        let captions = &mut self.captions;
        self.run.cancel(|id| captions.get(&id).is_none_or(|caption| !keep(caption.id)));
        captions.retain(|_, caption| keep(caption.id));
    }
}

/// Rows active at each layer of a step, first layer first: those of the requests that ran it.
fn active_rows(steps: &[RequestStep]) -> impl Iterator<Item = usize> {
    (1..).map(|layer| steps.iter().filter(|step| step.layer >= layer).map(|step| step.rows).sum())
}

impl BatchOfa {
    /// Adds a request to the set; `streams` says whether somebody listens to its tokens.
    pub(super) fn join_one(
        &self,
        set: &mut DecodeSet,
        (id, encoded): (RequestId, Encoded),
        streams: bool,
    ) {
        let Encoded { request, parts } = encoded;
        match request.task {
            Task::Caption { search } => {
                let trace = EncoderTrace::new(&parts, self.model.macs());
                let telling = Telling::new(streams, search.beam_size);
                // It grows with the caption, which is mostly far shorter than it may be.
                let source = self.model.source(parts, 1);
                let policy = request.policy.decoder;
                let place = self.model.join_decode(&mut set.run, source, policy, search);
                set.captions.insert(place, Captioning { id, trace, telling });
            }
            Task::Entailment { prompt: mut prefix, deferral } => {
                prefix.pop(); // the decoder is fed the prompt without EOS
                let ExitPolicy { image, decoder: policy, .. } = request.policy;
                let key =
                    |deferral: Deferral| CacheKey::resumed(&request.image, &image, deferral.image);
                let deferral = deferral.map(|deferral| (deferral, key(deferral)));
                let judging = Judging { id, prefix, policy, parts, deferral, first: None };
                set.entailments.join(judging);
            }
        }
    }

    /// Answers the entailments that have joined and has the pictures of deferred ones go on by a layer;
    /// beside that, decodes one token of every caption.
    pub(super) fn decode_step(&self, set: &mut DecodeSet) -> DecodeReport<Self> {
        let mut report = DecodeReport {
            layer_rows: Vec::new(),
            events: Vec::new(),
            finished: Vec::new(),
            failed: Vec::new(),
        };
        let DecodeSet { entailments, run, .. } = set;
        let ((), token) = self.model.both(
            || self.judge(entailments, &mut report),
            || (!run.is_finished()).then(|| self.model.decode_token(run)),
        );
        if let Some(step) = token {
            let active = active_rows(&step.requests);
            self.computed(step.layer_rows.into_iter().zip(active), &mut report);
            self.gathered(Branch::Decoder, set.run.take_gathering());
            for request in step.requests {
                self.advance(set, request, &mut report);
            }
        }
        report
    }

    fn advance(&self, set: &mut DecodeSet, step: RequestStep, report: &mut DecodeReport<Self>) {
        let Some(caption) = set.captions.get_mut(&step.id) else { return };
        let Some(answer) = step.finished else {
            let told = caption.telling.newest(&self.folder.tokenizer, &step);
            report.events.extend(told.into_iter().map(|token| (caption.id, token)));
            return;
        };
        let Some(caption) = set.captions.remove(&step.id) else { return };
        let Captioning { id, trace, telling } = caption;
        match answer.map(|answer| self.caption(answer, trace)) {
            Ok(caption) => {
                let told = telling.last(&self.folder.tokenizer, &caption);
                report.events.extend(told.into_iter().map(|token| (id, token)));
                report.finished.push((id, Reply::Caption(caption)));
            }
            Err(error) => report.failed.push((id, error)),
        }
    }

    /// Tells of each layer's rows: computed, and active.
    pub(super) fn computed(
        &self,
        layers: impl IntoIterator<Item = (usize, usize)>,
        report: &mut DecodeReport<Self>,
    ) {
        for (index, (rows, active)) in layers.into_iter().enumerate() {
            let (branch, layer) = (Branch::Decoder, index + 1);
            self.observer.layer(&LayerStep { branch, layer, rows, active });
            match report.layer_rows.get_mut(index) {
                Some(total) => *total += rows,
                None => report.layer_rows.push(rows),
            }
        }
    }

    fn caption(&self, answer: DecodedAnswer, trace: EncoderTrace) -> Caption {
        let eos = self.model.special_tokens().eos;
        Caption::new(answer, trace, (&self.folder.tokenizer, eos))
    }
}

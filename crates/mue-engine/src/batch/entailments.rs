//! Entailments of a decode set. Each is answered in one pass; where that answer is not sure enough, its
//! picture goes on, a layer with each step, and it is answered again.

use std::sync::Arc;

use mue_batcher::{DecodeReport, RequestId};
use mue_model::{
    AnswerRequest, BranchEncoding, BranchPolicy, BranchRun, DecoderCost, NonFiniteLogits,
    ScoredAnswer,
};

use super::BatchOfa;
use super::image_cache::CacheKey;
use crate::answer::{EncoderTrace, Entailment, FirstReading, Reply};
use crate::calibration::Deferral;
use crate::observer::Branch;

/// Those between their encoding and their answer.
#[derive(Default)]
pub(super) struct Entailments {
    /// Read by the next step.
    ready: Vec<Judging>,
    /// Deferred until their pictures have gone on, the first one first.
    deferred: Vec<Judging>,
    resumed: Option<Resumed>,
}

/// One of them.
pub(super) struct Judging {
    pub(super) id: RequestId,
    /// What the decoder is fed.
    pub(super) prefix: Vec<u32>,
    /// How the decoder exits.
    pub(super) policy: BranchPolicy,
    /// Image and text, or both in one.
    pub(super) parts: Vec<Arc<BranchEncoding>>,
    /// When it is deferred, and under which key its picture's further encoding is kept.
    pub(super) deferral: Option<(Deferral, CacheKey)>,
    /// Where an answer was read that was not sure enough, and what that cost.
    pub(super) first: Option<(FirstReading, DecoderCost)>,
}

/// Pictures that go on together, each to a layer of its own, and under which keys. Each has somebody
/// who waits for it among the deferred, or is cancelled.
struct Resumed {
    run: BranchRun,
    keys: Vec<CacheKey>,
}

impl Entailments {
    pub(super) fn join(&mut self, judging: Judging) {
        self.ready.push(judging);
    }

    /// Frees the other requests: pictures for which nobody waits any more do not go on.
    pub(super) fn retain(&mut self, keep: &dyn Fn(RequestId) -> bool) {
        self.ready.retain(|judging| keep(judging.id));
        self.deferred.retain(|judging| keep(judging.id));
        let deferred = &self.deferred;
        if let Some(Resumed { run, keys }) = &mut self.resumed {
            run.cancel_rows(|row| deferred.iter().all(|judging| !judging.waits_for(&keys[row])));
        }
        self.resumed.take_if(|resumed| resumed.run.is_finished());
    }

    /// Has those who wait for a picture read it by the next step.
    fn hand_out(&mut self, key: &CacheKey, image: &Arc<BranchEncoding>) {
        let waiting = self.deferred.extract_if(.., |judging| judging.waits_for(key));
        self.ready.extend(waiting.map(|judging| judging.about(Arc::clone(image))));
    }
}

impl Judging {
    fn image(&self) -> &Arc<BranchEncoding> {
        self.parts.first().expect("a request has at least one branch")
    }

    fn waits_for(&self, key: &CacheKey) -> bool {
        self.deferral.as_ref().is_some_and(|(_, own)| own == key)
    }

    /// Whether this answer is not given.
    fn defers(&self, answer: &ScoredAnswer) -> bool {
        let depth = self.image().exit().into();
        self.first.is_none()
            && self
                .deferral
                .as_ref()
                .is_some_and(|(deferral, _)| deferral.defers(answer.prediction.probability, depth))
    }

    /// The same of a picture that has gone on.
    fn about(mut self, image: Arc<BranchEncoding>) -> Self {
        self.parts[0] = image;
        self
    }
}

impl BatchOfa {
    /// One step: deferred pictures go on by a layer, and whoever is ready is answered or deferred.
    pub(super) fn judge(&self, set: &mut Entailments, report: &mut DecodeReport<Self>) {
        self.go_on(set);
        let ready = std::mem::take(&mut set.ready);
        if ready.is_empty() {
            return;
        }
        let answers = self.read(&ready, report);
        for (mut judging, answer) in ready.into_iter().zip(answers) {
            match answer {
                Ok(answer) if judging.defers(&answer) => {
                    let (image, decoder) = (judging.image().exit().layer, answer.exit.layer);
                    judging.first = Some((FirstReading { image, decoder }, answer.cost));
                    self.defer(set, judging);
                }
                Ok(answer) => report.finished.push(self.judged(judging, answer)),
                Err(error) => report.failed.push((judging.id, error)),
            }
        }
    }

    /// One pass over prefixes.
    fn read(
        &self,
        all: &[Judging],
        report: &mut DecodeReport<Self>,
    ) -> Vec<Result<ScoredAnswer, NonFiniteLogits>> {
        let request = |judging: &Judging| AnswerRequest {
            source: self.model.source(judging.parts.clone(), judging.prefix.len()),
            prefix: judging.prefix.clone(),
            policy: judging.policy.clone(),
        };
        let requests = all.iter().map(request).collect();
        let mut run = self.model.begin_answers(requests, &self.folder.answer_ids);
        let mut layers = Vec::new();
        while !run.is_finished() {
            let active = run.active_rows().len();
            layers.push((self.model.answer_layer(&mut run), active));
        }
        self.computed(layers, report);
        self.gathered(Branch::Decoder, run.take_gathering());
        self.model.finish_answers(run)
    }

    /// Has an entailment wait until its picture has gone on, unless it has.
    fn defer(&self, set: &mut Entailments, judging: Judging) {
        let (_, key) = judging.deferral.as_ref().expect("only those are deferred");
        match self.images().get(key) {
            Some(known) => set.ready.push(judging.about(known)),
            None => set.deferred.push(judging),
        }
    }

    /// One layer of the pictures that go on. While they do others wait, so that a step has no more of
    /// them than a cohort has, and those who wait go on together.
    fn go_on(&self, set: &mut Entailments) {
        let resumed = set.resumed.take().or_else(|| self.resume(&set.deferred));
        let Some(Resumed { mut run, keys }) = resumed else { return };
        let layer = self.layer(Branch::Image, &mut run);
        for (row, image) in layer.into_iter().flat_map(|layer| layer.exited) {
            let image = Arc::new(image);
            set.hand_out(&keys[row], &image);
            self.keep_image(keys[row].clone(), image);
        }
        set.resumed = Some(Resumed { run, keys }).filter(|resumed| !resumed.run.is_finished());
    }

    /// Has pictures begin to go on: the first one's that waits and those that left where it did, each
    /// once, however many wait for it.
    fn resume(&self, deferred: &[Judging]) -> Option<Resumed> {
        let left_at = deferred.first()?.image().exit().layer;
        let (mut keys, mut images) = (Vec::new(), Vec::new());
        for judging in deferred.iter().filter(|it| it.image().exit().layer == left_at) {
            let (deferral, key) = judging.deferral.as_ref().expect("only those are deferred");
            if keys.len() < self.cohort_rows_max && !keys.contains(key) {
                keys.push(key.clone());
                images.push((Arc::clone(judging.image()), deferral.image));
            }
        }
        Some(Resumed { run: self.model.resume_images(&images), keys })
    }

    /// An answer, with what was deferred for it.
    fn judged(&self, judging: Judging, mut answer: ScoredAnswer) -> (RequestId, Reply) {
        let (macs, words) = (self.model.macs(), &self.folder.settings.answers);
        let trace = EncoderTrace::new(&judging.parts, macs);
        let first = judging.first.map(|(first, cost)| {
            // The text's keys and values are there already.
            let text = judging.parts.iter().skip(1).map(|part| part.tokens()).sum();
            answer.cost.read_before(&cost, macs.cross_keys_values(text));
            first
        });
        (judging.id, Reply::Entailment(Entailment::new((answer, first), trace, words)))
    }
}

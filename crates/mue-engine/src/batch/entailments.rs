//! Entailments of a decode set: each is answered in one pass, and, where that answer is not sure enough,
//! in another on a picture that has gone on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mue_batcher::{DecodeReport, RequestId};
use mue_model::{
    AnswerRequest, BranchEncoding, BranchPolicy, ExitPolicy, NonFiniteLogits, ScoredAnswer,
};

use super::BatchOfa;
use super::image_cache::CacheKey;
use crate::answer::{EncoderTrace, Entailment, Reply};
use crate::calibration::Deferral;
use crate::observer::Branch;
use crate::request::Image;

/// A request between its encoding and its answer.
pub(super) struct Judging {
    pub(super) id: RequestId,
    pub(super) image: Image,
    pub(super) policy: ExitPolicy,
    pub(super) deferral: Option<Deferral>,
    /// What the decoder is fed.
    pub(super) prefix: Vec<u32>,
    /// Image and text, or both in one.
    pub(super) parts: Vec<Arc<BranchEncoding>>,
}

impl Judging {
    fn image_encoding(&self) -> &Arc<BranchEncoding> {
        self.parts.first().expect("a request has at least one branch")
    }

    /// How far its picture is to go on for this answer, if it is deferred.
    fn defers(&self, answer: &ScoredAnswer) -> Option<usize> {
        let (deferral, depth) = (self.deferral?, self.image_encoding().exit().into());
        deferral.defers(answer.prediction.probability, depth).then_some(deferral.image)
    }
}

/// An answer that is deferred until its picture has gone on.
struct Deferred {
    judging: Judging,
    answer: ScoredAnswer,
    /// To which layer.
    layers: usize,
    /// Under which key the picture's further encoding is kept.
    key: CacheKey,
}

impl BatchOfa {
    /// Answers entailments.
    pub(super) fn judge(&self, all: Vec<Judging>, report: &mut DecodeReport<Self>) {
        let answers = self.read(&all, report);
        let mut deferred = Vec::new();
        for (judging, answer) in all.into_iter().zip(answers) {
            let layers = answer.as_ref().ok().and_then(|answer| judging.defers(answer));
            match (answer, layers) {
                (Ok(answer), Some(layers)) => {
                    let key = CacheKey::resumed(&judging.image, &judging.policy.image, layers);
                    deferred.push(Deferred { judging, answer, layers, key });
                }
                (answer, _) => self.judged(&judging, answer.map(|answer| (answer, None)), report),
            }
        }
        if !deferred.is_empty() {
            self.observer.deferred(deferred.len());
            self.judge_again(deferred, report);
        }
    }

    /// Answers those whose pictures have to go on first, whatever the answers then are.
    fn judge_again(&self, deferred: Vec<Deferred>, report: &mut DecodeReport<Self>) {
        let further = self.go_on(&deferred);
        let (mut again, mut before) = (Vec::new(), Vec::new());
        for Deferred { mut judging, answer, key, .. } in deferred {
            judging.parts[0] = Arc::clone(&further[&key]);
            again.push(judging);
            before.push(answer);
        }
        let answers = self.read(&again, report);
        for ((judging, before), answer) in again.iter().zip(before).zip(answers) {
            self.judged(judging, answer.map(|answer| (answer, Some(before))), report);
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
            policy: judging.policy.decoder.clone(),
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

    /// Has the pictures of deferred answers go on, each once however many answers wait for it.
    fn go_on(&self, deferred: &[Deferred]) -> HashMap<CacheKey, Arc<BranchEncoding>> {
        let mut further = HashMap::new();
        // By the layer at which they left: those go on together.
        let mut waiting: BTreeMap<usize, Vec<&Deferred>> = BTreeMap::new();
        for one in deferred {
            let together = waiting.entry(one.judging.image_encoding().exit().layer).or_default();
            if further.contains_key(&one.key) || together.iter().any(|other| other.key == one.key) {
                continue;
            }
            match self.images().get(&one.key) {
                Some(known) => drop(further.insert(one.key.clone(), known)),
                None => together.push(one),
            }
        }
        for together in waiting.into_values() {
            let encodings: Vec<Arc<BranchEncoding>> =
                together.iter().map(|one| Arc::clone(one.judging.image_encoding())).collect();
            let policy = |one: &&Deferred| BranchPolicy::Fixed { layers: one.layers };
            let policies = together.iter().map(policy).collect();
            let Some(mut run) = self.model.resume_images(&encodings, policies) else { continue };
            while let Some(layer) = self.layer(Branch::Image, &mut run) {
                for (row, encoding) in layer.exited {
                    let (key, encoding) = (together[row].key.clone(), Arc::new(encoding));
                    self.keep_image(key.clone(), Arc::clone(&encoding));
                    further.insert(key, encoding);
                }
            }
        }
        further
    }

    /// Hands an answer out, with the one that was deferred for it.
    fn judged(
        &self,
        judging: &Judging,
        answer: Result<(ScoredAnswer, Option<ScoredAnswer>), NonFiniteLogits>,
        report: &mut DecodeReport<Self>,
    ) {
        let trace = EncoderTrace::new(&judging.parts, self.model.macs());
        let words = &self.folder.settings.answers;
        match answer.map(|answer| Entailment::new(answer, trace, words)) {
            Ok(entailment) => report.finished.push((judging.id, Reply::Entailment(entailment))),
            Err(error) => report.failed.push((judging.id, error)),
        }
    }
}

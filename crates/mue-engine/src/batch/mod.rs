//! The model behind the batcher's trait: the only place where the two meet.

mod cohort;
mod decode_set;
mod entailments;
mod image_cache;
mod newcomers;
mod telling;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mue_batcher::{BatchModel, DecodeReport, EncodeReport, RequestId, Rows};
use mue_model::{Gathering, NonFiniteLogits, Ofa};

use crate::answer::{Reply, TokenExit};
use crate::model_folder::ModelFolder;
use crate::observer::{Branch, EngineObserver};
use crate::request::{Request, Task};
use crate::threads::{compute, threads};

pub(crate) use self::cohort::{Cohort, Encoded};
pub(crate) use self::decode_set::DecodeSet;
pub(crate) use self::image_cache::ImageCache;

/// A loaded model that answers many requests at a time, step by step.
pub struct BatchOfa {
    pub(crate) model: Ofa,
    pub(crate) folder: Arc<ModelFolder>,
    /// Locked, because encoding shares it with decoding, which looks in here for deferred answers.
    pub(crate) images: Mutex<ImageCache>,
    pub(crate) observer: Arc<dyn EngineObserver>,
    /// Pictures that may go on together for deferred answers, as many as may encode together.
    pub(crate) cohort_rows_max: usize,
}

impl BatchOfa {
    pub(crate) fn images(&self) -> MutexGuard<'_, ImageCache> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a step: on the CPU, on the threads that compute there; a GPU is fed from one thread.
    pub(crate) fn compute<R: Send>(&self, step: impl FnOnce() -> R + Send) -> R {
        if self.model.is_on_host() { compute(step) } else { step() }
    }

    /// Tells of rows that were moved, if any were.
    fn gathered(&self, branch: Branch, gathering: Gathering) {
        if gathering.moves > 0 {
            self.observer.gathered(branch, &gathering);
        }
    }
}

impl BatchModel for BatchOfa {
    type Input = Request;
    type Output = Reply;
    type Event = TokenExit;
    type Error = NonFiniteLogits;
    type Cohort = Cohort;
    type Encoded = Encoded;
    type DecodeSet = DecodeSet;

    fn rows(input: &Request) -> Rows {
        let decode = match &input.task {
            Task::Caption { search } => search.beam_size,
            Task::Entailment { .. } => 1,
        };
        Rows { encode: 1, decode }
    }

    fn begin_encode(
        &mut self,
        inputs: Vec<(RequestId, Request)>,
    ) -> (Cohort, Vec<(RequestId, NonFiniteLogits)>) {
        (self.start_cohort(inputs), Vec::new())
    }

    fn encode(&mut self, cohort: &mut Cohort) -> EncodeReport<Self> {
        self.compute(|| self.encode_layer(cohort, None))
    }

    fn retain_encode(&mut self, cohort: &mut Cohort, keep: &dyn Fn(RequestId) -> bool) {
        cohort.retain(keep);
    }

    fn begin_decode(&mut self) -> DecodeSet {
        DecodeSet::new(self.model.begin_decode())
    }

    fn join(
        &mut self,
        set: &mut DecodeSet,
        encoded: Vec<(RequestId, Encoded)>,
        streams: &dyn Fn(RequestId) -> bool,
    ) {
        let streaming: Vec<bool> = encoded.iter().map(|(id, _)| streams(*id)).collect();
        self.compute(|| {
            for (encoded, streams) in encoded.into_iter().zip(streaming) {
                self.join_one(set, encoded, streams);
            }
        });
    }

    fn decode(&mut self, set: &mut DecodeSet) -> DecodeReport<Self> {
        self.compute(|| self.decode_step(set))
    }

    fn encode_and_decode(
        &mut self,
        cohort: &mut Cohort,
        set: &mut DecodeSet,
    ) -> (EncodeReport<Self>, DecodeReport<Self>) {
        // One thread does one after the other, and no token shall wait for a whole stem.
        let is_decoded = AtomicBool::new(threads() == 1);
        let encode = || self.encode_layer(cohort, Some(&is_decoded));
        let decode = || {
            let report = self.decode_step(set);
            is_decoded.store(true, Ordering::Relaxed);
            report
        };
        self.compute(|| self.model.both(encode, decode))
    }

    fn retain_decode(&mut self, set: &mut DecodeSet, keep: &dyn Fn(RequestId) -> bool) {
        set.retain(keep);
    }
}

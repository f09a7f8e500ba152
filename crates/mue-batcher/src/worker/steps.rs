//! One step of the model, and what it does to the requests.

use std::time::Instant;

use super::{Turn, Worker};
use crate::answer::Answer;
use crate::error::Stage;
use crate::inbox::{Closed, Entry};
use crate::machine::Running;
use crate::model::{BatchModel, DecodeReport, EncodeReport, RequestId};
use crate::observer::{CohortStart, DecodeStep, EncodeStep, Join, Outcome};
use crate::queue::Waiting;

impl<M: BatchModel> Worker<M> {
    /// Makes the model; closes after too many attempts in vain.
    pub(super) fn build(&mut self, clock: &dyn Fn() -> Instant) -> Turn {
        let before = clock();
        let built = self.machine.build();
        let now = clock();
        let Err(error) = built else {
            self.observer().built(now.saturating_duration_since(before));
            return Turn::Again;
        };
        self.observer().build_failed(&error.to_string());
        self.machine.build_failures += 1;
        if self.machine.build_failures >= self.config().build_attempts_max {
            self.close(Closed::ModelUnavailable, now);
            return Turn::Finished;
        }
        self.machine.retry_at = Some(now + self.config().build_wait);
        Turn::Again
    }

    /// Begins to encode a cohort.
    pub(super) fn start(
        &mut self,
        taken: Vec<(RequestId, Waiting<Entry<M>>)>,
        clock: &dyn Fn() -> Instant,
    ) -> Turn {
        let before = clock();
        let requests = taken.len();
        for (id, waiting) in &taken {
            self.observer().admitted(*id, before.saturating_duration_since(waiting.arrived));
        }
        // Live before the model sees them, so that a panic finds them there.
        let inputs = self.live.admit(taken, before);
        let rows = self.live.counts().encoding_rows;
        let begun = self.machine.call(|running| {
            let (cohort, failed) = running.model.begin_encode(inputs);
            running.cohort = Some(cohort);
            failed
        });
        let now = clock();
        match begun {
            Ok(failed) => {
                let duration = now.saturating_duration_since(before);
                let queue = self.shared.lock().queue.depth();
                let start = CohortStart { requests, rows, duration, queue };
                self.observer().cohort_started(&start);
                self.fail(Stage::Encode, failed, now);
                self.close_cohort(now);
            }
            Err(panicked) => self.lose(&panicked, now),
        }
        Turn::Again
    }

    /// Runs the cohort's next layer.
    pub(super) fn encode(&mut self, clock: &dyn Fn() -> Instant) -> Turn {
        let before = clock();
        let report = self.machine.call(|Running { model, cohort, .. }| {
            model.encode(cohort.as_mut().expect("rows encode in a cohort"))
        });
        let now = clock();
        match report {
            Ok(report) => self.encoded(report, (before, now), false),
            Err(panicked) => self.lose(&panicked, now),
        }
        Turn::Again
    }

    fn encoded(
        &mut self,
        report: EncodeReport<M>,
        (before, now): (Instant, Instant),
        beside_decode: bool,
    ) {
        let EncodeReport { layer, rows, ready, failed } = report;
        let duration = now.saturating_duration_since(before);
        let step = EncodeStep { layer, rows, ready: ready.len(), duration, beside_decode };
        self.observer().encode_step(&step);
        self.fail(Stage::Encode, failed, now);
        self.keep_ready(ready, now);
        self.close_cohort(now);
    }

    fn keep_ready(&mut self, ready: Vec<(RequestId, M::Encoded)>, now: Instant) {
        let live = &mut self.live;
        let kept = self.machine.call(|running| {
            running.ready.extend(ready.into_iter().filter(|(id, _)| live.ready(*id)));
        });
        if let Err(panicked) = kept {
            self.lose(&panicked, now);
        }
    }

    /// Drops the cohort when its last row has left.
    fn close_cohort(&mut self, now: Instant) {
        if self.live.counts().encoding_rows > 0 || !self.machine.is_up() {
            return;
        }
        if let Err(panicked) = self.machine.call(|running| running.cohort = None) {
            self.lose(&panicked, now);
        }
    }

    /// Has the newly encoded join, and decodes one token of every row; with `encodes`, the cohort's
    /// next layer runs meanwhile.
    pub(super) fn decode(&mut self, encodes: bool, clock: &dyn Fn() -> Instant) -> Turn {
        let before = clock();
        let mut joining = Vec::new();
        let live = &self.live;
        let streams = |id| live.get(id).is_some_and(|one| one.reply.events.is_some());
        let reports = self.machine.call(|Running { model, cohort, set, ready }| {
            joining.extend(ready.iter().map(|(id, _)| *id));
            if !ready.is_empty() {
                model.join(set, std::mem::take(ready), &streams);
            }
            if !encodes {
                return (None, model.decode(set));
            }
            let cohort = cohort.as_mut().expect("rows encode in a cohort");
            let (encoded, decoded) = model.encode_and_decode(cohort, set);
            (Some(encoded), decoded)
        });
        let held_rows = self.live.counts().decoding_rows;
        self.live.join(&joining, before);
        let now = clock();
        match reports {
            Ok((encoded, decoded)) => {
                if !joining.is_empty() {
                    self.observer().joined(&Join { requests: &joining, held_rows });
                }
                let duration = now.saturating_duration_since(before);
                let layer_rows = &decoded.layer_rows;
                let step = DecodeStep { held_rows, layer_rows, duration, beside_encode: encodes };
                self.observer().decode_step(&step);
                self.live.note_decode();
                self.hand_out(decoded, now);
                if let Some(encoded) = encoded {
                    self.encoded(encoded, (before, now), true);
                }
            }
            Err(panicked) => self.lose(&panicked, now),
        }
        Turn::Again
    }

    fn hand_out(&mut self, report: DecodeReport<M>, now: Instant) {
        for (id, event) in report.events {
            let request = self.live.get_in(Stage::Decode, id);
            let events = request.and_then(|request| request.reply.events.as_ref());
            // A caller that has gone hears nothing.
            let _ = events.map(|events| events.send(event));
        }
        self.fail(Stage::Decode, report.failed, now);
        for (id, output) in report.finished {
            let Some(request) = self.live.remove_from(Stage::Decode, id) else { continue };
            let end = self.end(id, &request, Outcome::Finished, now);
            let answer = Answer { output, timing: end.timing, batch: end.batch };
            let _ = request.reply.verdict.send(Ok(answer));
        }
    }
}

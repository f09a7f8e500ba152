//! What one rate and exit setting gave.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::answer::Answer;
use super::layers::Layers;
use super::percentiles::Percentiles;
use super::request::{Outcome, Sent, refusal};

/// What is counted while requests end.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    latencies_ms: Vec<f64>,
    late_ms: Vec<f64>,
    pub(super) statuses: BTreeMap<u16, usize>,
    refusal: Option<String>,
    pub(super) failed: usize,
    pub(super) failure: Option<String>,
    layers: Layers,
    macs: u64,
    macs_full: u64,
    stages: Stages,
    decode_rows: f64,
    last: Option<Instant>,
}

/// Mean milliseconds of a request in each stage of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stages {
    /// In the queue.
    pub queue: f64,
    /// Decoding and resizing pictures.
    pub preprocess: f64,
    /// In the encoder.
    pub encode: f64,
    /// In the decoder.
    pub decode: f64,
}

/// A rate and an exit setting.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) exit: String,
    pub(super) rate: f64,
    pub(super) share: Option<f64>,
    pub(super) span: Duration,
}

/// One point of a curve. What is read from answers counts those with status 200.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// How requests were asked to exit.
    pub exit: String,
    /// Arrivals per second that were asked for.
    pub rate: f64,
    /// The rate as a share of the highest saturation, where that was measured.
    pub share: Option<f64>,
    /// Requests that were due.
    pub offered: usize,
    /// The same per second.
    pub offered_per_s: f64,
    /// Answers with status 200.
    pub answered: usize,
    /// The same per second, from the start to the last of them, or to the end if that was later.
    pub answered_per_s: f64,
    /// From when a request was due to its answer.
    pub latency_ms: Option<Percentiles>,
    /// From when a request was due to when it was sent.
    pub late_ms: Option<Percentiles>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, usize>,
    /// What the first answer with another status than 200 said.
    pub refusal: Option<String>,
    /// Requests without a readable answer.
    pub failed: usize,
    /// The reason of one of them.
    pub failure: Option<String>,
    /// Requests not sent, because as many as allowed were under way.
    pub unsent: usize,
    /// Where answers left the model.
    pub layers: Layers,
    /// Share of full depth's multiply-accumulates that was not computed.
    pub saved: Option<f64>,
    /// Where the time went.
    pub stages_ms: Option<Stages>,
    /// Mean rows of the decoder's steps, as an answer sees them.
    pub decode_rows_mean: Option<f64>,
}

impl Tally {
    /// Counts a request that has ended.
    pub(super) fn add(&mut self, sent: Sent) {
        self.late_ms.push(millis(sent.late));
        match sent.outcome {
            Outcome::Answered(answer) => {
                *self.statuses.entry(200).or_default() += 1;
                self.latencies_ms.push(millis(sent.latency));
                self.last = self.last.max(Some(sent.ended));
                self.read(&answer);
            }
            Outcome::Refused { status, body } => {
                *self.statuses.entry(status).or_default() += 1;
                self.refusal.get_or_insert_with(|| refusal(status, &body));
            }
            Outcome::Failed(reason) => {
                self.failed += 1;
                self.failure.get_or_insert(reason);
            }
        }
    }

    fn read(&mut self, answer: &Answer) {
        for result in &answer.results {
            self.layers.add(result);
            self.macs += result.compute.macs;
            self.macs_full += result.compute.macs_full;
        }
        let timing = answer.timing_ms;
        self.stages.queue += timing.queue;
        self.stages.preprocess += timing.preprocess;
        self.stages.encode += timing.encode;
        self.stages.decode += timing.decode;
        self.decode_rows += answer.batch.decode_rows_mean;
    }

    /// Answers with status 200.
    pub(super) fn answered(&self) -> usize {
        self.latencies_ms.len()
    }

    /// How late requests were sent.
    pub(super) fn late(&self) -> Option<Percentiles> {
        Percentiles::of(self.late_ms.clone())
    }

    /// Latencies of the answers.
    pub(super) fn latency(&self) -> Option<Percentiles> {
        Percentiles::of(self.latencies_ms.clone())
    }

    /// The point that was measured from `start`, with so many requests not sent.
    pub(super) fn point(self, setting: Setting, (start, unsent): (Instant, usize)) -> Point {
        let Setting { exit, rate, share, span } = setting;
        let answered = self.answered();
        let last = self.last.map_or(Duration::ZERO, |last| last.saturating_duration_since(start));
        let mean = |sum: f64| sum / answered as f64;
        let stages = || Stages {
            queue: mean(self.stages.queue),
            preprocess: mean(self.stages.preprocess),
            encode: mean(self.stages.encode),
            decode: mean(self.stages.decode),
        };
        let offered = self.late_ms.len() + unsent;
        Point {
            exit,
            rate,
            share,
            offered,
            offered_per_s: offered as f64 / span.as_secs_f64(),
            answered,
            answered_per_s: answered as f64 / last.max(span).as_secs_f64(),
            latency_ms: self.latency(),
            saved: (self.macs_full > 0).then(|| 1.0 - self.macs as f64 / self.macs_full as f64),
            stages_ms: (answered > 0).then(stages),
            decode_rows_mean: (answered > 0).then(|| mean(self.decode_rows)),
            late_ms: Percentiles::of(self.late_ms),
            statuses: self.statuses,
            refusal: self.refusal,
            failed: self.failed,
            failure: self.failure,
            unsent,
            layers: self.layers,
        }
    }
}

/// Milliseconds of a time.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Made-up points for tests.
#[cfg(test)]
pub(super) mod tests {
    use super::super::answer::tests::{answer, verdict};
    use super::*;

    /// At a rate, each outcome taking `latency_ms` and ending when it is due.
    pub(in crate::load) fn point(exit: &str, rate: f64, latency_ms: u64) -> Point {
        let start = Instant::now();
        let mut tally = Tally::default();
        let outcomes = [
            Outcome::Answered(answer(1, &[1, 3])),
            Outcome::Answered(verdict(3, 2)),
            Outcome::Refused { status: 429, body: r#"{"detail": "full"}"#.into() },
            Outcome::Failed("no connection".to_owned()),
        ];
        for (place, outcome) in (1..).zip(outcomes) {
            tally.add(Sent {
                latency: Duration::from_millis(place * latency_ms),
                late: Duration::from_millis(1),
                ended: start + Duration::from_secs(place),
                outcome,
            });
        }
        let span = Duration::from_secs(1);
        let setting = Setting { exit: exit.to_owned(), rate, share: Some(0.5), span };
        tally.point(setting, (start, 2))
    }

    #[test]
    fn a_point_counts_what_was_offered_answered_and_refused() {
        let point = point("auto", 6.0, 10);
        assert_eq!((point.offered, point.answered), (6, 2));
        assert_eq!((point.offered_per_s, point.answered_per_s), (6.0, 1.0));
        assert_eq!(point.statuses, BTreeMap::from([(200, 2), (429, 1)]));
        assert_eq!((point.failed, point.failure.as_deref()), (1, Some("no connection")));
        assert_eq!((point.unsent, point.refusal.as_deref()), (2, Some("status 429 (full)")));
    }

    #[test]
    fn a_point_summarises_the_answers_alone() {
        let point = point("auto", 6.0, 10);
        let latency = point.latency_ms.unwrap();
        assert_eq!((latency.p50, latency.p99), (10.0, 20.0));
        assert_eq!((point.layers.image.mean(), point.layers.text.mean()), (2.0, 3.0));
        assert_eq!(point.layers.decoder.counts(), [0, 1, 1, 1]);
        // 30 and 90 of 90 each.
        assert!((point.saved.unwrap() - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(point.stages_ms.unwrap().encode, 3.0);
        assert_eq!(point.decode_rows_mean, Some(2.0));
    }

    #[test]
    fn a_point_without_answers_has_no_figures() {
        let span = Duration::from_secs(1);
        let setting = Setting { exit: "off".to_owned(), rate: 1.0, share: None, span };
        let point = Tally::default().point(setting, (Instant::now(), 0));
        assert_eq!((point.answered, point.answered_per_s), (0, 0.0));
        assert!(point.latency_ms.is_none() && point.saved.is_none() && point.stages_ms.is_none());
    }
}

//! What is seen of a simulation.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mue_batcher::{
    CohortStart, DecodeStep, EncodeStep, End, Observer, Outcome, RequestId, SubmitError,
};
use mue_bench::load::nearest_rank;

use crate::summary::Summary;

/// Hears the batcher and the model.
#[derive(Default)]
pub(crate) struct Record(Mutex<Seen>);

/// Sums since the window of measurement began, and all answers since the start.
#[derive(Default)]
struct Seen {
    answered_ever: usize,
    latencies: Vec<Duration>,
    token_gaps: Vec<Duration>,
    cohorts: Mean,
    decodes: Mean,
    busy: Duration,
    refused: usize,
}

/// A mean in the making.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: usize,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: usize) {
        self.sum += value;
        self.count += 1;
    }

    fn get(self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }
}

impl Record {
    /// Answers given since the start.
    pub(crate) fn answered(&self) -> usize {
        self.seen().answered_ever
    }

    /// A caption's token came so long after the one before it.
    pub(crate) fn token_gap(&self, gap: Duration) {
        self.seen().token_gaps.push(gap);
    }

    /// Forgets what was seen, so that a cold start does not count.
    pub(crate) fn open_window(&self) {
        let mut seen = self.seen();
        *seen = Seen { answered_ever: seen.answered_ever, ..Seen::default() };
    }

    /// What was seen in a window of this length.
    pub(crate) fn summary(&self, window: Duration) -> Summary {
        let mut seen = self.seen();
        seen.latencies.sort_unstable();
        seen.token_gaps.sort_unstable();
        let (answered, window_s) = (seen.latencies.len() as f64, window.as_secs_f64());
        Summary {
            throughput_per_s: answered / window_s,
            latency_p50_ms: quantile_ms(&seen.latencies, 0.5),
            latency_p99_ms: quantile_ms(&seen.latencies, 0.99),
            token_gap_p99_ms: quantile_ms(&seen.token_gaps, 0.99),
            cohort_rows_mean: seen.cohorts.get(),
            decode_rows_mean: seen.decodes.get(),
            idle_share: 1.0 - seen.busy.as_secs_f64() / window_s,
            refused_share: seen.refused as f64 / (seen.refused as f64 + answered),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Sums are right after every statement, so a panic elsewhere does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Record {
    fn rejected(&self, _rows: usize, _error: &SubmitError) {
        // Lists are of one request here.
        self.seen().refused += 1;
    }

    fn cohort_started(&self, cohort: &CohortStart) {
        let mut seen = self.seen();
        seen.cohorts.add(cohort.rows);
        seen.busy += cohort.duration;
    }

    fn encode_step(&self, step: &EncodeStep) {
        self.seen().busy += step.duration;
    }

    fn decode_step(&self, step: &DecodeStep<'_>) {
        let mut seen = self.seen();
        seen.decodes.add(step.held_rows);
        if !step.beside_encode {
            seen.busy += step.duration;
        }
    }

    fn ended(&self, _id: RequestId, end: &End) {
        if end.outcome == Outcome::Finished {
            let mut seen = self.seen();
            seen.answered_ever += 1;
            seen.latencies.push(end.timing.total());
        }
    }
}

/// The smallest value that at least such a share does not exceed; 0 of nothing.
fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    nearest_rank(sorted, share).map_or(0.0, |value| value.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile_ms(&sorted, 0.5), 100.0);
        assert_eq!(quantile_ms(&sorted, 0.99), 198.0);
        assert_eq!(quantile_ms(&sorted[..1], 0.99), 1.0);
        assert_eq!(quantile_ms(&[], 0.5), 0.0);
    }
}

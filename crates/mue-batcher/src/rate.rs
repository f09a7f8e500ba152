//! How fast rows leave, to tell callers when to come back.

use std::time::{Duration, Instant};

/// Time after which a measurement counts 1/e.
const MEMORY_SECONDS: f64 = 10.0;

/// Rows that left per second of work, recent seconds counting more.
///
/// Only time in which the worker had rows counts: a quiet hour says nothing about how fast a full
/// queue will empty. At low load the rate is that of small batches, so it errs towards later.
#[derive(Debug, Default)]
pub(crate) struct DrainRate {
    rows: f64,
    seconds: f64,
    /// Since when the worker works without a measurement, if it does.
    busy_since: Option<Instant>,
}

impl DrainRate {
    /// Notes the rows that left since the last call, and whether any are still at work.
    pub(crate) fn record(&mut self, rows: usize, busy: bool, now: Instant) {
        let seconds = self.unmeasured(now);
        let decay = (-seconds / MEMORY_SECONDS).exp();
        self.rows = self.rows * decay + rows as f64;
        self.seconds = self.seconds * decay + seconds;
        self.busy_since = busy.then_some(now);
    }

    /// How long until so many rows have left; nothing if none has left yet.
    ///
    /// The step in progress counts as time without rows, and forgets nothing: rows leave at the end
    /// of a step, so what was measured before is the best guess as long as it lasts.
    pub(crate) fn time_for(&self, rows: usize, now: Instant) -> Option<Duration> {
        let seconds_per_row = (self.seconds + self.unmeasured(now)) / self.rows;
        Duration::try_from_secs_f64(rows as f64 * seconds_per_row).ok()
    }

    fn unmeasured(&self, now: Instant) -> f64 {
        self.busy_since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(value: f64) -> Duration {
        Duration::from_secs_f64(value)
    }

    #[test]
    fn a_steady_rate_is_measured_and_quiet_time_is_not() {
        let mut now = Instant::now();
        let mut rate = DrainRate::default();
        assert_eq!(rate.time_for(1, now), None);
        rate.record(0, true, now);
        for _ in 0..50 {
            now += seconds(0.1);
            rate.record(2, true, now);
        }
        let estimate = rate.time_for(40, now).unwrap();
        assert!((estimate.as_secs_f64() - 2.0).abs() < 1e-6, "20 rows/s: {estimate:?}");
        rate.record(0, false, now);
        assert_eq!(rate.time_for(40, now + seconds(3600.0)), Some(estimate));
    }

    #[test]
    fn a_change_of_speed_is_followed_and_a_stall_lengthens_the_estimate() {
        let mut now = Instant::now();
        let mut rate = DrainRate::default();
        rate.record(0, true, now);
        for (rows, steps) in [(100, 1000), (1, 1000)] {
            for _ in 0..steps {
                now += seconds(0.1);
                rate.record(rows, true, now);
            }
        }
        let estimate = rate.time_for(10, now).unwrap();
        assert!((estimate.as_secs_f64() - 1.0).abs() < 0.1, "10 rows/s by now: {estimate:?}");
        assert!(rate.time_for(10, now + seconds(5.0)).unwrap() > estimate);
    }

    #[test]
    fn a_long_step_is_no_stall() {
        let mut now = Instant::now();
        let mut rate = DrainRate::default();
        rate.record(0, true, now);
        for _ in 0..10 {
            now += seconds(30.0);
            rate.record(10, true, now);
        }
        let before = rate.time_for(10, now).unwrap();
        assert!((before.as_secs_f64() - 30.0).abs() < 1e-6, "10 rows a step: {before:?}");
        let within = rate.time_for(10, now + seconds(29.0)).unwrap();
        assert!(within < 2 * before, "{within:?}");
    }
}

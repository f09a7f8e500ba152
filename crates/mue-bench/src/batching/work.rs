//! What the worker spent its time on.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mue_engine::EngineObserver;
use mue_engine::batcher::{CohortStart, DecodeStep, EncodeStep, Observer};

/// Adds up the steps of one engine.
#[derive(Debug, Default)]
pub(crate) struct Work(Mutex<Sums>);

/// Durations and rows of steps. What encodes and what decodes at the same time counts in both.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) encode: Duration,
    pub(crate) cohorts: u32,
    pub(crate) cohort_rows: usize,
    pub(crate) decode: Duration,
    pub(crate) decode_steps: u32,
    pub(crate) decode_rows: usize,
}

impl Work {
    /// What came together since this was last asked.
    pub(crate) fn take(&self) -> Sums {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, add: impl FnOnce(&mut Sums)) {
        add(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Observer for Work {
    fn cohort_started(&self, cohort: &CohortStart) {
        self.add(|sums| {
            sums.encode += cohort.duration;
            sums.cohorts += 1;
            sums.cohort_rows += cohort.rows;
        });
    }

    fn encode_step(&self, step: &EncodeStep) {
        self.add(|sums| sums.encode += step.duration);
    }

    fn decode_step(&self, step: &DecodeStep<'_>) {
        self.add(|sums| {
            sums.decode += step.duration;
            sums.decode_steps += 1;
            sums.decode_rows += step.held_rows;
        });
    }
}

impl EngineObserver for Work {}

impl Sums {
    /// Rows of a cohort, on average.
    pub(crate) fn cohort_rows_mean(&self) -> f64 {
        self.cohort_rows as f64 / f64::from(self.cohorts.max(1))
    }

    /// Rows held in a decode step, on average.
    pub(crate) fn decode_rows_mean(&self) -> f64 {
        self.decode_rows as f64 / f64::from(self.decode_steps.max(1))
    }
}

//! An answer, with what it took.

use std::time::Duration;

/// A complete answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<O> {
    /// What the model says.
    pub output: O,
    /// Time spent in each stage.
    pub timing: Timing,
    /// The company it was computed in.
    pub batch: BatchShare,
}

/// Time that a request spent in each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From its arrival to its admission to a cohort.
    pub queue: Duration,
    /// From then until it joined the decode set.
    pub encode: Duration,
    /// From then to its answer.
    pub decode: Duration,
}

impl Timing {
    /// All stages together.
    pub fn total(&self) -> Duration {
        self.queue + self.encode + self.decode
    }
}

/// The batches that a request was part of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchShare {
    /// Rows that began to encode with it, its own included.
    pub cohort_rows: usize,
    /// Decode steps that it took part in.
    pub decode_steps: u64,
    /// Mean rows held in those steps, its own included; 0 if there were none.
    pub decode_rows_mean: f64,
}

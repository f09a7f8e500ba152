//! How a run runs and what it writes meanwhile: `[run]`, which decides nothing about the model.

use serde::{Deserialize, Serialize};

use super::RecipeError;
use super::bounds::positive;

/// What a run writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Threads that each compute one group of pictures; 0 is as many as compute in this process, and
    /// one on a GPU.
    pub threads: usize,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Steps between quick evaluations, the last of which is at the end; 0 is never.
    pub evaluate_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self { threads: 0, log_every: 10, evaluate_every: 500, checkpoint_every: 250 }
    }
}

impl RunConfig {
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        positive(&[
            ("run.log_every", self.log_every),
            ("run.checkpoint_every", self.checkpoint_every),
        ])
    }
}

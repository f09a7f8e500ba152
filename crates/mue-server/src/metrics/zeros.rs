//! Counters whose labels are known start at 0.
//!
//! A rate would miss the first increment of a counter that appears with it, and a panel of failures
//! is to be flat, not empty, where there are none.

use mue_engine::batcher::{Outcome, Stage};

use super::observer::REASONS;
use super::{Metrics, names, preparing};
use crate::answering::Task;
use crate::problem::Code;

/// Outcomes of requests that an alert or a panel asks for by name.
const OUTCOMES: [Code; 7] = [
    Code::DeadlineExceeded,
    Code::Internal,
    Code::ModelFailed,
    Code::ModelUnavailable,
    Code::QueueFull,
    Code::RateLimited,
    Code::TooManyRequests,
];

impl Metrics {
    pub(super) fn start_at_zero(&self) {
        let unlabelled =
            [names::DEFERRED, names::CACHE_HITS, names::CACHE_MISSES, names::MODEL_PANICS];
        for name in unlabelled {
            self.zero(name, &[]);
        }
        for reason in REASONS {
            self.zero(names::REJECTIONS, &[("reason", reason)]);
        }
        for outcome in ["ok", "failed"] {
            self.zero(names::MODEL_BUILDS, &[("outcome", outcome)]);
            self.zero(names::RELOADS, &[("outcome", outcome)]);
        }
        for outcome in Outcome::ALL {
            for stage in Stage::ALL {
                let labels = [("outcome", outcome.name()), ("stage", stage.name())];
                self.zero(names::ENDED, &labels);
            }
        }
        for outcome in [Outcome::Cancelled, Outcome::Expired, Outcome::Refused] {
            for stage in preparing::STAGES {
                let labels = [("outcome", outcome.name()), ("stage", stage)];
                self.zero(names::ENDED, &labels);
            }
        }
        Task::ALL.into_iter().for_each(|task| self.start_task(task));
    }

    fn start_task(&self, task: Task) {
        let branches = task.branches();
        let task = ("task", task.name());
        let codes = OUTCOMES.map(Code::name);
        for outcome in ["ok", "cancelled"].into_iter().chain(codes) {
            self.zero(names::REQUESTS, &[task, ("outcome", outcome)]);
        }
        for name in [names::MACS_COMPUTED, names::MACS_POSSIBLE] {
            self.zero(name, &[task]);
        }
        for branch in branches {
            for name in [names::EARLY_EXITS, names::LAYERS_COMPUTED, names::LAYERS_POSSIBLE] {
                self.zero(name, &[task, ("branch", branch.name())]);
            }
        }
    }

    fn zero(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        self.counter(name, labels).increment(0);
    }
}

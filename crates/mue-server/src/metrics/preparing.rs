//! Results that end before the batcher has heard of them: while their pictures are prepared.

use std::sync::Arc;

use mue_engine::batcher::Outcome;

use super::{Metrics, names};
use crate::problem::{Code, Problem};

/// The stage before the queue.
pub(super) const STAGE: &str = "preprocess";

/// Pictures that are being decoded and resized; a client that hangs up drops this without a word.
pub(crate) struct Preparing {
    metrics: Arc<Metrics>,
    /// Answers that wait for the pictures.
    results: usize,
    outcome: Option<Outcome>,
}

impl Metrics {
    /// Watches the pictures of so many results.
    pub(crate) fn preparing(self: &Arc<Self>, results: usize) -> Preparing {
        Preparing { metrics: Arc::clone(self), results, outcome: Some(Outcome::Cancelled) }
    }
}

impl Preparing {
    /// The pictures are there, or there is a problem: that of the pictures themselves is none of the
    /// stage's.
    pub(crate) fn ended(mut self, problem: Option<&Problem>) {
        self.outcome = problem.and_then(|problem| match problem.code {
            Code::DeadlineExceeded => Some(Outcome::Expired),
            Code::ShuttingDown => Some(Outcome::Refused),
            _ => None,
        });
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        let Some(outcome) = self.outcome else { return };
        let labels = [("outcome", outcome.name()), ("stage", STAGE)];
        self.metrics.counter(names::ENDED, &labels).increment(self.results as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_before_the_queue_is_counted_by_how() {
        let metrics = Metrics::new().unwrap();
        let problem = |code| Problem::new(code, "");
        metrics.preparing(4).ended(None);
        metrics.preparing(5).ended(Some(&problem(Code::InvalidImage)));
        metrics.preparing(2).ended(Some(&problem(Code::DeadlineExceeded)));
        metrics.preparing(1).ended(Some(&problem(Code::ShuttingDown)));
        drop(metrics.preparing(3));
        let text = metrics.handle.render();
        for (outcome, results) in [("expired", 2), ("refused", 1), ("cancelled", 3)] {
            let line =
                format!("mue_ended_total{{outcome=\"{outcome}\",stage=\"preprocess\"}} {results}");
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}

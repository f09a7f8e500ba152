//! Results that end before the batcher has heard of them: while their body arrives or waits to be
//! parsed, or their texts and pictures are prepared.

use std::sync::Arc;

use mue_engine::batcher::Outcome;

use super::{Metrics, names};
use crate::problem::{Code, Problem};

const BODY: &str = "body";
const PREPROCESS: &str = "preprocess";

/// The stages before the queue.
pub(super) const STAGES: [&str; 2] = [BODY, PREPROCESS];

/// A request in one of these stages; a client that hangs up drops this without a word.
pub(crate) struct Preparing {
    metrics: Arc<Metrics>,
    stage: &'static str,
    /// Answers that wait for it.
    results: usize,
    outcome: Option<Outcome>,
}

impl Metrics {
    /// Watches a body until it is parsed: nobody knows yet how many results it asks for.
    pub(crate) fn receiving(self: &Arc<Self>) -> Preparing {
        self.before_queue(BODY, 1)
    }

    /// Watches the texts of so many results being tokenized, or their pictures decoded and resized.
    pub(crate) fn preparing(self: &Arc<Self>, results: usize) -> Preparing {
        self.before_queue(PREPROCESS, results)
    }

    fn before_queue(self: &Arc<Self>, stage: &'static str, results: usize) -> Preparing {
        Preparing { metrics: Arc::clone(self), stage, results, outcome: Some(Outcome::Cancelled) }
    }
}

impl Preparing {
    /// It is over, or there is a problem: that of the body, the texts or the pictures themselves is
    /// none of the stage's.
    pub(crate) fn ended(mut self, problem: Option<&Problem>) {
        self.outcome = problem.and_then(|problem| match problem.code {
            Code::DeadlineExceeded => Some(Outcome::Expired),
            Code::ShuttingDown => Some(Outcome::Refused),
            // Whose body ends early has hung up.
            Code::MalformedBody => Some(Outcome::Cancelled),
            _ => None,
        });
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        let Some(outcome) = self.outcome else { return };
        let labels = [("outcome", outcome.name()), ("stage", self.stage)];
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
        metrics.receiving().ended(None);
        metrics.receiving().ended(Some(&problem(Code::BodyTooSlow)));
        metrics.receiving().ended(Some(&problem(Code::MalformedBody)));
        drop(metrics.receiving());
        let text = metrics.handle.render();
        for (outcome, stage, results) in [
            ("expired", "preprocess", 2),
            ("refused", "preprocess", 1),
            ("cancelled", "preprocess", 3),
            ("expired", "body", 0),
            ("cancelled", "body", 2),
        ] {
            let line =
                format!("mue_ended_total{{outcome=\"{outcome}\",stage=\"{stage}\"}} {results}");
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}

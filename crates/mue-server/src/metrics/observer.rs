//! What the batcher and the engine report.

use std::sync::PoisonError;
use std::time::Duration;

use mue_engine::batcher::{
    CohortStart, DecodeStep, EncodeStep, End, Observer, QueueDepth, RequestId, SubmitError,
};
use mue_engine::{Branch, CacheUsage, EngineObserver, Gathering, LayerStep};

use super::{Metrics, names};

const QUEUE_FULL: &str = "queue_full";
const TOO_LARGE: &str = "too_large";
const SHUTTING_DOWN: &str = "shutting_down";
const MODEL_UNAVAILABLE: &str = "model_unavailable";

/// Why lists are turned away.
pub(super) const REASONS: [&str; 4] = [QUEUE_FULL, TOO_LARGE, SHUTTING_DOWN, MODEL_UNAVAILABLE];

impl Observer for Metrics {
    fn rejected(&self, _rows: usize, error: &SubmitError) {
        let reason = match error {
            SubmitError::QueueFull { .. } => QUEUE_FULL,
            SubmitError::TooLarge { .. } => TOO_LARGE,
            SubmitError::ShuttingDown => SHUTTING_DOWN,
            SubmitError::ModelUnavailable => MODEL_UNAVAILABLE,
        };
        self.counter(names::REJECTIONS, &[("reason", reason)]).increment(1);
    }

    fn accepted(&self, _id: RequestId, queue: QueueDepth) {
        self.queue(queue);
    }

    fn admitted(&self, _id: RequestId, wait: Duration) {
        self.histogram(names::QUEUE_WAIT, &[]).record(wait);
    }

    fn cohort_started(&self, cohort: &CohortStart) {
        self.histogram(names::COHORT_ROWS, &[]).record(cohort.rows as f64);
        self.step("start", cohort.duration);
        self.queue(cohort.queue);
    }

    fn encode_step(&self, step: &EncodeStep) {
        self.step(if step.beside_decode { "both" } else { "encode" }, step.duration);
    }

    fn decode_step(&self, step: &DecodeStep<'_>) {
        self.histogram(names::DECODE_ROWS, &[]).record(step.held_rows as f64);
        if !step.beside_encode {
            self.step("decode", step.duration);
        }
    }

    fn ended(&self, _id: RequestId, end: &End) {
        let labels = [("outcome", end.outcome.name()), ("stage", end.stage.name())];
        self.counter(names::ENDED, &labels).increment(1);
    }

    fn panicked(&self, message: &str) {
        tracing::error!(panic = message, "the model panicked");
        self.counter(names::MODEL_PANICS, &[]).increment(1);
        self.set_model_ready(false);
    }

    fn built(&self, duration: Duration) {
        tracing::info!(seconds = duration.as_secs_f64(), "the model is ready");
        self.counter(names::MODEL_BUILDS, &[("outcome", "ok")]).increment(1);
        self.set_model_ready(true);
    }

    fn build_failed(&self, message: &str) {
        tracing::error!(cause = message, "the model could not be built");
        self.counter(names::MODEL_BUILDS, &[("outcome", "failed")]).increment(1);
    }
}

impl EngineObserver for Metrics {
    fn layer(&self, step: &LayerStep) {
        let layer = step.layer.to_string();
        let labels = [("branch", step.branch.name()), ("layer", &layer)];
        self.histogram(names::ACTIVE_ROWS, &labels).record(step.active as f64);
    }

    fn gathered(&self, branch: Branch, gathering: &Gathering) {
        let labels = [("branch", branch.name())];
        self.histogram(names::GATHER_DURATION, &labels).record(gathering.duration);
    }

    fn image_looked_up(&self, hit: bool) {
        let name = if hit { names::CACHE_HITS } else { names::CACHE_MISSES };
        self.counter(name, &[]).increment(1);
    }

    fn image_cache(&self, usage: CacheUsage) {
        *self.image_cache.lock().unwrap_or_else(PoisonError::into_inner) = usage;
        self.tell_image_cache();
    }
}

impl Metrics {
    /// Tells what the engine's image cache held when it was last heard of.
    pub(super) fn tell_image_cache(&self) {
        let usage = self.image_cache.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauge(names::CACHE_ENTRIES, &[]).set(usage.entries as f64);
        self.gauge(names::CACHE_BYTES, &[]).set(usage.bytes as f64);
    }

    fn step(&self, step: &'static str, duration: Duration) {
        self.histogram(names::STEP_DURATION, &[("step", step)]).record(duration);
    }

    fn queue(&self, queue: QueueDepth) {
        self.gauge(names::QUEUE_REQUESTS, &[]).set(queue.requests as f64);
        self.gauge(names::QUEUE_ROWS, &[]).set(queue.rows as f64);
    }
}

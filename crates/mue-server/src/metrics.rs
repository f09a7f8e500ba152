//! `GET /metrics`, and what is counted for it.
//!
//! No label grows with what clients send: routes, tasks, outcomes and stages are fixed, layers are
//! the model's.

mod names;
mod observer;
mod preparing;
mod zeros;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Instant, SystemTime};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use mue_engine::batcher::Load;
use mue_engine::{Branch, BranchDepth, CacheUsage, ExitChoice, Reply};
use tracing::Span;

use crate::answering::{Answered, Task};
use crate::app::App;
use crate::config::Config;
use crate::contract::GuardedProblems;
use crate::problem::Code;
use crate::stream::Streamed;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// Counts what the server and its engine do; give it to the engine as its observer.
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    model_ready: AtomicBool,
    image_cache: Mutex<CacheUsage>,
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    ///
    /// If the exporter rejects the buckets, which are constants.
    pub fn new() -> Result<Arc<Self>, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &names::SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_rows".into()), &names::ROWS)?
            .set_buckets_for_metric(full(names::GATHER_DURATION), &names::GATHER_SECONDS)?
            .set_buckets_for_metric(full(names::QUALITY_FLOOR), &names::QUALITIES)?
            .build_recorder();
        let handle = recorder.handle();
        names::describe(&recorder);
        let metrics = Self::counting(Arc::new(recorder), handle);
        metrics.gauge(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        let started = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        metrics.gauge(names::START_TIME, &[]).set(started.as_secs_f64());
        metrics.start_at_zero();
        metrics.set_model_ready(false);
        Ok(Arc::new(metrics))
    }

    /// For another engine of the same server: counts into the same series, but knows of its own
    /// model alone whether it is loaded and what its cache holds.
    pub fn beside(&self) -> Arc<Self> {
        Arc::new(Self::counting(Arc::clone(&self.recorder), self.handle.clone()))
    }

    fn counting(recorder: Arc<PrometheusRecorder>, handle: PrometheusHandle) -> Self {
        Self { recorder, handle, model_ready: AtomicBool::default(), image_cache: Mutex::default() }
    }

    /// Moves recent samples into the histograms, which otherwise wait for the next scrape and
    /// would grow without one.
    pub(crate) fn keep_up(&self) {
        self.handle.run_upkeep();
    }

    /// Whether the model is loaded.
    pub(crate) fn model_is_ready(&self) -> bool {
        self.model_ready.load(Ordering::Relaxed)
    }

    /// Tells the bounds that the server works within, by its settings and those that it began with.
    pub(crate) fn set_bounds(&self, config: &Config, began_with: &Config) {
        let bounds = [
            (names::REQUESTS_ACTIVE_MAX, began_with.requests_max),
            (names::BODY_BYTES_MAX, config.bodies_bytes_max),
            (names::QUEUE_ROWS_MAX, config.queue_rows_max),
            (names::LIVE_ROWS_MAX, config.rows_max),
            (names::CACHE_BYTES_MAX, config.image_cache_bytes_max),
        ];
        for (name, bound) in bounds {
            self.gauge(name, &[]).set(bound as f64);
        }
    }

    /// Counts how a request asks to exit, whether or not it is answered.
    pub(crate) fn asked(&self, task: Task, exit: &ExitChoice) {
        let choice = match exit {
            ExitChoice::Auto => "auto",
            ExitChoice::Off => "off",
            ExitChoice::Mue => "mue",
            ExitChoice::Quality(_) => "quality",
            ExitChoice::Thresholds(_) => "thresholds",
            ExitChoice::Rules(_) => "rules",
        };
        let labels = [("task", task.name()), ("choice", choice)];
        self.counter(names::EXIT_CHOICES, &labels).increment(1);
        if let ExitChoice::Quality(floor @ 0.0..=1.0) = exit {
            self.histogram(names::QUALITY_FLOOR, &labels[..1]).record(*floor);
        }
    }

    /// Counts the answers to a request.
    pub(crate) fn answered(&self, task: Task, answered: &Answered) {
        let stage = |stage: &'static str, duration| {
            let labels = [("task", task.name()), ("stage", stage)];
            self.histogram(names::STAGE_DURATION, &labels).record(duration);
        };
        stage("body", answered.body);
        stage("preprocess", answered.preprocess);
        for answer in &answered.answers {
            stage("queue", answer.timing.queue);
            stage("encode", answer.timing.encode);
            stage("decode", answer.timing.decode);
            self.result(task, &answer.output);
        }
    }

    fn result(&self, task: Task, reply: &Reply) {
        let (exit, compute) = (reply.exit(), reply.compute());
        for branch in task.branches() {
            match branch {
                Branch::Image => self.exit(task, *branch, exit.image),
                Branch::Text => self.exit(task, *branch, exit.text),
                Branch::Decoder => exit.decoder.iter().for_each(|layer| {
                    let depth = BranchDepth { layer: *layer, layers: exit.decoder_layers };
                    self.exit(task, *branch, depth);
                }),
            }
        }
        if let Some(first) = exit.deferred {
            self.counter(names::DEFERRED, &[]).increment(1);
            let labels = [("task", task.name()), ("branch", Branch::Decoder.name())];
            self.counter(names::LAYERS_COMPUTED, &labels).increment(first.decoder as u64);
        }
        let labels = [("task", task.name())];
        self.counter(names::MACS_COMPUTED, &labels).increment(compute.macs);
        self.counter(names::MACS_POSSIBLE, &labels).increment(compute.macs_full);
    }

    fn exit(&self, task: Task, branch: Branch, depth: BranchDepth) {
        let layer = depth.layer.to_string();
        let labels = [("task", task.name()), ("branch", branch.name()), ("layer", &layer)];
        self.counter(names::EXITS, &labels).increment(1);
        let labels = &labels[..2];
        let early = u64::from(depth.layer < depth.layers);
        self.counter(names::EARLY_EXITS, labels).increment(early);
        self.counter(names::LAYERS_COMPUTED, labels).increment(depth.layer as u64);
        self.counter(names::LAYERS_POSSIBLE, labels).increment(depth.layers as u64);
    }

    /// Counts an attempt to reload.
    pub(crate) fn reloaded(&self, outcome: &'static str) {
        self.counter(names::RELOADS, &[("outcome", outcome)]).increment(1);
    }

    fn load(&self, load: Load) {
        self.gauge(names::QUEUE_REQUESTS, &[]).set(load.queue.requests as f64);
        self.gauge(names::QUEUE_ROWS, &[]).set(load.queue.rows as f64);
        self.gauge(names::RESERVED_ROWS, &[]).set(load.reserved_rows as f64);
        self.gauge(names::LIVE_ROWS, &[]).set(load.live_rows as f64);
    }

    pub(crate) fn set_model_ready(&self, ready: bool) {
        self.model_ready.store(ready, Ordering::Relaxed);
        self.gauge(names::MODEL_READY, &[]).set(f64::from(u8::from(ready)));
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
        self.recorder.register_histogram(&key(name, labels), &METADATA)
    }
}

fn full(name: &str) -> Matcher {
    Matcher::Full(name.to_owned())
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels = labels.iter().map(|(label, value)| Label::new(*label, (*value).to_owned()));
    Key::from_parts(name, labels.collect::<Vec<_>>())
}

/// Everything counted so far, in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    responses(
        (
            status = 200,
            description = "Samples, one a line.",
            body = String,
            content_type = "text/plain",
            example = json!("mue_model_ready 1\n"),
        ),
        GuardedProblems,
    ),
    security((), ("api_key" = [])),
)]
pub(crate) async fn route(State(app): State<Arc<App>>) -> Response {
    let now = app.now();
    // An engine that a reload has replaced may have had the last word in these gauges.
    now.metrics.load(now.engine.batcher().load());
    now.metrics.set_model_ready(now.metrics.model_is_ready());
    now.metrics.tell_image_cache();
    app.metrics.gauge(names::REQUESTS_ACTIVE, &[]).set(app.places.taken() as f64);
    app.metrics.gauge(names::BODY_BYTES, &[]).set(app.bodies.bytes() as f64);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], app.metrics.handle.render()).into_response()
}

/// One request under way; a client that hangs up drops it without an outcome.
pub(crate) struct Watch {
    metrics: Arc<Metrics>,
    task: Task,
    started: Instant,
    outcome: OnceLock<&'static str>,
    /// The request's; it lasts as long as this.
    span: Span,
}

impl Watch {
    /// The request is over: `ok`, or a problem's code.
    pub(crate) fn ended(&self, outcome: &'static str) {
        self.outcome.get_or_init(|| outcome);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let outcome = self.outcome.get().copied().unwrap_or("cancelled");
        let labels = [("task", self.task.name()), ("outcome", outcome)];
        self.metrics.counter(names::REQUESTS, &labels).increment(1);
        // Refusals are fast, and when there are many they would hide how slow answers are.
        if outcome == "ok" {
            let duration = self.metrics.histogram(names::REQUEST_DURATION, &labels[..1]);
            duration.record(self.started.elapsed());
        }
        self.span.record("outcome", outcome);
    }
}

/// Counts requests by outcome.
pub(crate) async fn layer(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    // Paths that match no route are as many as clients care to make up.
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    let task = Task::asked(request.method(), route);
    let watch = task.map(|task| {
        let (metrics, started) = (Arc::clone(&app.metrics), Instant::now());
        let (outcome, span) = (OnceLock::new(), Span::current());
        Arc::new(Watch { metrics, task, started, outcome, span })
    });
    if let Some(watch) = &watch {
        request.extensions_mut().insert(Arc::clone(watch));
    }
    let response = next.run(request).await;
    let streamed = response.extensions().get::<Streamed>().is_some();
    if let Some(watch) = watch.filter(|_| !streamed) {
        watch.ended(response.extensions().get::<Code>().map_or("ok", |code| code.name()));
    }
    let status = response.status();
    let labels = [("route", route), ("status", status.as_str())];
    app.metrics.counter(names::HTTP_RESPONSES, &labels).increment(1);
    response
}

//! What OpenTelemetry is told of a request beyond its `tracing` span: the trace that it belongs to,
//! and its stages.
//!
//! A stage is exported when it is over, with the times that the batcher measured: the batcher knows
//! no tracing, and a request meets it as one row among others. Without an exporter in the process,
//! nothing here does anything.

use std::time::{Duration, Instant, SystemTime};

use axum::http::HeaderMap;
use mue_engine::Reply;
use mue_engine::batcher::{Answer, BatchShare, Timing};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes a request's span part of the trace that its `traceparent` names (W3C Trace Context).
pub(crate) fn adopt(span: &Span, headers: &HeaderMap) {
    let headers = HeaderExtractor(headers);
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    if parent.has_active_span() {
        // Fails only where nobody exports.
        drop(span.set_parent(parent));
    }
}

/// Pictures have been fetched, decoded and resized.
pub(crate) fn preprocess(started: Instant, duration: Duration) {
    if let Some(request) = Exported::current() {
        request.stage("preprocess", (started, duration), Vec::new());
    }
}

/// A result of the current request has been answered; it came into the queue at `queued`.
pub(crate) fn stages(place: usize, queued: Instant, answer: &Answer<Reply>) {
    let Some(request) = Exported::current() else { return };
    let Timing { queue, encode, decode } = answer.timing;
    let BatchShare { cohort_rows, decode_steps, decode_rows_mean } = answer.batch;
    let exit = answer.output.exit();
    let (encoding, decoding) = (queued + queue, queued + queue + encode);
    let result = || KeyValue::new("mue.result", count(place));
    request.stage("queue", (queued, queue), vec![result()]);
    // A deferred picture goes on while its answer is decoded.
    let image = exit.deferred.map_or(exit.image.layer, |first| first.image);
    let depths = [("mue.image.layer", image), ("mue.text.layer", exit.text.layer)];
    let layers = depths.map(|(name, layer)| KeyValue::new(name, count(layer)));
    let rows = [result(), KeyValue::new("mue.cohort_rows", count(cohort_rows))];
    request.stage("encode", (encoding, encode), rows.into_iter().chain(layers).collect());
    let further =
        exit.deferred.map(|_| KeyValue::new("mue.deferred.image.layer", count(exit.image.layer)));
    let mut attributes = vec![
        result(),
        KeyValue::new("mue.decoder.mean_layer", exit.mean_layer()),
        KeyValue::new("mue.decode_steps", decode_steps as i64),
        KeyValue::new("mue.decode_rows_mean", decode_rows_mean),
    ];
    attributes.extend(further);
    request.stage("decode", (decoding, decode), attributes);
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A request whose span is exported.
struct Exported(Context);

impl Exported {
    /// The one that is being answered, if it is.
    fn current() -> Option<Self> {
        let context = Span::current().context();
        let sampled = context.span().span_context().is_sampled();
        sampled.then_some(Self(context))
    }

    /// Exports a stage as a child of the request's span.
    fn stage(
        &self,
        name: &'static str,
        (started, duration): (Instant, Duration),
        attributes: Vec<KeyValue>,
    ) {
        let started = SystemTime::now() - started.elapsed();
        let tracer = global::tracer(env!("CARGO_PKG_NAME"));
        let stage = tracer.span_builder(name).with_start_time(started).with_attributes(attributes);
        stage.start_with_context(&tracer, &self.0).end_with_timestamp(started + duration);
    }
}

//! Spans in the words of OpenTelemetry's conventions, by which others group and draw them.

use std::time::Duration;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_otlp::SpanExporter as Otlp;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// What the span of a request is called in the log.
const REQUEST: &str = "request";

/// Its fields there, and what they are called in conventions on HTTP, or here where there are none.
const NAMES: [(&str, &str); 7] = [
    ("id", "mue.request_id"),
    ("key", "mue.key"),
    ("method", "http.request.method"),
    ("outcome", "mue.outcome"),
    ("route", "http.route"),
    ("status", "http.response.status_code"),
    ("task", "mue.task"),
];

/// Sends spans as the conventions have them.
#[derive(Debug)]
pub(super) struct Conventional(pub(super) Otlp);

impl SpanExporter for Conventional {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(batch.into_iter().map(conventional).collect()).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn conventional(mut span: SpanData) -> SpanData {
    if span.name != REQUEST {
        return span;
    }
    span.span_kind = SpanKind::Server;
    if let Some(method) = text(&span, "method") {
        let name = text(&span, "route").map_or(method.clone(), |route| format!("{method} {route}"));
        span.name = name.into();
    }
    if has_failed(&span) {
        span.status = Status::error(text(&span, "outcome").unwrap_or_default());
    }
    for KeyValue { key, .. } in &mut span.attributes {
        if let Some((_, name)) = NAMES.iter().find(|(field, _)| *field == key.as_str()) {
            *key = Key::from_static_str(name);
        }
    }
    span
}

/// Whether the server failed: its status says so, or its stream ended with a problem.
fn has_failed(span: &SpanData) -> bool {
    let outcome = text(span, "outcome");
    match value(span, "status") {
        Some(Value::I64(200)) => {
            outcome.is_some_and(|outcome| !matches!(outcome.as_str(), "ok" | "cancelled"))
        }
        Some(Value::I64(status)) => *status >= 500,
        _ => false,
    }
}

fn text(span: &SpanData, field: &str) -> Option<String> {
    value(span, field).map(|value| value.as_str().into_owned())
}

fn value<'a>(span: &'a SpanData, field: &str) -> Option<&'a Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == field);
    found.map(|attribute| &attribute.value)
}

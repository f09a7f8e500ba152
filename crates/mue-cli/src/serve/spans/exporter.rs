//! Collects the spans of requests, and sends them from a thread of its own.

use std::time::Duration;

use anyhow::Context;
use mue_server::PERIODIC_TARGET;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::client::Client;
use super::conventions::Conventional;
use crate::error::user_error;
use crate::serve::logs::BoxedLayer;

/// How long the last spans may take when the server stops.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);

/// Sends the spans of requests.
pub(in crate::serve) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Begins, if there is somewhere to send them to. What waits is bounded, and lost if the
    /// collector does not take it.
    ///
    /// # Errors
    ///
    /// If the address or one of OpenTelemetry's variables cannot be used.
    pub(in crate::serve) fn start(
        destination: Option<&str>,
        service: &str,
    ) -> anyhow::Result<Option<Self>> {
        let Some(address) = destination else { return Ok(None) };
        let exporter = SpanExporter::builder().with_http().with_http_client(Client::new());
        let exporter = exporter.with_protocol(Protocol::HttpBinary).with_endpoint(address).build();
        let exporter = exporter.with_context(|| format!("cannot send spans to {address}"));
        let exporter = exporter.map_err(|error| {
            user_error(error, "give the address of a collector, such as http://127.0.0.1:4318")
        })?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(service))
            .with_batch_exporter(Conventional(exporter))
            .build();
        // For the stages of requests, which are no spans of `tracing`.
        global::set_tracer_provider(provider.clone());
        Ok(Some(Self(provider)))
    }

    /// Its part of what hears of spans: the requests, but for those that machines repeat, and
    /// what is logged about them.
    pub(in crate::serve) fn layer(&self) -> BoxedLayer {
        let requests = Targets::new()
            .with_targets([("mue_server", Level::INFO), ("mue_engine", Level::INFO)])
            .with_target(PERIODIC_TARGET, LevelFilter::OFF);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(requests)
            .boxed()
    }

    /// Sends what there is, and ends.
    pub(in crate::serve) fn flush(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_TIME_MAX) {
            tracing::warn!(cause = %error, "the last spans are lost");
        }
    }
}

/// What the spans are of: this service, and whatever OpenTelemetry's variables say of it.
fn resource(service: &str) -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    let name = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    match name {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

//! How spans are posted: by the HTTP client that is in this program anyway.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::Agent;

/// For one post, answer included; what OTLP's specification has as its default.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Far more than a collector answers.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Blocks: it runs on the exporter's own thread.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    /// Whether the last post failed, so that an outage is two lines of the log.
    failing: AtomicBool,
}

impl Client {
    pub(super) fn new() -> Self {
        let config = Agent::config_builder().timeout_global(Some(TIME_MAX));
        let agent = config.http_status_as_error(false).build().into();
        Self { agent, failing: AtomicBool::new(false) }
    }

    fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (head, body) = request.into_parts();
        let response = self.agent.run(Request::from_parts(head, &body[..]))?;
        let (head, mut body) = response.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(head, body.into()))
    }

    /// Says it when posts begin to fail, and when they succeed again.
    fn note(&self, failure: Option<String>) {
        let failed_before = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(cause) if !failed_before => {
                tracing::warn!(cause, "spans cannot be sent; those that wait too long are lost");
            }
            None if failed_before => tracing::info!("spans can be sent again"),
            Some(_) | None => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.post(request);
        self.note(match &response {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answered {}", response.status())),
            Err(error) => Some(error.to_string()),
        });
        Ok(response?)
    }
}

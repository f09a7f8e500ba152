//! One span per request, so that every log line within says which request it is about, and one
//! line at its end. The span lasts until the answer is whole; a build with the feature `otlp` can
//! export it.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, info, info_span};

use crate::answering::Task;
use crate::request_id::RequestId;

/// Routes that are asked all the time by machines.
const PERIODIC: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];

/// The target of their spans, by which those who collect spans can leave them out.
pub const PERIODIC_TARGET: &str = "mue_server::periodic";

/// Logs a request.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let id = extensions.get::<RequestId>().map(ToString::to_string).unwrap_or_default();
    let route = extensions.get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let quiet = PERIODIC.contains(&route);
    let method = request.method();
    let span = match quiet {
        true => {
            let (key, status) = (Empty, Empty);
            info_span!(target: PERIODIC_TARGET, "request", id, %method, route, key, status)
        }
        false => {
            let task = Task::ALL.into_iter().find(|task| task.route() == route).map(Task::name);
            let (key, status, outcome) = (Empty, Empty, Empty);
            info_span!("request", id, %method, route, task, key, status, outcome)
        }
    };
    #[cfg(feature = "otlp")]
    crate::spans::adopt(&span, request.headers());
    let end = End { started: Instant::now(), quiet, status: None };
    async move {
        let mut end = end;
        let response = next.run(request).await;
        end.status = Some(response.status());
        response
    }
    .instrument(span)
    .await
}

/// Writes the line when the request is answered, or dropped because the client hung up.
struct End {
    started: Instant,
    quiet: bool,
    status: Option<StatusCode>,
}

impl Drop for End {
    fn drop(&mut self) {
        let duration_ms = self.started.elapsed().as_secs_f64() * 1e3;
        match (self.status.map(|status| status.as_u16()), self.quiet) {
            (Some(status), false) => info!(status, duration_ms, "answered"),
            (Some(status), true) => debug!(status, duration_ms, "answered"),
            (None, _) => info!(duration_ms, "the client hung up"),
        }
        // Behind the line, which says it already.
        if let Some(status) = self.status {
            Span::current().record("status", i64::from(status.as_u16()));
        }
    }
}

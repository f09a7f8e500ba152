//! One span per request, so that every log line within says which request it is about, and one
//! line at its end. Both last until the answer is whole, be it a stream; a build with the feature
//! `otlp` can export the span.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, info, info_span};

use crate::answering::Task;
use crate::connections::Peer;
use crate::request_id::RequestId;
use crate::stream::Streamed;

/// Routes that are asked all the time by machines.
const PERIODIC: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];

/// The target of their spans, by which those who collect spans can leave them out.
pub const PERIODIC_TARGET: &str = "mue_server::periodic";

/// What the route of a request is called that has none.
const NO_ROUTE: &str = "none";

/// Bytes of a path that is logged because there is no such route.
const PATH_BYTES_MAX: usize = 100;

/// A path, cut off where it is too long for a line.
fn beginning(path: &str) -> &str {
    &path[..path.floor_char_boundary(PATH_BYTES_MAX)]
}

/// Logs a request.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let id = extensions.get::<RequestId>().map(ToString::to_string).unwrap_or_default();
    let route = extensions.get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str);
    let quiet = PERIODIC.contains(&route);
    let (method, peer) = (request.method(), extensions.get::<Peer>().map(|Peer(peer)| peer.ip()));
    let peer = peer.map(tracing::field::display);
    let span = match quiet {
        true => {
            let (key, status) = (Empty, Empty);
            info_span!(target: PERIODIC_TARGET, "request", id, %method, route, peer, key, status)
        }
        false => {
            let task = Task::asked(method, route).map(Task::name);
            let path = (route == NO_ROUTE).then(|| beginning(request.uri().path()));
            let (key, status, outcome) = (Empty, Empty, Empty);
            info_span!("request", id, %method, route, path, peer, task, key, status, outcome)
        }
    };
    #[cfg(feature = "otlp")]
    crate::spans::adopt(&span, request.headers());
    let mut end = End { started: Instant::now(), quiet, status: None, span: span.clone() };
    let response = next.run(request).instrument(span).await;
    let status = response.status();
    if response.extensions().get::<Streamed>().is_some() {
        return response.map(|body| Body::new(Logged { body, status, end }));
    }
    end.status = Some(status);
    response
}

/// An answer that is sent while it is made.
struct Logged {
    // Dropped first: the outcome is known before the line is written.
    body: Body,
    status: StatusCode,
    end: End,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(None) = frame {
            self.end.status = Some(self.status);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Writes the line when the request is answered, or dropped because the client hung up.
struct End {
    started: Instant,
    quiet: bool,
    /// Of an answer that is whole.
    status: Option<StatusCode>,
    span: Span,
}

impl Drop for End {
    fn drop(&mut self) {
        let _within = self.span.enter();
        let duration_ms = self.started.elapsed().as_secs_f64() * 1e3;
        match (self.status.map(|status| status.as_u16()), self.quiet) {
            (Some(status), false) => info!(status, duration_ms, "answered"),
            (Some(status), true) => debug!(status, duration_ms, "answered"),
            (None, _) => info!(duration_ms, "the client hung up"),
        }
        // Behind the line, which says it already.
        if let Some(status) = self.status {
            self.span.record("status", i64::from(status.as_u16()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_cut_off_between_letters() {
        assert_eq!(beginning("/nowhere"), "/nowhere");
        let long = format!("/{}é{}", "a".repeat(98), "a".repeat(60_000));
        assert_eq!(beginning(&long), &long[..99]);
    }
}

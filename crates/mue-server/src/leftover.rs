//! What nobody has read of a request's body.
//!
//! A client that is refused while it sends would find its connection broken instead of the answer,
//! or lose the next request on it. So the rest of a body is let pass before the answer goes out; what
//! is too large or too slow for that is not waited for, and the client is told that the connection
//! ends. One that announces too large a body is answered at once, and the connection ends a moment
//! later, so that a client who sends on finds the answer and not a broken connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, EXPECT};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

use crate::app::App;
use crate::body;

/// How long a client who was answered at once may go on sending.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// Lets the rest of a body pass, or says that the connection ends. A body has `body_bytes_max`
/// bytes at most, whoever reads it.
pub(crate) async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (serving, arrived) = (app.now(), Instant::now());
    let bytes_max = serving.config.body_bytes_max;
    let until = arrived + body::time_max(&serving.config);
    let is_too_large = body::is_announced_too_large(request.headers(), &serving.config);
    drop(serving);
    // One that waits to be told to send it is not told.
    let is_sent = !request.headers().contains_key(EXPECT);
    let (back, mut left) = oneshot::channel();
    // What is announced as too large nobody reads, and how long it passes is bounded by time.
    let passes_max = if is_too_large { usize::MAX } else { bytes_max };
    let lend = |body| Body::new(Lent(Some((Limited::new(body, passes_max), back))));
    let mut response = next.run(request.map(lend)).await;
    let has_passed = match left.try_recv() {
        Ok(None) => true,
        Ok(Some(body)) if body.is_end_stream() => true,
        Ok(Some(body)) if is_sent && is_too_large => {
            // The connection is open as long as somebody reads the body.
            tokio::spawn(tokio::time::timeout(LINGER_MAX, pass(body)));
            false
        }
        Ok(Some(body)) if is_sent => tokio::select! {
            passed = tokio::time::timeout_at(until.into(), pass(body)) => passed.unwrap_or(false),
            () = app.drain.over() => false,
        },
        Ok(Some(_)) | Err(_) => false,
    };
    if !has_passed {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Drops a body as it comes, since there may be many of these; whether it came to its end.
async fn pass(mut body: Limited<Body>) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

/// A body, unless it has been read to its end.
type Left = Option<Limited<Body>>;

/// A body that is given back by whoever drops it.
struct Lent(Option<(Limited<Body>, oneshot::Sender<Left>)>);

impl Lent {
    fn give_back(&mut self, is_left: bool) {
        if let Some((body, back)) = self.0.take() {
            // Nobody waits for it where the client has hung up.
            drop(back.send(is_left.then_some(body)));
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some((body, _)) = &mut self.0 else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        if let Poll::Ready(None) = frame {
            self.give_back(false);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.give_back(true);
    }
}

//! What nobody has read of a request's body.
//!
//! A client that is refused while it sends would find its connection broken instead of the answer,
//! or lose the next request on it. So the rest of a body is let pass before the answer goes out. What
//! is too large or too slow for that is not waited for, nor what is announced as too large: the client
//! is told that the connection ends, which it does a moment later, so that one who sends on finds the
//! answer and not a broken connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

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
use crate::drain::Drain;

/// How long a client whose body is not waited for may go on sending.
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
    let waits_to_send = request.headers().contains_key(EXPECT);
    let (back, mut given_back) = oneshot::channel();
    let lend = |body| Body::new(Limited::new(Lent::new(body, back), bytes_max));
    let mut response = next.run(request.map(lend)).await;
    let has_passed = match given_back.try_recv() {
        Ok(None) => true,
        Ok(Some(left)) if left.body.is_end_stream() => true,
        // A client that waits to be told to send it is told when it is asked for.
        Ok(Some(mut left)) if left.is_asked_for || !waits_to_send => {
            let rest = Limited::new(&mut left.body, bytes_max.saturating_sub(left.bytes_read));
            let has_passed = !is_too_large && pass_in_time(rest, until, &app.drain).await;
            if !has_passed {
                // The connection is open as long as somebody reads the body.
                tokio::spawn(tokio::time::timeout(LINGER_MAX, pass(left.body)));
            }
            has_passed
        }
        Ok(Some(_)) | Err(_) => false,
    };
    if !has_passed {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Drops what is left of a body as it comes; whether it came to its end in time.
async fn pass_in_time(rest: Limited<&mut Body>, until: Instant, drain: &Drain) -> bool {
    tokio::select! {
        passed = tokio::time::timeout_at(until.into(), pass(rest)) => passed.unwrap_or(false),
        () = drain.over() => false,
    }
}

/// Drops a body as it comes, since there may be many of these; whether it came to its end.
async fn pass(mut body: impl HttpBody + Unpin) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

/// What is left of a body.
struct Left {
    body: Body,
    is_asked_for: bool,
    bytes_read: usize,
}

/// A body that is given back by whoever drops it, unless it has been read to its end.
struct Lent(Option<(Left, oneshot::Sender<Option<Left>>)>);

impl Lent {
    fn new(body: Body, back: oneshot::Sender<Option<Left>>) -> Self {
        Self(Some((Left { body, is_asked_for: false, bytes_read: 0 }, back)))
    }

    fn give_back(&mut self, is_left: bool) {
        if let Some((left, back)) = self.0.take() {
            // Nobody waits for it where the client has hung up.
            drop(back.send(is_left.then_some(left)));
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some((left, _)) = &mut self.0 else { return Poll::Ready(None) };
        left.is_asked_for = true;
        let frame = Pin::new(&mut left.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            left.bytes_read += frame.data_ref().map_or(0, Bytes::len);
        }
        if let Poll::Ready(None) = frame {
            self.give_back(false);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(left, _)| left.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let hint = |(left, _): &(Left, _)| left.body.size_hint();
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.give_back(true);
    }
}

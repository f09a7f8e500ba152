//! `x-request-id`: the client's own if it is a reasonable one, else one made here.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id taken over from a client.
const LENGTH_MAX: usize = 128;

/// Names a request in its answer and in the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(Arc<str>);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RequestId {
    fn of(request: &Request) -> Self {
        let theirs = request.headers().get(HEADER).and_then(|id| id.to_str().ok());
        let plain = |id: &&str| {
            (1..=LENGTH_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        theirs.filter(plain).map_or_else(Self::new, |id| Self(id.into()))
    }

    /// Unique in this process by its counter, and among processes by a random start.
    fn new() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        static PROCESS: OnceLock<u64> = OnceLock::new();
        let process = PROCESS.get_or_init(|| RandomState::new().hash_one(0));
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self(format!("{process:016x}-{count}").into())
    }
}

/// Gives every request its id, and sends it back.
pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

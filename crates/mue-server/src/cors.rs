//! Which web pages may ask from a browser (CORS).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::App;
use crate::request_id;

/// What joins a request to a trace (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How long a browser may remember the answer.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Whether a text is `*` or an origin as browsers send it: a scheme and a host in lower case, perhaps a
/// port that is not the scheme's own, no path.
pub(crate) fn is_origin(text: &str) -> bool {
    let https = text.strip_prefix("https://").map(|host| (host, ":443"));
    let origin = https.or_else(|| text.strip_prefix("http://").map(|host| (host, ":80")));
    let sent =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte);
    let is_sent = |(host, own_port): (&str, &str)| {
        !host.is_empty() && host.bytes().all(sent) && !host.ends_with(own_port)
    };
    text == "*" || origin.is_some_and(is_sent)
}

/// Tells browsers that pages of the configured origins may ask.
pub(crate) async fn layer(
    State(allowed): State<CorsLayer>,
    request: Request,
    next: Next,
) -> Response {
    // To the library whatever asks for options asks for leave; its route knows better.
    if *request.method() == Method::OPTIONS && !is_preflight(&request) {
        return next.run(request).await;
    }
    let Ok(response) = allowed.layer(next).oneshot(request).await;
    response
}

/// Whether a browser asks if a page may ask.
fn is_preflight(request: &Request) -> bool {
    let says = |name: HeaderName| request.headers().contains_key(name);
    says(ORIGIN) && says(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What pages of the configured origins may ask with.
pub(crate) fn allowing(app: &Arc<App>) -> CorsLayer {
    let app = Arc::clone(app);
    let known = move |origin: &HeaderValue, _: &Parts| {
        let origins = &app.now().config.cors_origins;
        origins.iter().any(|known| known == "*" || known.as_bytes() == origin.as_bytes())
    };
    CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, request_id::HEADER, TRACEPARENT, TRACESTATE])
        .expose_headers([RETRY_AFTER, request_id::HEADER])
        .max_age(MAX_AGE)
        .allow_origin(AllowOrigin::predicate(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let origins = ["*", "https://example.org", "http://localhost:3000", "http://[::1]:443"];
        assert!(origins.into_iter().all(is_origin));
        let nothing = ["", "example.org", "https://", "https://a/b", "https://a?b", "ftp://a"];
        assert!(!nothing.into_iter().any(is_origin));
        // Browsers send none of these.
        let never = ["https://Example.org", "https://*.a.org", "https://a:443", "http://a:80"];
        assert!(!never.into_iter().any(is_origin));
    }
}

//! What a client is told when it gets no answer (RFC 9457).

mod code;

use std::time::Duration;

use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use mue_data::ImageError;
use mue_engine::InvalidRequest;
use mue_engine::batcher::{RequestError, SubmitError};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use code::Code;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: String,
    retry_after: Option<Duration>,
}

/// Why there is no answer (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemJson {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    #[schema(format = "uri", examples("urn:mue:problem:queue_full"))]
    kind: String,
    /// The kind in words.
    #[schema(examples("The queue is full"))]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, examples(429))]
    status: u16,
    /// What happened this time.
    #[schema(examples("512 rows wait already"))]
    detail: String,
    /// Stable name of the kind, for programs.
    #[schema(value_type = Code)]
    code: &'static str,
}

impl Problem {
    /// A problem of a kind, and what happened this time.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: within_bounds(detail.into()), retry_after: None }
    }

    /// A request that is understood and makes no sense.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// Says when to try again: in whole seconds, rounded up, and no more than a minute.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Says which part of the request it is about.
    pub(crate) fn about(self, part: &str) -> Self {
        Self { detail: format!("{part}: {}", self.detail), ..self }
    }

    /// As it is sent.
    pub(crate) fn json(&self) -> ProblemJson {
        let code = self.code.name();
        ProblemJson {
            kind: format!("urn:mue:problem:{code}"),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), Json(self.json())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let code_wait = match self.code {
            Code::ShuttingDown | Code::ModelUnavailable => Some(RETRY_AFTER_UNAVAILABLE),
            _ => None,
        };
        if let Some(wait) = self.retry_after.or(code_wait) {
            let seconds = wait.min(RETRY_AFTER_MAX).as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let said = match self.code {
            Code::Unauthorized => Some((WWW_AUTHENTICATE, "Bearer")),
            Code::UnsupportedEncoding => Some((ACCEPT_ENCODING, "identity")),
            _ => None,
        };
        headers.extend(said.map(|(name, value)| (name, HeaderValue::from_static(value))));
        // The metrics count kinds, which the status alone does not tell apart.
        response.extensions_mut().insert(self.code);
        response
    }
}

/// Bytes of a detail. It may quote what the client sent, which is as long as a body may be.
const DETAIL_BYTES_MAX: usize = 400;

/// A detail without its middle if it is too long: what is wrong stands before what it quotes, what
/// is expected behind.
fn within_bounds(detail: String) -> String {
    if detail.len() <= DETAIL_BYTES_MAX {
        return detail;
    }
    let half = DETAIL_BYTES_MAX / 2;
    let start = &detail[..detail.floor_char_boundary(half)];
    let end = &detail[detail.ceil_char_boundary(detail.len() - half)..];
    format!("{start} … {end}")
}

/// Before anything has left the queue there is no rate to go by.
pub(crate) const RETRY_AFTER_UNKNOWN: Duration = Duration::from_secs(1);

/// Another server, or this one started anew, takes some seconds.
const RETRY_AFTER_UNAVAILABLE: Duration = Duration::from_secs(5);

/// What a rate says of a longer time is not worth waiting for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::QueueFull { retry_after } => Self::new(Code::QueueFull, detail)
                .retry_after(retry_after.unwrap_or(RETRY_AFTER_UNKNOWN)),
            SubmitError::TooLarge { .. } => Self::new(Code::TooManyRows, detail),
            SubmitError::ShuttingDown => Self::new(Code::ShuttingDown, detail),
            SubmitError::ModelUnavailable => Self::new(Code::ModelUnavailable, detail),
        }
    }
}

impl<E> From<RequestError<E>> for Problem {
    fn from(error: RequestError<E>) -> Self {
        // The model's own words may hold what is nobody's business outside.
        match error {
            RequestError::DeadlineExceeded { stage } => Self::new(
                Code::DeadlineExceeded,
                format!("the deadline passed in the {stage} stage"),
            ),
            RequestError::Model(_) | RequestError::ModelPanicked => {
                Self::new(Code::ModelFailed, "the model could not answer; the cause is logged")
            }
            RequestError::ModelUnavailable => {
                Self::new(Code::ModelUnavailable, "the model is unavailable")
            }
            RequestError::ShuttingDown => Self::new(Code::ShuttingDown, "shutting down"),
        }
    }
}

impl From<InvalidRequest> for Problem {
    fn from(error: InvalidRequest) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<ImageError> for Problem {
    fn from(error: ImageError) -> Self {
        let code = match error {
            ImageError::Bytes { .. } | ImageError::Pixels { .. } => Code::ImageTooLarge,
            _ => Code::InvalidImage,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_problem_says_what_when_and_how_to_tell() {
        let full = SubmitError::QueueFull { retry_after: Some(Duration::from_millis(1200)) };
        let response = Problem::from(full).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.extensions().get(), Some(&Code::QueueFull));
    }

    #[test]
    fn whoever_may_come_again_is_told_when() {
        let wait = |problem: Problem| problem.into_response().headers().get(RETRY_AFTER).cloned();
        let full = |wait| Problem::from(SubmitError::QueueFull { retry_after: wait });
        assert_eq!(wait(full(None)).unwrap(), "1");
        assert_eq!(wait(full(Some(Duration::from_secs(86_400)))).unwrap(), "60");
        assert_eq!(wait(SubmitError::ShuttingDown.into()).unwrap(), "5");
        assert_eq!(wait(RequestError::<()>::ModelUnavailable.into()).unwrap(), "5");
        assert_eq!(wait(Problem::invalid("")), None);
    }

    #[test]
    fn what_a_client_sent_is_not_quoted_at_length() {
        let whole = |bytes| Problem::invalid("x".repeat(bytes)).detail.len() == bytes;
        assert!(whole(DETAIL_BYTES_MAX) && !whole(DETAIL_BYTES_MAX + 1));
        let name = "é".repeat(1 << 20);
        for around in ["", "x"] {
            let detail = format!("{around}unknown field `{name}`, expected `image`");
            let Problem { detail, .. } = Problem::invalid(detail);
            assert!(detail.len() < DETAIL_BYTES_MAX + 10, "{detail}");
            assert!(detail.starts_with(&format!("{around}unknown field `é")), "{detail}");
            assert!(detail.contains("é … é"), "{detail}");
            assert!(detail.ends_with("é`, expected `image`"), "{detail}");
        }
    }

    #[test]
    fn a_models_error_is_not_sent() {
        let problem = Problem::from(RequestError::Model("secret"));
        assert_eq!(problem.code.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!problem.detail.contains("secret"));
    }
}

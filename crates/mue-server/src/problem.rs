//! What a client is told when it gets no answer (RFC 9457).

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mue_data::ImageError;
use mue_engine::InvalidRequest;
use mue_engine::batcher::{RequestError, SubmitError};
use serde::Serialize;

/// What a client can tell failures apart by; names and statuses do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Code {
    MalformedBody,
    Unauthorized,
    KeysRequired,
    NotFound,
    MethodNotAllowed,
    BodyTooSlow,
    ReloadInProgress,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    InvalidImage,
    ImageTooLarge,
    ImageUrlRefused,
    ImageUrlFailed,
    TooManyRows,
    QueueFull,
    TooManyRequests,
    RateLimited,
    ModelFailed,
    ReloadFailed,
    Internal,
    ShuttingDown,
    ModelUnavailable,
    DeadlineExceeded,
}

impl Code {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.words().0
    }

    /// Its status.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::MalformedBody => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::KeysRequired => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::ReloadInProgress => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidRequest
            | Self::InvalidImage
            | Self::ImageTooLarge
            | Self::ImageUrlRefused
            | Self::ImageUrlFailed
            | Self::TooManyRows => StatusCode::UNPROCESSABLE_ENTITY,
            Self::QueueFull | Self::TooManyRequests | Self::RateLimited => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::ModelFailed | Self::ReloadFailed | Self::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::ShuttingDown | Self::ModelUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Name and title.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::MalformedBody => ("malformed_body", "The body cannot be read"),
            Self::Unauthorized => ("unauthorized", "An API key is needed"),
            Self::KeysRequired => ("keys_required", "The route needs API keys to be configured"),
            Self::NotFound => ("not_found", "There is nothing here"),
            Self::MethodNotAllowed => ("method_not_allowed", "The route has other methods"),
            Self::BodyTooSlow => ("body_too_slow", "The body took too long to arrive"),
            Self::ReloadInProgress => ("reload_in_progress", "Another reload is not over yet"),
            Self::BodyTooLarge => ("body_too_large", "The body is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", "The body has an unsupported media type")
            }
            Self::InvalidRequest => ("invalid_request", "The request is not valid"),
            Self::InvalidImage => ("invalid_image", "The image cannot be used"),
            Self::ImageTooLarge => ("image_too_large", "The image is too large"),
            Self::ImageUrlRefused => {
                ("image_url_refused", "The image's URL is not one to fetch from")
            }
            Self::ImageUrlFailed => ("image_url_failed", "The image could not be fetched"),
            Self::TooManyRows => {
                ("too_many_rows", "The request asks for more than can be taken at once")
            }
            Self::QueueFull => ("queue_full", "The queue is full"),
            Self::TooManyRequests => ("too_many_requests", "Too many requests are under way"),
            Self::RateLimited => ("rate_limited", "The key's rate limit is reached"),
            Self::ModelFailed => ("model_failed", "The model failed on the request"),
            Self::ReloadFailed => {
                ("reload_failed", "The reload failed; the former settings and model go on")
            }
            Self::Internal => ("internal", "The server failed"),
            Self::ShuttingDown => ("shutting_down", "The server is shutting down"),
            Self::ModelUnavailable => ("model_unavailable", "The model is unavailable"),
            Self::DeadlineExceeded => ("deadline_exceeded", "The deadline passed"),
        }
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    detail: String,
    retry_after: Option<Duration>,
}

/// A [`Problem`] as it is sent.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemJson {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened this time.
    detail: String,
    /// Stable name of the kind, for programs.
    code: &'static str,
}

impl Problem {
    /// A problem of a kind, and what happened this time.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    /// A request that is understood and makes no sense.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// Says when to try again; rounded up to whole seconds.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Says which part of the request it is about.
    pub(crate) fn about(self, part: &str) -> Self {
        Self { detail: format!("{part}: {}", self.detail), ..self }
    }

    /// As it is sent.
    pub(crate) fn json(&self) -> ProblemJson {
        let (code, title) = self.code.words();
        ProblemJson {
            kind: format!("urn:mue:problem:{code}"),
            title,
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
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == Code::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The metrics count kinds, which the status alone does not tell apart.
        response.extensions_mut().insert(self.code);
        response
    }
}

/// Before anything has left the queue there is no rate to go by.
const RETRY_AFTER_UNKNOWN: Duration = Duration::from_secs(1);

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
    fn a_models_error_is_not_sent() {
        let problem = Problem::from(RequestError::Model("secret"));
        assert_eq!(problem.code.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!problem.detail.contains("secret"));
    }
}

//! The kinds of problems.

use axum::http::StatusCode;
use utoipa::ToSchema;

/// What a client can tell failures apart by; names and statuses do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ToSchema)]
#[schema(as = ProblemCode, rename_all = "snake_case")]
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
    UnsupportedEncoding,
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
    /// Every kind.
    pub(crate) const ALL: [Self; 25] = [
        Self::MalformedBody,
        Self::Unauthorized,
        Self::KeysRequired,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTooSlow,
        Self::ReloadInProgress,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::UnsupportedEncoding,
        Self::InvalidRequest,
        Self::InvalidImage,
        Self::ImageTooLarge,
        Self::ImageUrlRefused,
        Self::ImageUrlFailed,
        Self::TooManyRows,
        Self::QueueFull,
        Self::TooManyRequests,
        Self::RateLimited,
        Self::ModelFailed,
        Self::ReloadFailed,
        Self::Internal,
        Self::ShuttingDown,
        Self::ModelUnavailable,
        Self::DeadlineExceeded,
    ];

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
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
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

    /// It in words.
    pub(crate) fn title(self) -> &'static str {
        self.words().1
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
            Self::UnsupportedEncoding => {
                ("unsupported_encoding", "The body has an unsupported content encoding")
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
            Self::TooManyRequests => (
                "too_many_requests",
                "Too many requests are under way, or too much is held for them",
            ),
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

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn the_list_and_the_contract_have_every_kind() {
        let schema = serde_json::to_value(Code::schema()).unwrap();
        assert_eq!(schema["enum"], serde_json::json!(Code::ALL.map(Code::name)));
    }
}

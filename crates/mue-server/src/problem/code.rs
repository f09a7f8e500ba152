//! The kinds of problems.

use axum::http::StatusCode;
use utoipa::ToSchema;

/// What a client can tell failures apart by; names and statuses do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ToSchema)]
#[schema(as = ProblemCode, rename_all = "snake_case")]
pub(crate) enum Code {
    MalformedBody,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    BodyTooSlow,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    InvalidImage,
    ImageTooLarge,
    TooManyRows,
    QueueFull,
    TooManyRequests,
    ModelFailed,
    Internal,
    ShuttingDown,
    ModelUnavailable,
    DeadlineExceeded,
}

impl Code {
    /// Every kind.
    pub(crate) const ALL: [Self; 18] = [
        Self::MalformedBody,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTooSlow,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::InvalidImage,
        Self::ImageTooLarge,
        Self::TooManyRows,
        Self::QueueFull,
        Self::TooManyRequests,
        Self::ModelFailed,
        Self::Internal,
        Self::ShuttingDown,
        Self::ModelUnavailable,
        Self::DeadlineExceeded,
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.parts().0
    }

    /// Its status.
    pub(crate) fn status(self) -> StatusCode {
        self.parts().1
    }

    /// It in words.
    pub(crate) fn title(self) -> &'static str {
        self.parts().2
    }

    /// Name, status, title.
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as Status;
        match self {
            Self::MalformedBody => {
                ("malformed_body", Status::BAD_REQUEST, "The body cannot be read")
            }
            Self::Unauthorized => ("unauthorized", Status::UNAUTHORIZED, "An API key is needed"),
            Self::NotFound => ("not_found", Status::NOT_FOUND, "There is nothing here"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", Status::METHOD_NOT_ALLOWED, "The route has other methods")
            }
            Self::BodyTooSlow => {
                ("body_too_slow", Status::REQUEST_TIMEOUT, "The body took too long to arrive")
            }
            Self::BodyTooLarge => {
                ("body_too_large", Status::PAYLOAD_TOO_LARGE, "The body is too large")
            }
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                Status::UNSUPPORTED_MEDIA_TYPE,
                "The body has an unsupported media type",
            ),
            Self::InvalidRequest => {
                ("invalid_request", Status::UNPROCESSABLE_ENTITY, "The request is not valid")
            }
            Self::InvalidImage => {
                ("invalid_image", Status::UNPROCESSABLE_ENTITY, "The image cannot be used")
            }
            Self::ImageTooLarge => {
                ("image_too_large", Status::UNPROCESSABLE_ENTITY, "The image is too large")
            }
            Self::TooManyRows => (
                "too_many_rows",
                Status::UNPROCESSABLE_ENTITY,
                "The request asks for more than can be taken at once",
            ),
            Self::QueueFull => ("queue_full", Status::TOO_MANY_REQUESTS, "The queue is full"),
            Self::TooManyRequests => {
                ("too_many_requests", Status::TOO_MANY_REQUESTS, "Too many requests are under way")
            }
            Self::ModelFailed => {
                ("model_failed", Status::INTERNAL_SERVER_ERROR, "The model failed on the request")
            }
            Self::Internal => ("internal", Status::INTERNAL_SERVER_ERROR, "The server failed"),
            Self::ShuttingDown => {
                ("shutting_down", Status::SERVICE_UNAVAILABLE, "The server is shutting down")
            }
            Self::ModelUnavailable => {
                ("model_unavailable", Status::SERVICE_UNAVAILABLE, "The model is unavailable")
            }
            Self::DeadlineExceeded => {
                ("deadline_exceeded", Status::GATEWAY_TIMEOUT, "The deadline passed")
            }
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

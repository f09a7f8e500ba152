//! A request's body: within its limits of size and time, and of a type that is understood.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::multipart::{self, Form};
use crate::problem::{Code, Problem};

/// What a body says.
pub(crate) struct Asked<T> {
    pub(crate) fields: T,
    /// The pictures of a form.
    pub(crate) files: Vec<Bytes>,
}

/// Reads a body as JSON or as a form.
///
/// # Errors
///
/// If it is neither, not what is expected, too large or too slow.
pub(crate) async fn read<T: DeserializeOwned>(
    request: Request<Body>,
    config: &Config,
) -> Result<Asked<T>, Problem> {
    let (head, body) = request.into_parts();
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default();
    if is_json(media_type) {
        let fields = parse(&bytes(body, config).await?)?;
        return Ok(Asked { fields, files: Vec::new() });
    }
    let boundary = multer::parse_boundary(media_type).map_err(|_| {
        let detail = "send application/json or multipart/form-data";
        Problem::new(Code::UnsupportedMediaType, detail)
    })?;
    let Form { fields, files } = multipart::read(bytes(body, config).await?, boundary).await?;
    let fields = T::deserialize(fields).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(Asked { fields, files })
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

async fn bytes(body: Body, config: &Config) -> Result<Bytes, Problem> {
    let time_max = Duration::from_millis(config.body_ms_max);
    match tokio::time::timeout(time_max, to_bytes(body, config.body_bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(unreadable(&error, config)),
        Err(_) => {
            let detail = format!("the body took more than {} ms", config.body_ms_max);
            Err(Problem::new(Code::BodyTooSlow, detail))
        }
    }
}

fn unreadable(error: &axum::Error, config: &Config) -> Problem {
    let too_large = std::error::Error::source(error)
        .is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
    match too_large {
        true => {
            let detail = format!("the body has more than {} bytes", config.body_bytes_max);
            Problem::new(Code::BodyTooLarge, detail)
        }
        false => Problem::new(Code::MalformedBody, "the body ended early"),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let code = match error.is_data() {
            true => Code::InvalidRequest,
            false => Code::MalformedBody,
        };
        Problem::new(code, error.to_string())
    })
}

//! A request's body: within its limits of size and time, and of a type that is understood.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError};
use hyper::body::Buf;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::config::Config;
use crate::json;
use crate::multipart::{self, Form};
use crate::problem::{Code, Problem};
use crate::serving::Serving;
use crate::stream::Holds;

/// What a client asks, with its body read.
pub(crate) struct Asked<T> {
    /// What serves it from its body to its answer.
    pub(crate) app: Serving,
    /// When its head was there; deadlines count from then.
    pub(crate) arrived: Instant,
    pub(crate) holds: Holds,
    pub(crate) fields: T,
    /// The pictures of a form.
    pub(crate) files: Vec<Bytes>,
}

/// The fields of a request.
pub(crate) trait Fields: DeserializeOwned + Send + 'static {
    /// Most items of a list in them.
    fn items_max(config: &Config) -> usize;
}

impl<T: Fields> FromRequest<Arc<App>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let arrived = Instant::now();
        let (serving, holds) = (app.now(), Holds::new(request.extensions()));
        let (fields, files) = app.drain.refuse_late(read(request, arrived, &serving)).await?;
        Ok(Self { app: serving, arrived, holds, fields, files })
    }
}

/// How a body is written.
enum Written {
    Json,
    Form { boundary: String },
}

impl Written {
    fn of(request: &Request) -> Result<Self, Problem> {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default();
        if is_json(media_type) {
            return Ok(Self::Json);
        }
        let boundary = multer::parse_boundary(media_type).map_err(|_| {
            let detail = "send application/json or multipart/form-data";
            Problem::new(Code::UnsupportedMediaType, detail)
        })?;
        Ok(Self::Form { boundary })
    }
}

/// Reads a body as JSON or as a form.
///
/// # Errors
///
/// If it is neither, not what is expected, too large or too slow.
async fn read<T: Fields>(
    request: Request,
    arrived: Instant,
    app: &Serving,
) -> Result<(T, Vec<Bytes>), Problem> {
    let written = Written::of(&request)?;
    let body = collect(request, arrived, &app.config).await?;
    let (serving, bytes) = (app.clone(), body.remaining());
    let parse = move || parse(written, body, &serving.config);
    let parsed = app.preprocessor.pool().run(bytes, parse).await;
    parsed.map_err(|_| Problem::new(Code::Internal, "parsing failed"))?
}

fn parse<T: Fields>(
    written: Written,
    mut body: impl Buf,
    config: &Config,
) -> Result<(T, Vec<Bytes>), Problem> {
    let body = body.copy_to_bytes(body.remaining());
    let items_max = T::items_max(config);
    match written {
        Written::Json => Ok((json::from_slice(&body, items_max)?, Vec::new())),
        Written::Form { boundary } => {
            let Form { fields, files } = multipart::read(body, boundary, config)?;
            Ok((json::from_value(fields, items_max)?, files))
        }
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// How long a body may take to arrive: no longer than the deadline of a request that names none,
/// since what it names is in the body.
pub(crate) fn time_max(config: &Config) -> Duration {
    Duration::from_millis(config.body_ms_max.min(config.deadline_ms_default))
}

/// Waits for a whole body.
async fn collect(
    request: Request,
    arrived: Instant,
    config: &Config,
) -> Result<impl Buf + Send + 'static, Problem> {
    let until = arrived + time_max(config);
    match tokio::time::timeout_at(until.into(), request.into_body().collect()).await {
        Ok(Ok(body)) => Ok(body.aggregate()),
        Ok(Err(error)) => Err(unreadable(error, config)),
        Err(_) => Err(late(config)),
    }
}

fn unreadable(error: axum::Error, config: &Config) -> Problem {
    match error.into_inner().is::<LengthLimitError>() {
        true => {
            let detail = format!("the body has more than {} bytes", config.body_bytes_max);
            Problem::new(Code::BodyTooLarge, detail)
        }
        false => Problem::new(Code::MalformedBody, "the body ended early"),
    }
}

fn late(config: &Config) -> Problem {
    if config.deadline_ms_default <= config.body_ms_max {
        let detail = "the deadline passed before the body was there";
        return Problem::new(Code::DeadlineExceeded, detail);
    }
    let detail = format!("the body took more than {} ms", config.body_ms_max);
    Problem::new(Code::BodyTooSlow, detail)
}

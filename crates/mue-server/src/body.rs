//! A request's body: within its limits of size and time, and of a type that is understood.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, EXPECT};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::config::Config;
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

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let arrived = Instant::now();
        let (app, holds) = (app.now(), Holds::new(request.extensions()));
        let (fields, files) = read(request, &app.config).await?;
        Ok(Self { app, arrived, holds, fields, files })
    }
}

/// Reads a body as JSON or as a form.
///
/// # Errors
///
/// If it is neither, not what is expected, too large or too slow.
async fn read<T: DeserializeOwned>(
    request: Request,
    config: &Config,
) -> Result<(T, Vec<Bytes>), Problem> {
    let (head, body) = request.into_parts();
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default();
    if is_json(media_type) {
        return Ok((parse(&bytes(body, config).await?)?, Vec::new()));
    }
    let boundary = multer::parse_boundary(media_type).map_err(|_| {
        let detail = "send application/json or multipart/form-data";
        Problem::new(Code::UnsupportedMediaType, detail)
    })?;
    let Form { fields, files } = multipart::read(bytes(body, config).await?, boundary).await?;
    let fields = T::deserialize(fields).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok((fields, files))
}

/// Lets a body pass that nobody will look at, so that its client reads the answer instead of a
/// broken connection. One that waits to be told to send it (`Expect`) is not told.
///
/// # Errors
///
/// If the body is too large or too slow.
pub(crate) async fn discard(request: Request, config: &Config) -> Result<(), Problem> {
    if request.headers().contains_key(EXPECT) {
        return Ok(());
    }
    let mut body = Limited::new(request.into_body(), config.body_bytes_max);
    // Dropped as it comes: there may be many of these.
    let all = async {
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(())
    };
    in_time(all, config).await
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

async fn bytes(body: Body, config: &Config) -> Result<Bytes, Problem> {
    let body = Limited::new(body, config.body_bytes_max);
    in_time(async { Ok(body.collect().await?.to_bytes()) }, config).await
}

async fn in_time<T>(
    read: impl Future<Output = Result<T, BoxError>>,
    config: &Config,
) -> Result<T, Problem> {
    let time_max = Duration::from_millis(config.body_ms_max);
    match tokio::time::timeout(time_max, read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(unreadable(&*error, config)),
        Err(_) => {
            let detail = format!("the body took more than {} ms", config.body_ms_max);
            Err(Problem::new(Code::BodyTooSlow, detail))
        }
    }
}

fn unreadable(error: &(dyn Error + Send + Sync + 'static), config: &Config) -> Problem {
    match error.is::<LengthLimitError>() {
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

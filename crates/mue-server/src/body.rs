//! A request's body: within its limits of size and time, and of a type that is understood.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError};
use mue_engine::BatchOfa;
use mue_engine::batcher::Admission;
use serde::de::DeserializeOwned;

use crate::admit::Admitted;
use crate::app::App;
use crate::bodies::{HeldBytes, NoRoom};
use crate::config::Config;
use crate::json;
use crate::multipart::{self, Form};
use crate::options::in_time;
use crate::picture::Picture;
use crate::problem::{Code, Problem};
use crate::serving::Serving;
use crate::stream::Holds;

/// What a client asks, with its body read.
pub(crate) struct Asked<T> {
    /// What serves it from its body to its answer.
    pub(crate) app: Serving,
    /// What lets it reserve rows.
    pub(crate) admission: Arc<Admission<BatchOfa>>,
    /// When its head was there; deadlines count from then.
    pub(crate) arrived: Instant,
    pub(crate) holds: Holds,
    /// The bytes of its body.
    pub(crate) held: Arc<HeldBytes>,
    pub(crate) fields: T,
    /// The pictures of a form.
    pub(crate) pictures: Vec<Picture>,
}

/// The fields of a request.
pub(crate) trait Fields: DeserializeOwned + Send + 'static {
    /// Most items of a list in them.
    fn items_max(config: &Config) -> usize;
}

impl<T: Fields> FromRequest<Arc<App>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(mut request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let arrived = Instant::now();
        let admitted = request.extensions_mut().remove::<Admitted>();
        let Admitted { admission, serving } =
            admitted.expect("the routes that read a body are behind the layer that admits");
        let holds = Holds::new(request.extensions());
        let held = Arc::new(app.bodies.hold(&serving));
        let (fields, pictures) = read(request, arrived, (&serving, &held)).await?;
        Ok(Self { app: serving, admission, arrived, holds, held, fields, pictures })
    }
}

/// How a body is written.
enum Written {
    Json,
    Form { boundary: String },
}

impl Written {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let codings = headers.get_all(CONTENT_ENCODING).iter();
        if let Some(coding) = codings.filter_map(|codings| codings.to_str().ok()).find_map(foreign)
        {
            let detail =
                format!("the body is sent with `content-encoding: {coding}`, send it as it is");
            return Err(Problem::new(Code::UnsupportedEncoding, detail));
        }
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default();
        if is_json(media_type) {
            return Ok(Self::Json);
        }
        let boundary = multer::parse_boundary(media_type).map_err(|error| match error {
            multer::Error::NoBoundary => {
                let detail = "multipart/form-data has no boundary in its content-type";
                Problem::new(Code::MalformedBody, detail)
            }
            _ => {
                let detail = "send application/json or multipart/form-data";
                Problem::new(Code::UnsupportedMediaType, detail)
            }
        })?;
        Ok(Self::Form { boundary })
    }
}

/// The first of some content codings that would have to be undone.
fn foreign(codings: &str) -> Option<&str> {
    let mut codings = codings.split(',').map(str::trim);
    codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

/// The fields of a body, and the pictures of a form.
type Parsed<T> = (T, Vec<Picture>);

/// Reads a body as JSON or as a form.
///
/// # Errors
///
/// If it is neither, not what is expected, too large or too slow, or others hold too much.
async fn read<T: Fields>(
    request: Request,
    arrived: Instant,
    (app, held): (&Serving, &Arc<HeldBytes>),
) -> Result<Parsed<T>, Problem> {
    if is_announced_too_large(request.headers(), &app.config) {
        return Err(too_large(&app.config));
    }
    let written = Written::of(request.headers())?;
    let receiving = app.metrics.receiving();
    let parsed = app.drain.refuse_late(async {
        let body = collect(request, arrived, (&app.config, held)).await?;
        parse_in_turn(written, (body, held), (arrived, app)).await
    });
    let parsed = parsed.await;
    receiving.ended(parsed.as_ref().err());
    parsed?
}

/// Parses a body when there is a place for it; what is wrong with the body is within. What its own
/// deadline is stands in it, so the longest that it may name holds.
///
/// # Errors
///
/// If there is no place in time.
async fn parse_in_turn<T: Fields>(
    written: Written,
    (body, held): (Bytes, &Arc<HeldBytes>),
    (arrived, app): (Instant, &Serving),
) -> Result<Result<Parsed<T>, Problem>, Problem> {
    let deadline = arrived + Duration::from_millis(app.config.deadline_ms_max);
    let (serving, held, bytes) = (app.clone(), Arc::clone(held), body.len());
    let parse = move || {
        // To the end, though nobody may wait for it any more.
        let _held = held;
        parse(written, body, &serving.config)
    };
    let parsed = app.preprocessor.pool().run(bytes, parse);
    let parsed = async { parsed.await.map_err(|_| Problem::new(Code::Internal, "parsing failed")) };
    in_time(deadline, "body", parsed).await
}

fn parse<T: Fields>(written: Written, body: Bytes, config: &Config) -> Result<Parsed<T>, Problem> {
    let items_max = T::items_max(config);
    match written {
        Written::Json => Ok((json::from_slice(&body, items_max)?, Vec::new())),
        Written::Form { boundary } => {
            let names = json::names::<T>();
            let Form { fields, pictures } = multipart::read(body, boundary, names, config)?;
            Ok((json::from_value(fields, items_max)?, pictures))
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

/// Whether a body is too large by what its head says of it.
pub(crate) fn is_announced_too_large(headers: &HeaderMap, config: &Config) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: usize| length > config.body_bytes_max)
}

/// Waits for a whole body.
async fn collect(
    request: Request,
    arrived: Instant,
    (config, held): (&Config, &HeldBytes),
) -> Result<Bytes, Problem> {
    let until = arrived + time_max(config);
    let whole = whole(request.into_body(), (config, held));
    let collected = tokio::time::timeout_at(until.into(), whole).await;
    collected.unwrap_or_else(|_| Err(late(config)))
}

/// The bytes of a body in one piece. To keep the pieces that they come in would take many times as
/// much of a client that sends them one by one.
async fn whole(mut body: Body, (config, held): (&Config, &HeldBytes)) -> Result<Bytes, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(error, config))?;
        // What is no data are trailers, which mean nothing here.
        let Ok(data) = frame.into_data() else { continue };
        held.take(data.len()).map_err(|full| match full {
            NoRoom::OfItsOwn => too_large(config),
            NoRoom::OfAll(problem) => problem,
        })?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

fn unreadable(error: axum::Error, config: &Config) -> Problem {
    match error.into_inner().is::<LengthLimitError>() {
        true => too_large(config),
        false => Problem::new(Code::MalformedBody, "the body ended early"),
    }
}

fn too_large(config: &Config) -> Problem {
    let detail = format!("the body has more than {} bytes", config.body_bytes_max);
    Problem::new(Code::BodyTooLarge, detail)
}

fn late(config: &Config) -> Problem {
    if config.deadline_ms_default <= config.body_ms_max {
        let detail = "the deadline passed before the body was there";
        return Problem::new(Code::DeadlineExceeded, detail);
    }
    let detail = format!("the body took more than {} ms", config.body_ms_max);
    Problem::new(Code::BodyTooSlow, detail)
}

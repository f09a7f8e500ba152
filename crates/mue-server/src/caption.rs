//! `POST /v1/caption`: pictures in words.

use std::time::Instant;

use axum::Json;
use axum::extract::Extension;
use axum::response::{IntoResponse, Response};
use mue_engine::batcher::SubmitError;
use mue_engine::{Caption, CaptionSearch, ExitChoice, Reply};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{AnswerJson, ComputeJson, ExitJson};
use crate::answering::{Order, Task, accept};
use crate::body::{Asked, Fields};
use crate::config::Config;
use crate::contract::{PICTURE, TaskProblems};
use crate::models::{default_search, max_tokens_max};
use crate::options::{Exit, Urgency, deadline, out_of_range};
use crate::picture::{Picture, pictures};
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::serving::Serving;
use crate::stream;

/// Asks for captions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptionRequest {
    /// A picture: base64, a data URI, or the URL of one on a host that the server fetches from. Of
    /// base64 white space, padding and the letters that are safe in URLs do not matter; in a data URI
    /// it may be percent-encoded.
    #[schema(format = "picture")]
    image: Option<String>,
    /// Several pictures, instead of `image`.
    #[schema(min_items = 1)]
    images: Option<Vec<String>>,
    /// Hypotheses kept at each step; by default, the model's.
    #[schema(minimum = 1)]
    beam_size: Option<usize>,
    /// Most tokens of a caption; by default, the model's.
    #[schema(minimum = 1)]
    max_tokens: Option<usize>,
    /// How to exit; by default, the model's calibrated exits.
    #[serde(default)]
    #[schema(default = "auto")]
    exit: Exit,
    /// How urgent it is.
    #[serde(default, deserialize_with = "crate::json::word")]
    #[schema(default = "normal")]
    priority: Urgency,
    /// Milliseconds after which nobody waits for the answer any more.
    #[schema(minimum = 1)]
    deadline_ms: Option<u64>,
    /// Whether the answer holds the layer of each token.
    #[serde(default = "crate::options::yes")]
    #[schema(default = true)]
    trace: bool,
    /// Whether to send every token as it is decided, as server-sent events; with several beams that
    /// is at the end.
    #[serde(default)]
    #[schema(default = false)]
    stream: bool,
}

impl Fields for CaptionRequest {
    fn items_max(config: &Config) -> usize {
        config.images_max
    }
}

/// A picture in words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CaptionResult {
    /// The caption.
    #[schema(examples("a red circle above a blue square"))]
    caption: String,
    /// Its length-normalised log-probability.
    #[schema(examples(-0.06))]
    score: f32,
    /// Where it left the model.
    exit: ExitJson,
    /// What it cost.
    compute: ComputeJson,
}

/// Captions one picture or several.
///
/// With `"stream": true` the answer is a stream of server-sent events: a `token` event for every
/// token as it leaves, result by result, then one `result` event with what the answer would have
/// been, or one `error` event with a problem. With beams the tokens come when the answer is
/// decided, all at once.
#[utoipa::path(
    post,
    path = "/v1/caption",
    operation_id = "caption",
    tag = "inference",
    request_body(
        description = "Pictures, as JSON or as a form whose `image` fields are files.",
        content(
            (CaptionRequest = "application/json", examples(
                ("one picture" = (value = json!({"image": PICTURE}))),
                ("several, with a say in how" = (value = json!({
                    "images": [PICTURE, PICTURE], "beam_size": 2, "max_tokens": 8,
                    "exit": {"image": 0.9, "decoder": 0.95}, "trace": false,
                }))),
                ("token by token" = (value = json!({"image": PICTURE, "stream": true}))),
            )),
            ("multipart/form-data"),
        ),
    ),
    responses(
        (
            status = 200,
            description = "A caption per picture, in their order.",
            content(
                (AnswerJson<CaptionResult> = "application/json"),
                ("text/event-stream"),
            ),
        ),
        TaskProblems,
    ),
    security((), ("api_key" = [])),
)]
pub(crate) async fn route(
    Extension(id): Extension<RequestId>,
    asked: Asked<CaptionRequest>,
) -> Result<Response, Problem> {
    let Asked { app, admission, arrived, holds, held, fields, pictures } = asked;
    let search = search(&fields, &app)?;
    let exit = ExitChoice::try_from(fields.exit)?;
    app.metrics.asked(Task::Caption, &exit);
    let (trace, stream) = (fields.trace, fields.stream);
    let model = app.engine.model();
    let question = model.caption_question(exit, &search)?;
    let order = order((fields, pictures), (&search, arrived), &app)?;
    let accepted = accept(&app, (admission, held), order, |images| {
        images.into_iter().map(|image| question.about(image)).collect()
    });
    let accepted = accepted.await?;
    let names = (id.to_string(), model.name());
    let answer = move |answered| {
        AnswerJson::new(names, answered, |_, reply| match reply {
            Reply::Caption(caption) => Some(CaptionResult::new(caption, trace)),
            Reply::Entailment(_) => None,
        })
    };
    match stream {
        true => Ok(stream::respond((app.clone(), accepted), holds, answer)),
        false => Ok(Json(answer(accepted.answers(&app).await?)).into_response()),
    }
}

fn search(asked: &CaptionRequest, app: &Serving) -> Result<CaptionSearch, Problem> {
    let (config, model) = (&app.config, app.engine.model());
    let mut search = default_search(config, model);
    let beam_size = within("beam_size", asked.beam_size, config.beam_size_max)?;
    search.beam_size = beam_size.unwrap_or(search.beam_size);
    // One caption's beams are computed together.
    let (rows, rows_max) = (search.beam_size, config.rows_max);
    if rows > rows_max {
        return Err(SubmitError::TooLarge { rows, rows_max }.into());
    }
    let tokens_max = within("max_tokens", asked.max_tokens, max_tokens_max(config, model))?;
    search.tokens_max = tokens_max.unwrap_or(search.tokens_max);
    Ok(search)
}

/// A number that the client may name, if it is no more than so many.
fn within(field: &str, asked: Option<usize>, most: usize) -> Result<Option<usize>, Problem> {
    match asked.is_none_or(|asked| (1..=most).contains(&asked)) {
        true => Ok(asked),
        false => Err(out_of_range(field, (1, most))),
    }
}

fn order(
    (asked, parts): (CaptionRequest, Vec<Picture>),
    (search, arrived): (&CaptionSearch, Instant),
    app: &Serving,
) -> Result<Order, Problem> {
    let pictures = pictures(asked.image, asked.images, parts)?;
    if !(1..=app.config.images_max).contains(&pictures.len()) {
        return Err(out_of_range("the number of images", (1, app.config.images_max)));
    }
    Ok(Order {
        task: Task::Caption,
        rows: pictures.len() * search.beam_size,
        pictures,
        priority: asked.priority.into(),
        arrived,
        deadline: deadline(asked.deadline_ms, arrived, &app.config)?,
        stream: asked.stream,
    })
}

impl CaptionResult {
    fn new(caption: Caption, trace: bool) -> Self {
        let tokens = trace.then(|| caption.tokens.into_iter().map(Into::into).collect());
        Self {
            caption: caption.text,
            score: caption.score,
            exit: ExitJson::new(&caption.exit, tokens),
            compute: caption.compute.into(),
        }
    }
}

//! `POST /v1/caption`: pictures in words.

use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Request};
use axum::response::{IntoResponse, Response};
use mue_engine::{Caption, CaptionSearch, ExitChoice, Reply};
use serde::{Deserialize, Serialize};

use crate::answer::{AnswerJson, ComputeJson, ExitJson};
use crate::answering::{Order, Task, accept};
use crate::body::{self, Asked};
use crate::options::{Exit, Urgency, deadline, out_of_range};
use crate::picture::pictures;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::serving::Serving;
use crate::stream::{self, Holds};

/// Asks for captions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptionRequest {
    /// A picture, in base64 or as a data URI.
    image: Option<String>,
    /// Several pictures, instead of `image`.
    images: Option<Vec<String>>,
    /// Hypotheses kept at each step; by default, the model's.
    beam_size: Option<usize>,
    /// Most tokens of a caption; by default, the model's.
    max_tokens: Option<usize>,
    /// How to exit; by default, the model's calibrated exits.
    #[serde(default)]
    exit: Exit,
    /// How urgent it is.
    #[serde(default)]
    priority: Urgency,
    /// Milliseconds after which nobody waits for the answer any more.
    deadline_ms: Option<u64>,
    /// Whether the answer holds the layer of each token.
    #[serde(default = "yes")]
    trace: bool,
    /// Whether to send every token as it is decoded, as server-sent events.
    #[serde(default)]
    stream: bool,
}

fn yes() -> bool {
    true
}

/// A picture in words.
#[derive(Debug, Serialize)]
pub(crate) struct CaptionResult {
    /// The caption.
    caption: String,
    /// Its length-normalised log-probability.
    score: f32,
    /// Where it left the model.
    exit: ExitJson,
    /// What it cost.
    compute: ComputeJson,
}

/// Captions one picture or several.
pub(crate) async fn route(
    app: Serving,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let arrived = Instant::now();
    let holds = Holds::new(request.extensions());
    let Asked { fields: asked, files } = body::read::<CaptionRequest>(request, &app.config).await?;
    let search = search(&asked, &app)?;
    let exit: ExitChoice = asked.exit.into();
    app.metrics.asked(Task::Caption, &exit);
    let (trace, stream) = (asked.trace, asked.stream);
    let order = order((asked, files), (&search, arrived), &app)?;
    let model = app.engine.model();
    let accepted = accept(&app, order, |images| {
        images.into_iter().map(|image| model.caption(image, exit.clone(), &search)).collect()
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
    let mut search = app.engine.model().settings().search.clone();
    if let Some(beam_size) = asked.beam_size {
        let beam_size_max = app.config.beam_size_max;
        if !(1..=beam_size_max).contains(&beam_size) {
            return Err(out_of_range("beam_size", (1, beam_size_max)));
        }
        search.beam_size = beam_size;
    }
    search.tokens_max = asked.max_tokens.unwrap_or(search.tokens_max);
    Ok(search)
}

fn order(
    (asked, files): (CaptionRequest, Vec<Bytes>),
    (search, arrived): (&CaptionSearch, Instant),
    app: &Serving,
) -> Result<Order, Problem> {
    let pictures = pictures(asked.image, asked.images, files)?;
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

//! `POST /v1/entailment`: whether a picture supports a sentence.

mod sentences;

use std::sync::Arc;

use axum::Json;
use axum::extract::Extension;
use axum::response::{IntoResponse, Response};
use mue_engine::{Entailment, ExitChoice, Label, Reply};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{AnswerJson, ComputeJson, ExitJson};
use crate::answering::{Order, Task, accept};
use crate::body::{Asked, Fields};
use crate::config::Config;
use crate::contract::{PICTURE, TaskProblems};
use crate::options::{Exit, Urgency, deadline};
use crate::picture::pictures;
use crate::problem::Problem;
use crate::request_id::RequestId;
use sentences::{Sentences, about, questions};

/// Asks whether a picture supports one sentence or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntailmentRequest {
    /// The picture: base64, a data URI, or the URL of one on a host that the server fetches from. Of
    /// base64 white space, padding and the letters that are safe in URLs do not matter; in a data URI
    /// it may be percent-encoded.
    #[schema(format = "picture")]
    image: Option<String>,
    /// A sentence to judge.
    #[schema(min_length = 1)]
    hypothesis: Option<String>,
    /// Several sentences, instead of `hypothesis`.
    #[schema(min_items = 1)]
    hypotheses: Option<Vec<String>>,
    /// What is known beside the picture, in words. Some models read none (`reads_premise` of `/v1/models`),
    /// and are asked as if there were none.
    #[schema(min_length = 1)]
    premise: Option<String>,
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
}

impl Fields for EntailmentRequest {
    fn items_max(config: &Config) -> usize {
        config.hypotheses_max
    }
}

/// The verdict on one hypothesis.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntailmentResult {
    /// The hypothesis, as it was sent.
    #[schema(examples("there is a red circle"))]
    hypothesis: String,
    /// The most probable label.
    label: LabelJson,
    /// Probability of each label.
    scores: ScoresJson,
    /// Where it left the model.
    exit: ExitJson,
    /// What it cost; a picture shared by several hypotheses is counted in each.
    compute: ComputeJson,
}

/// Whether the picture supports the hypothesis.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Label)]
pub(crate) enum LabelJson {
    /// It does.
    Entailment,
    /// It does not tell.
    Neutral,
    /// It contradicts it.
    Contradiction,
}

/// Probabilities that add up to 1.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scores)]
pub(crate) struct ScoresJson {
    #[schema(minimum = 0, examples(0.97))]
    entailment: f32,
    #[schema(minimum = 0, examples(0.02))]
    neutral: f32,
    #[schema(minimum = 0, examples(0.01))]
    contradiction: f32,
}

/// Judges one hypothesis or several about a picture.
#[utoipa::path(
    post,
    path = "/v1/entailment",
    operation_id = "entailment",
    tag = "inference",
    request_body(
        description = "A picture and sentences, as JSON or as a form whose `image` field is a file.",
        content(
            (EntailmentRequest = "application/json", examples(
                ("one sentence" = (value = json!({
                    "image": PICTURE, "hypothesis": "there is a red square",
                }))),
                ("several, at full depth" = (value = json!({
                    "image": PICTURE, "exit": "off",
                    "hypotheses": ["there is a red square", "there is a blue circle"],
                }))),
            )),
            ("multipart/form-data"),
        ),
    ),
    responses(
        (
            status = 200,
            description = "A verdict per hypothesis, in their order.",
            body = AnswerJson<EntailmentResult>,
        ),
        TaskProblems,
    ),
    security((), ("api_key" = [])),
)]
pub(crate) async fn route(
    Extension(id): Extension<RequestId>,
    asked: Asked<EntailmentRequest>,
) -> Result<Response, Problem> {
    let Asked { app, admission, arrived, held, fields: asked, pictures: parts, .. } = asked;
    let exit = ExitChoice::try_from(asked.exit)?;
    app.metrics.asked(Task::Entailment, &exit);
    let deadline = deadline(asked.deadline_ms, arrived, &app.config)?;
    let (trace, model) = (asked.trace, app.engine.model());
    let sentences = Sentences::new(asked.hypothesis, asked.hypotheses, asked.premise);
    let sentences = Arc::new(sentences.and_then(|sentences| sentences.within(&app.config))?);
    let questions = questions(&sentences, exit, (deadline, &app)).await?;
    let pictures = pictures(asked.image, None, parts)?;
    if pictures.len() > 1 {
        return Err(Problem::invalid("send one image; several are several requests"));
    }
    let order = Order {
        task: Task::Entailment,
        pictures,
        rows: sentences.hypotheses.len(),
        priority: asked.priority.into(),
        arrived,
        deadline,
        stream: false,
    };
    let accepted =
        accept(&app, (admission, held), order, |images| about(&questions, &images)).await?;
    let answered = accepted.answers(&app).await?;
    let names = (id.to_string(), model.name());
    let answer = AnswerJson::new(names, answered, |place, reply| match reply {
        Reply::Entailment(verdict) => {
            Some(EntailmentResult::new(sentences.hypotheses[place].clone(), verdict, trace))
        }
        Reply::Caption(_) => None,
    });
    Ok(Json(answer).into_response())
}

impl EntailmentResult {
    fn new(hypothesis: String, verdict: Entailment, trace: bool) -> Self {
        let tokens = trace.then(|| verdict.tokens.into_iter().map(Into::into).collect());
        let [entailment, neutral, contradiction] = verdict.scores;
        Self {
            hypothesis,
            label: verdict.label.into(),
            scores: ScoresJson { entailment, neutral, contradiction },
            exit: ExitJson::new(&verdict.exit, tokens),
            compute: verdict.compute.into(),
        }
    }
}

impl From<Label> for LabelJson {
    fn from(label: Label) -> Self {
        match label {
            Label::Entailment => Self::Entailment,
            Label::Neutral => Self::Neutral,
            Label::Contradiction => Self::Contradiction,
        }
    }
}

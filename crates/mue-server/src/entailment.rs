//! `POST /v1/entailment`: whether a picture supports a sentence.

use std::time::Instant;

use axum::Json;
use axum::extract::{Extension, Request};
use axum::response::{IntoResponse, Response};
use mue_engine::{Entailment, ExitChoice, Image, InvalidRequest, Label, ModelFolder, Reply};
use serde::{Deserialize, Serialize};

use crate::answer::{AnswerJson, ComputeJson, ExitJson, TokenJson};
use crate::answering::{Order, Task, accept};
use crate::body::{self, Asked};
use crate::config::Config;
use crate::options::{Exit, Urgency, deadline, out_of_range};
use crate::picture::pictures;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::serving::Serving;

/// Asks whether a picture supports one sentence or several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntailmentRequest {
    /// The picture, in base64 or as a data URI.
    image: Option<String>,
    /// A sentence to judge.
    hypothesis: Option<String>,
    /// Several sentences, instead of `hypothesis`.
    hypotheses: Option<Vec<String>>,
    /// What is known beside the picture, in words.
    premise: Option<String>,
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
}

fn yes() -> bool {
    true
}

/// The verdict on one hypothesis.
#[derive(Debug, Serialize)]
pub(crate) struct EntailmentResult {
    /// The hypothesis, as it was sent.
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
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LabelJson {
    /// It does.
    Entailment,
    /// It does not tell.
    Neutral,
    /// It contradicts it.
    Contradiction,
}

/// Probabilities that add up to 1.
#[derive(Debug, Serialize)]
pub(crate) struct ScoresJson {
    entailment: f32,
    neutral: f32,
    contradiction: f32,
}

/// Judges one hypothesis or several about a picture.
pub(crate) async fn route(
    app: Serving,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let arrived = Instant::now();
    let read = body::read::<EntailmentRequest>(request, &app.config);
    let Asked { fields: asked, files } = read.await?;
    let exit: ExitChoice = asked.exit.into();
    app.metrics.asked(Task::Entailment, &exit);
    let (trace, model) = (asked.trace, app.engine.model());
    let sentences = Sentences::new(asked.hypothesis, asked.hypotheses, asked.premise);
    let sentences = sentences.and_then(|sentences| sentences.within(&app.config))?;
    let pictures = pictures(asked.image, None, files)?;
    if pictures.len() > 1 {
        return Err(Problem::invalid("send one image; several are several requests"));
    }
    let order = Order {
        task: Task::Entailment,
        pictures,
        rows: sentences.hypotheses.len(),
        priority: asked.priority.into(),
        arrived,
        deadline: deadline(asked.deadline_ms, arrived, &app.config)?,
        stream: false,
    };
    let accepted = accept(&app, order, |images| sentences.requests(model, &images, &exit)).await?;
    let answered = accepted.answers(&app).await?;
    let names = (id.to_string(), model.name());
    let answer = AnswerJson::new(names, answered, |place, reply| match reply {
        Reply::Entailment(verdict) => {
            let token = trace.then(|| answer_token(&verdict, model));
            Some(EntailmentResult::new(sentences.hypotheses[place].clone(), verdict, token))
        }
        Reply::Caption(_) => None,
    });
    Ok(Json(answer).into_response())
}

/// The sentences of a request.
struct Sentences {
    hypotheses: Vec<String>,
    premise: Option<String>,
}

impl Sentences {
    fn new(
        hypothesis: Option<String>,
        hypotheses: Option<Vec<String>>,
        premise: Option<String>,
    ) -> Result<Self, Problem> {
        let hypotheses = match (hypothesis, hypotheses) {
            (Some(hypothesis), None) => vec![hypothesis],
            (None, Some(hypotheses)) => hypotheses,
            _ => return Err(Problem::invalid("send either hypothesis or hypotheses")),
        };
        Ok(Self { hypotheses, premise })
    }

    fn within(self, config: &Config) -> Result<Self, Problem> {
        if !(1..=config.hypotheses_max).contains(&self.hypotheses.len()) {
            return Err(out_of_range("the number of hypotheses", (1, config.hypotheses_max)));
        }
        let mut texts = self.hypotheses.iter().chain(&self.premise);
        match texts.any(|text| text.len() > config.text_bytes_max) {
            true => {
                let detail = format!("a text has more than {} bytes", config.text_bytes_max);
                Err(Problem::invalid(detail))
            }
            false => Ok(self),
        }
    }

    /// One request per hypothesis and picture.
    fn requests(
        &self,
        model: &ModelFolder,
        images: &[Image],
        exit: &ExitChoice,
    ) -> Result<Vec<mue_engine::Request>, InvalidRequest> {
        let pairs = images
            .iter()
            .flat_map(|image| self.hypotheses.iter().map(move |hypothesis| (image, hypothesis)));
        pairs
            .map(|(image, hypothesis)| {
                model.entailment(image.clone(), exit.clone(), (self.premise.as_deref(), hypothesis))
            })
            .collect()
    }
}

/// The word that the decoder answers with, and the layer at which it was sure.
fn answer_token(verdict: &Entailment, model: &ModelFolder) -> Vec<TokenJson> {
    let words = &model.settings().answers;
    let text = match verdict.label {
        Label::Entailment => &words.entailment,
        Label::Neutral => &words.neutral,
        Label::Contradiction => &words.contradiction,
    };
    let layers = verdict.exit.decoder.iter();
    layers.map(|layer| TokenJson { text: text.clone(), layer: *layer }).collect()
}

impl EntailmentResult {
    fn new(hypothesis: String, verdict: Entailment, tokens: Option<Vec<TokenJson>>) -> Self {
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

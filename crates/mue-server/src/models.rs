//! `GET /v1/models`: what is loaded, how it exits, and what may be asked of it.

mod limits;

use axum::Json;
use mue_engine::{Encoding, Engine, ExitRules, TaskCalibration};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answering::Task;
use crate::config::Config;
use crate::contract::GuardedProblems;
use crate::exit_rules::ExitRulesJson;
use crate::serving::Serving;
use limits::LimitsJson;

pub(crate) use limits::{default_search, max_tokens_max};

/// The models of this server; there is one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Models {
    /// Each that is loaded.
    #[schema(min_items = 1, max_items = 1)]
    models: Vec<ModelJson>,
}

/// A loaded model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(crate) struct ModelJson {
    /// Its name, as in the answers.
    name: String,
    /// What it runs on.
    device: String,
    /// What it can be asked.
    tasks: Vec<Task>,
    /// Its dimensions.
    size: SizeJson,
    /// Whether image and text are encoded together or apart.
    encoding: EncodingJson,
    /// Whether it reads premises; if not, it is asked as if there were none.
    reads_premise: bool,
    /// How captions are searched for unless a request says otherwise.
    search: SearchJson,
    /// What it is known to save, by task.
    exits: ExitsJson,
    /// What one request may ask.
    limits: LimitsJson,
}

/// How image and text are encoded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Encoding)]
pub(crate) enum EncodingJson {
    /// Together, in one branch.
    Joint,
    /// Apart, in a branch each.
    Decomposed,
}

/// Dimensions of a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelSize)]
pub(crate) struct SizeJson {
    /// Layers of the image and of the text branch.
    encoder_layers: usize,
    /// Layers of the decoder.
    decoder_layers: usize,
    /// Width of the hidden state.
    d_model: usize,
    /// Tokens that it knows.
    vocab_size: usize,
    /// Height and width that pictures are resized to, in pixels.
    image_size: usize,
}

/// How captions are searched for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaptionSearch)]
pub(crate) struct SearchJson {
    /// Hypotheses kept at each step.
    beam_size: usize,
    /// Most tokens of a caption.
    max_tokens: usize,
    /// No run of so many tokens occurs twice; 0 lets any.
    no_repeat_ngram_size: usize,
    /// Exponent of the length that a caption's log-probability is divided by.
    length_penalty: f32,
}

/// Exits of both tasks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelExits)]
pub(crate) struct ExitsJson {
    /// Of captions.
    caption: TaskExitsJson,
    /// Of entailment.
    entailment: TaskExitsJson,
}

/// Exits of one task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TaskExits)]
pub(crate) struct TaskExitsJson {
    /// The rules behind `"exit": "auto"`, by branch; without any, it is full depth.
    auto: Option<ExitRulesJson>,
    /// Measured operating points, from which `"exit": {"quality": ...}` chooses.
    calibration: Vec<PointJson>,
}

/// What some exits keep and cost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatingPoint)]
pub(crate) struct PointJson {
    /// Quality relative to full depth.
    retention: f64,
    /// What it is at least of so many `fresh` samples: at a confidence of 0.95, on all but one of 20 sets of
    /// them.
    retention_low: f64,
    /// Confidence of that bound, 0 to 1.
    confidence: f64,
    /// How many fresh samples the bound is about.
    fresh: usize,
    /// Mean multiply-accumulates of a request.
    macs: f64,
    /// The same at full depth.
    macs_full: f64,
    /// The data it was measured on.
    data: String,
    /// Samples of it.
    samples: usize,
}

/// Describes the loaded model.
#[utoipa::path(
    get,
    path = "/v1/models",
    operation_id = "models",
    tag = "models",
    responses((status = 200, description = "There is one.", body = Models), GuardedProblems),
    security((), ("api_key" = [])),
)]
pub(crate) async fn route(app: Serving) -> Json<Models> {
    Json(Models { models: vec![ModelJson::new(&app.engine, &app.config)] })
}

impl ModelJson {
    fn new(engine: &Engine, server: &Config) -> Self {
        let (settings, config) = (engine.model().settings(), engine.model().config());
        let (exits, calibration) = (&settings.exits, engine.model().calibration());
        let search = default_search(server, engine.model());
        Self {
            name: engine.model().name(),
            device: engine.device().to_string(),
            tasks: Task::ALL.to_vec(),
            size: SizeJson {
                encoder_layers: config.encoder_layers,
                decoder_layers: config.decoder_layers,
                d_model: config.d_model,
                vocab_size: config.vocab_size,
                image_size: settings.image_size,
            },
            encoding: match settings.encoding {
                Encoding::Joint => EncodingJson::Joint,
                Encoding::Decomposed => EncodingJson::Decomposed,
            },
            reads_premise: settings.prompts.reads_premise(),
            search: SearchJson {
                beam_size: search.beam_size,
                max_tokens: search.tokens_max,
                no_repeat_ngram_size: search.no_repeat_ngram_size,
                length_penalty: search.length_penalty,
            },
            exits: ExitsJson {
                caption: TaskExitsJson::new(exits.caption.as_ref(), &calibration.caption),
                entailment: TaskExitsJson::new(exits.entailment.as_ref(), &calibration.entailment),
            },
            limits: LimitsJson::new(server, engine.model()),
        }
    }
}

impl TaskExitsJson {
    fn new(auto: Option<&ExitRules>, calibration: &TaskCalibration) -> Self {
        let auto = calibration.default_rules(auto).cloned().map(Into::into);
        let calibration = calibration
            .points
            .iter()
            .map(|point| PointJson {
                retention: point.retention,
                retention_low: point.retention_low,
                confidence: point.confidence,
                fresh: point.fresh,
                macs: point.macs,
                macs_full: point.macs_full,
                data: point.data.clone(),
                samples: point.samples,
            })
            .collect();
        Self { auto, calibration }
    }
}

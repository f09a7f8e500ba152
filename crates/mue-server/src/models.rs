//! `GET /v1/models`: what is loaded, how it exits, and what may be asked of it.

use axum::Json;
use mue_engine::{Encoding, Engine, ExitRules, TaskCalibration};
use serde::Serialize;

use crate::answering::Task;
use crate::config::Config;
use crate::serving::Serving;

/// The models of this server; there is one.
#[derive(Debug, Serialize)]
pub(crate) struct Models {
    models: Vec<ModelJson>,
}

/// A loaded model.
#[derive(Debug, Serialize)]
pub(crate) struct ModelJson {
    /// Its name, as in the answers.
    name: String,
    /// What it runs on.
    device: String,
    /// What it can be asked.
    tasks: Vec<&'static str>,
    /// Its dimensions.
    size: SizeJson,
    /// `joint` or `decomposed`: whether image and text are encoded together or apart.
    encoding: &'static str,
    /// How captions are searched for unless a request says otherwise.
    search: SearchJson,
    /// What it is known to save, by task.
    exits: ExitsJson,
    /// What one request may ask.
    limits: LimitsJson,
}

/// Dimensions of a model.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub(crate) struct SearchJson {
    beam_size: usize,
    max_tokens: usize,
    no_repeat_ngram_size: usize,
    length_penalty: f32,
}

/// Exits of both tasks.
#[derive(Debug, Serialize)]
pub(crate) struct ExitsJson {
    caption: TaskExitsJson,
    entailment: TaskExitsJson,
}

/// Exits of one task.
#[derive(Debug, Serialize)]
pub(crate) struct TaskExitsJson {
    /// The rules behind `"exit": "auto"`, by branch; without any, it is full depth.
    auto: Option<ExitRules>,
    /// Measured operating points, from which `"exit": {"quality": ...}` chooses.
    calibration: Vec<PointJson>,
}

/// What some exits keep and cost.
#[derive(Debug, Serialize)]
pub(crate) struct PointJson {
    /// Quality relative to full depth.
    retention: f64,
    /// What it is at least, with the stated confidence.
    retention_low: f64,
    /// Confidence of that bound, 0 to 1.
    confidence: f64,
    /// Mean multiply-accumulates of a request.
    macs: f64,
    /// The same at full depth.
    macs_full: f64,
    /// The data it was measured on.
    data: String,
    /// Samples of it.
    samples: usize,
}

/// What one request may ask.
#[derive(Debug, Serialize)]
pub(crate) struct LimitsJson {
    body_bytes_max: usize,
    images_max: usize,
    image_bytes_max: usize,
    image_pixels_max: u64,
    hypotheses_max: usize,
    text_bytes_max: usize,
    beam_size_max: usize,
    max_tokens_max: usize,
    deadline_ms_default: u64,
    deadline_ms_max: u64,
}

/// Describes the loaded model.
pub(crate) async fn route(app: Serving) -> Json<Models> {
    Json(Models { models: vec![ModelJson::new(&app.engine, &app.config)] })
}

impl ModelJson {
    fn new(engine: &Engine, server: &Config) -> Self {
        let (settings, config) = (engine.model().settings(), engine.model().config());
        let (exits, calibration) = (&settings.exits, engine.model().calibration());
        Self {
            name: engine.model().name(),
            device: engine.device().to_string(),
            tasks: Task::ALL.into_iter().map(Task::name).collect(),
            size: SizeJson {
                encoder_layers: config.encoder_layers,
                decoder_layers: config.decoder_layers,
                d_model: config.d_model,
                vocab_size: config.vocab_size,
                image_size: settings.image_size,
            },
            encoding: match settings.encoding {
                Encoding::Joint => "joint",
                Encoding::Decomposed => "decomposed",
            },
            search: SearchJson {
                beam_size: settings.search.beam_size,
                max_tokens: settings.search.tokens_max,
                no_repeat_ngram_size: settings.search.no_repeat_ngram_size,
                length_penalty: settings.search.length_penalty,
            },
            exits: ExitsJson {
                caption: TaskExitsJson::new(exits.caption.as_ref(), &calibration.caption),
                entailment: TaskExitsJson::new(exits.entailment.as_ref(), &calibration.entailment),
            },
            limits: LimitsJson::new(server, config.max_position_embeddings - 1),
        }
    }
}

impl TaskExitsJson {
    fn new(auto: Option<&ExitRules>, calibration: &TaskCalibration) -> Self {
        let auto = auto.or(calibration.auto.as_ref()).cloned();
        let calibration = calibration
            .points
            .iter()
            .map(|point| PointJson {
                retention: point.retention,
                retention_low: point.retention_low,
                confidence: point.confidence,
                macs: point.macs,
                macs_full: point.macs_full,
                data: point.data.clone(),
                samples: point.samples,
            })
            .collect();
        Self { auto, calibration }
    }
}

impl LimitsJson {
    fn new(config: &Config, max_tokens_max: usize) -> Self {
        Self {
            body_bytes_max: config.body_bytes_max,
            images_max: config.images_max,
            image_bytes_max: config.image_bytes_max,
            image_pixels_max: config.image_pixels_max,
            hypotheses_max: config.hypotheses_max,
            text_bytes_max: config.text_bytes_max,
            beam_size_max: config.beam_size_max,
            max_tokens_max,
            deadline_ms_default: config.deadline_ms_default,
            deadline_ms_max: config.deadline_ms_max,
        }
    }
}

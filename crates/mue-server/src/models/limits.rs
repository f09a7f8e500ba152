//! What one request may ask, by the settings and the model, and what it asks unless it says otherwise.

use mue_engine::{CaptionSearch, ModelFolder};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Config;

/// What one request may ask.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsJson {
    /// Bytes of a body.
    body_bytes_max: usize,
    /// Pictures of one request; with several beams, times these, no more than the queue has rows.
    images_max: usize,
    /// Bytes of one encoded picture.
    image_bytes_max: usize,
    /// Pixels of one picture.
    image_pixels_max: u64,
    /// Hypotheses of one request.
    hypotheses_max: usize,
    /// Bytes of one hypothesis or premise.
    text_bytes_max: usize,
    /// Tokens of one hypothesis; the model's. A premise takes of them, and its prompt a few more.
    text_tokens_max: usize,
    /// Words of one hypothesis or premise beyond which they are left out; the model's.
    text_words_max: usize,
    /// Beams of one caption.
    beam_size_max: usize,
    /// Tokens of one caption; no more than the model's.
    max_tokens_max: usize,
    /// Deadline of a request that names none, in milliseconds; a body has to be there by then,
    /// whatever deadline it names.
    deadline_ms_default: u64,
    /// Longest deadline that a request may name, in milliseconds.
    deadline_ms_max: u64,
}

impl LimitsJson {
    pub(super) fn new(config: &Config, model: &ModelFolder) -> Self {
        Self {
            body_bytes_max: config.body_bytes_max,
            images_max: config.images_possible(),
            image_bytes_max: config.image_bytes_max,
            image_pixels_max: config.image_pixels_max,
            hypotheses_max: config.hypotheses_possible(),
            text_bytes_max: config.text_bytes_max,
            text_tokens_max: model.text_tokens_max(),
            text_words_max: model.settings().prompts.words_max,
            beam_size_max: config.beam_size_possible(),
            max_tokens_max: max_tokens_max(config, model),
            deadline_ms_default: config.deadline_ms_default,
            deadline_ms_max: config.deadline_ms_max,
        }
    }
}

/// Most tokens that a caption of this model may have.
pub(crate) fn max_tokens_max(config: &Config, model: &ModelFolder) -> usize {
    config.caption_tokens_max.min(model.config().max_position_embeddings - 1)
}

/// How captions are searched for unless a request says otherwise: as the model has it, as far as the
/// settings let it.
pub(crate) fn default_search(config: &Config, model: &ModelFolder) -> CaptionSearch {
    let mut search = model.settings().search.clone();
    search.beam_size = search.beam_size.min(config.beam_size_possible());
    search.tokens_max = search.tokens_max.min(max_tokens_max(config, model));
    search
}

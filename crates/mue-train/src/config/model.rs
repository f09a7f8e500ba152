//! A new model's dimensions, or where to start from: `[model]`.

use std::path::PathBuf;

use mue_model::{ConfigError, OfaConfig};
use serde::{Deserialize, Serialize};

use super::RecipeError;
use super::bounds::{at_most, positive};
use crate::interface::{SCENE_PROMPT_TOKENS_MAX, SCENE_TOKENS_PER_SIDE};

/// A new model's dimensions, or where to start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Model folder to start from; without one, weights are new and the keys below count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Whether image and text attend to each other in the encoder.
    pub encoding: Encoding,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Attention heads of every layer.
    pub heads: usize,
    /// Inner width of every feed-forward block.
    pub ffn_dim: usize,
    /// Encoder layers.
    pub encoder_layers: usize,
    /// Decoder layers.
    pub decoder_layers: usize,
    /// Channels after the stem's first convolution.
    pub stem_width: usize,
    /// Bottleneck blocks of the stem's three stages.
    pub stem_blocks: [usize; 3],
    /// Tokens per side of the largest picture.
    pub image_bucket_size: usize,
    /// Half-width of the relative-position buckets of text.
    pub token_bucket_size: usize,
    /// Longest text.
    pub positions_max: usize,
}

/// Whether image and text attend to each other in the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Apart, so that each branch exits on its own (MuE).
    Decomposed,
    /// Together (plain OFA; the paper's ablation without decomposition).
    Joint,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            from: None,
            encoding: Encoding::Decomposed,
            d_model: 128,
            heads: 4,
            ffn_dim: 512,
            encoder_layers: 6,
            decoder_layers: 6,
            stem_width: 16,
            stem_blocks: [1, 1, 1],
            image_bucket_size: 6,
            token_bucket_size: 32,
            positions_max: 64,
        }
    }
}

impl ModelConfig {
    /// The configuration of a new model with so many words.
    ///
    /// # Errors
    ///
    /// If there is no such model.
    pub fn ofa(&self, vocab_size: usize) -> Result<OfaConfig, ConfigError> {
        let mut config = OfaConfig::default();
        config.vocab_size = vocab_size;
        config.d_model = self.d_model;
        config.encoder_layers = self.encoder_layers;
        config.decoder_layers = self.decoder_layers;
        config.encoder_attention_heads = self.heads;
        config.decoder_attention_heads = self.heads;
        config.encoder_ffn_dim = self.ffn_dim;
        config.decoder_ffn_dim = self.ffn_dim;
        config.resnet_layers = Some(self.stem_blocks);
        config.stem_width = self.stem_width;
        config.max_position_embeddings = self.positions_max;
        config.token_bucket_size = self.token_bucket_size;
        config.image_bucket_size = self.image_bucket_size;
        config.checked()
    }

    /// Whether a new model can be made, and has room for scenes.
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        if self.from.is_some() {
            return Ok(());
        }
        let [first, second, third] = self.stem_blocks.map(|blocks| blocks as u64);
        positive(&[
            ("model.d_model", self.d_model as u64),
            ("model.heads", self.heads as u64),
            ("model.ffn_dim", self.ffn_dim as u64),
            ("model.encoder_layers", self.encoder_layers as u64),
            ("model.decoder_layers", self.decoder_layers as u64),
            ("model.stem_width", self.stem_width as u64),
            ("model.stem_blocks", first.min(second).min(third)),
        ])?;
        self.check_limits()?;
        for (key, found, least) in [
            ("positions_max", self.positions_max, SCENE_PROMPT_TOKENS_MAX),
            ("image_bucket_size", self.image_bucket_size, SCENE_TOKENS_PER_SIDE),
        ] {
            if found < least {
                let what = format!("model.{key} is {found}; scenes take up to {least}");
                return Err(RecipeError::Value(what));
            }
        }
        // Whatever the vocabulary is, it is that of the scenes.
        match self.ofa(OfaConfig::default().vocab_size) {
            Ok(_) => Ok(()),
            Err(ConfigError::Dimension(what)) => Err(RecipeError::Value(format!("model.{what}"))),
            Err(other) => Err(RecipeError::Value(format!("model: {other}"))),
        }
    }

    /// Limits a few times as large as the largest published model, far below what no memory holds.
    fn check_limits(&self) -> Result<(), RecipeError> {
        let blocks = self.stem_blocks.into_iter().max().unwrap_or_default();
        at_most(&[
            ("model.d_model", self.d_model as u64, 4096),
            ("model.heads", self.heads as u64, 64),
            ("model.ffn_dim", self.ffn_dim as u64, 16_384),
            ("model.encoder_layers", self.encoder_layers as u64, 96),
            ("model.decoder_layers", self.decoder_layers as u64, 96),
            ("model.stem_width", self.stem_width as u64, 256),
            ("model.stem_blocks", blocks as u64, 96),
            ("model.image_bucket_size", self.image_bucket_size as u64, 128),
            ("model.token_bucket_size", self.token_bucket_size as u64, 1024),
            ("model.positions_max", self.positions_max as u64, 4096),
        ])
    }
}

//! The dimensions of an OFA model, as its `config.json` states them.

mod preset;
mod switches;

use serde::{Deserialize, Serialize};

use crate::weights::InferredDimensions;
pub use preset::Preset;
use switches::Switches;

/// Every token id, dimension and switch that decides the shapes and the arithmetic of a model.
///
/// The field names are those of the Hugging Face OFA configuration, so that a `config.json` of
/// that layout is read as it is; keys that do not concern inference are ignored. Three fields are
/// this project's own: `resnet_layers`, `stem_width` and `image_relative_bias`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OfaConfig {
    /// Rows of the tied token embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Encoder layers, shared by the image and the text branch.
    pub encoder_layers: usize,
    /// Decoder layers.
    pub decoder_layers: usize,
    /// Attention heads of an encoder layer.
    pub encoder_attention_heads: usize,
    /// Attention heads of a decoder layer.
    pub decoder_attention_heads: usize,
    /// Inner width of an encoder feed-forward block.
    pub encoder_ffn_dim: usize,
    /// Inner width of a decoder feed-forward block.
    pub decoder_ffn_dim: usize,
    /// The stem's published name, used only when `resnet_layers` is absent.
    pub resnet_type: String,
    /// Bottleneck blocks of the stem's three stages; overrides `resnet_type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resnet_layers: Option<[usize; 3]>,
    /// Channels after the stem's first convolution; 64 in the published models. The stages put
    /// out 4, 8 and 16 times as many.
    pub stem_width: usize,
    /// Longest sequence with a position embedding.
    pub max_position_embeddings: usize,
    /// Half-width of the one-dimensional relative-position buckets.
    pub token_bucket_size: usize,
    /// Side of the square grid that two-dimensional positions are numbered on.
    pub image_bucket_size: usize,
    /// Divides the attention scale: `(head_dim * attn_scale_factor)^-0.5`.
    pub attn_scale_factor: f64,
    /// Epsilon of every LayerNorm.
    pub layer_norm_eps: f64,
    /// Epsilon of the stem's BatchNorm.
    pub batch_norm_eps: f64,
    /// Padding token id.
    pub pad_token_id: u32,
    /// Beginning-of-sequence token id, with which the decoder starts.
    pub bos_token_id: u32,
    /// End-of-sequence token id.
    pub eos_token_id: u32,
    /// Whether the image branch of a decomposed encoder adds the per-layer two-dimensional
    /// relative bias (the MuE paper's text) or the absolute bias alone (the released code).
    pub image_relative_bias: bool,
    #[serde(flatten)]
    pub(crate) switches: Switches,
}

impl Default for OfaConfig {
    fn default() -> Self {
        Preset::Base.config()
    }
}

/// Why a configuration cannot be a model of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not JSON of the expected form.
    #[error("config.json is not valid")]
    Json(#[from] serde_json::Error),
    /// A dimension is zero or does not divide as it must.
    #[error("config.json: {0}")]
    Dimension(String),
    /// A switch asks for an architecture that is not implemented.
    #[error("config.json: {switch} is not supported; published OFA models have {expected}")]
    Unsupported {
        /// The key and the value found.
        switch: String,
        /// The value that is supported.
        expected: String,
    },
}

impl OfaConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    ///
    /// If the text is not such JSON, a dimension is impossible or a switch is not supported.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        serde_json::from_str::<Self>(text)?.checked()
    }

    /// This configuration, if there is such a model.
    ///
    /// # Errors
    ///
    /// If a dimension is impossible or a switch is not supported.
    pub fn checked(self) -> Result<Self, ConfigError> {
        self.check()?;
        Ok(self)
    }

    /// The configuration of weights that come without one; what shapes do not tell is as in the
    /// published models.
    ///
    /// # Errors
    ///
    /// If the stem does not have three stages or a dimension is impossible.
    pub fn from_dimensions(dimensions: &InferredDimensions) -> Result<Self, ConfigError> {
        let stages: [usize; 3] = dimensions.resnet_layers.as_slice().try_into().map_err(|_| {
            let stages = dimensions.resnet_layers.len();
            ConfigError::Dimension(format!("the stem has {stages} stages instead of 3"))
        })?;
        let config = Self {
            vocab_size: dimensions.vocab_size,
            d_model: dimensions.d_model,
            encoder_layers: dimensions.encoder_layers,
            decoder_layers: dimensions.decoder_layers,
            encoder_attention_heads: dimensions.encoder_attention_heads,
            decoder_attention_heads: dimensions.decoder_attention_heads,
            encoder_ffn_dim: dimensions.encoder_ffn_dim,
            decoder_ffn_dim: dimensions.decoder_ffn_dim,
            resnet_layers: Some(stages),
            stem_width: dimensions.stem_width,
            max_position_embeddings: dimensions.encoder_max_positions,
            token_bucket_size: dimensions.token_bucket_size,
            image_bucket_size: dimensions.image_bucket_size,
            ..Self::default()
        };
        config.checked()
    }

    /// The configuration as JSON, in the same layout.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a configuration is plain data")
    }

    /// Bottleneck blocks of the stem's three stages.
    ///
    /// # Errors
    ///
    /// If neither `resnet_layers` nor a known `resnet_type` says so.
    pub fn stem_blocks(&self) -> Result<[usize; 3], ConfigError> {
        match (self.resnet_layers, self.resnet_type.as_str()) {
            (Some(blocks), _) => Ok(blocks),
            (None, "resnet50") => Ok([3, 4, 6]),
            (None, "resnet101") => Ok([3, 4, 23]),
            (None, "resnet152") => Ok([3, 8, 36]),
            (None, other) => Err(ConfigError::Unsupported {
                switch: format!("resnet_type = {other:?}"),
                expected: "resnet50, resnet101 or resnet152".into(),
            }),
        }
    }

    /// Channels that the stem puts out.
    pub fn stem_channels(&self) -> usize {
        16 * self.stem_width
    }

    /// Width of one encoder attention head.
    pub fn encoder_head_dim(&self) -> usize {
        self.d_model / self.encoder_attention_heads
    }

    /// Width of one decoder attention head.
    pub fn decoder_head_dim(&self) -> usize {
        self.d_model / self.decoder_attention_heads
    }

    /// Rows of an image relative-position table.
    pub fn image_relative_positions(&self) -> usize {
        (2 * self.image_bucket_size - 1).pow(2) + 3
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.stem_blocks()?.contains(&0) {
            return Err(ConfigError::Dimension("a stage of resnet_layers must not be 0".into()));
        }
        if !(self.attn_scale_factor > 0.0 && self.attn_scale_factor.is_finite()) {
            return Err(ConfigError::Dimension("attn_scale_factor must be above 0".into()));
        }
        for (name, value) in
            [("layer_norm_eps", self.layer_norm_eps), ("batch_norm_eps", self.batch_norm_eps)]
        {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(ConfigError::Dimension(format!("{name} must not be below 0")));
            }
        }
        for (name, value) in [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("encoder_layers", self.encoder_layers),
            ("decoder_layers", self.decoder_layers),
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("decoder_attention_heads", self.decoder_attention_heads),
            ("encoder_ffn_dim", self.encoder_ffn_dim),
            ("decoder_ffn_dim", self.decoder_ffn_dim),
            ("stem_width", self.stem_width),
            ("max_position_embeddings", self.max_position_embeddings),
            ("image_bucket_size", self.image_bucket_size),
        ] {
            if value == 0 {
                return Err(ConfigError::Dimension(format!("{name} must not be 0")));
            }
        }
        if self.token_bucket_size < 4 {
            return Err(ConfigError::Dimension("token_bucket_size must be at least 4".into()));
        }
        for heads in [self.encoder_attention_heads, self.decoder_attention_heads] {
            if !self.d_model.is_multiple_of(heads) {
                let message = format!("d_model {} is not divisible by {heads} heads", self.d_model);
                return Err(ConfigError::Dimension(message));
            }
        }
        for id in [self.pad_token_id, self.bos_token_id, self.eos_token_id] {
            if id as usize >= self.vocab_size {
                let message = format!("token id {id} is outside the vocabulary");
                return Err(ConfigError::Dimension(message));
            }
        }
        self.switches.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_json() {
        for preset in [Preset::Tiny, Preset::Medium, Preset::Base, Preset::Large, Preset::Huge] {
            let config = preset.config();
            assert_eq!(OfaConfig::from_json(&config.to_json()).unwrap(), config);
        }
    }

    #[test]
    fn unknown_keys_are_ignored_and_unsupported_switches_are_not() {
        assert!(OfaConfig::from_json(r#"{"dropout": 0.1, "model_type": "ofa"}"#).is_ok());
        let error = OfaConfig::from_json(r#"{"normformer": false}"#).unwrap_err().to_string();
        assert!(error.contains("normformer = false"), "{error}");
        let error = OfaConfig::from_json(r#"{"resnet_type": "vit"}"#).unwrap_err().to_string();
        assert!(error.contains("resnet_type"), "{error}");
    }

    #[test]
    fn impossible_dimensions_are_refused() {
        for text in [
            r#"{"d_model": 10, "encoder_attention_heads": 3}"#,
            r#"{"encoder_layers": 0}"#,
            r#"{"vocab_size": 2}"#,
            r#"{"token_bucket_size": 1}"#,
            r#"{"resnet_layers": [1, 2, 0]}"#,
            r#"{"attn_scale_factor": 0.0}"#,
            r#"{"layer_norm_eps": -1e-5}"#,
            r#"{"batch_norm_eps": -1e-5}"#,
        ] {
            assert!(OfaConfig::from_json(text).is_err(), "{text}");
        }
    }
}

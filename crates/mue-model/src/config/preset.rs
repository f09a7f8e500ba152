//! The published sizes.

use super::{OfaConfig, Switches};

/// The published sizes of OFA (method table of the OFA repository).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// 33 M parameters.
    Tiny,
    /// 93 M parameters.
    Medium,
    /// 180 M parameters.
    Base,
    /// 470 M parameters.
    Large,
    /// 930 M parameters.
    Huge,
}

impl Preset {
    /// The configuration of this size.
    pub fn config(self) -> OfaConfig {
        let (d_model, heads, layers, resnet_type) = match self {
            Self::Tiny => (256, 4, [4, 4], "resnet50"),
            Self::Medium => (512, 8, [4, 4], "resnet101"),
            Self::Base => (768, 12, [6, 6], "resnet101"),
            Self::Large => (1024, 16, [12, 12], "resnet152"),
            Self::Huge => (1280, 16, [24, 12], "resnet152"),
        };
        OfaConfig {
            vocab_size: 59_457,
            d_model,
            encoder_layers: layers[0],
            decoder_layers: layers[1],
            encoder_attention_heads: heads,
            decoder_attention_heads: heads,
            encoder_ffn_dim: 4 * d_model,
            decoder_ffn_dim: 4 * d_model,
            resnet_type: resnet_type.into(),
            resnet_layers: None,
            stem_width: 64,
            max_position_embeddings: 1024,
            token_bucket_size: 256,
            image_bucket_size: 42,
            attn_scale_factor: 2.0,
            layer_norm_eps: 1e-5,
            batch_norm_eps: 1e-5,
            pad_token_id: 1,
            bos_token_id: 0,
            eos_token_id: 2,
            image_relative_bias: true,
            switches: Switches::default(),
        }
    }
}

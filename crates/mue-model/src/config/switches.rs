//! Switches that would make another architecture.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Switches of the Hugging Face configuration that select another architecture; only the values
/// of the published OFA models are supported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Switches {
    activation_function: String,
    encoder_normalize_before: bool,
    decoder_normalize_before: bool,
    normformer: bool,
    layernorm_embedding: bool,
    patch_layernorm_embedding: bool,
    add_type_embedding: bool,
    share_decoder_input_output_embed: bool,
    entangle_position_embedding: bool,
    interpolate_position: bool,
    share_attn_bias: bool,
    use_image_feature: bool,
    use_ofasys: bool,
    use_gamma_feature: bool,
    scale_embedding: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            activation_function: "gelu".into(),
            encoder_normalize_before: true,
            decoder_normalize_before: true,
            normformer: true,
            layernorm_embedding: true,
            patch_layernorm_embedding: true,
            add_type_embedding: true,
            share_decoder_input_output_embed: true,
            entangle_position_embedding: false,
            interpolate_position: false,
            share_attn_bias: false,
            use_image_feature: true,
            use_ofasys: false,
            use_gamma_feature: false,
            scale_embedding: false,
        }
    }
}

impl Switches {
    /// # Errors
    ///
    /// If a switch is not as in the published models.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let found = serde_json::to_value(self)?;
        let supported = serde_json::to_value(Self::default())?;
        let (Some(found), Some(supported)) = (found.as_object(), supported.as_object()) else {
            return Ok(());
        };
        match found.iter().find(|(key, value)| supported.get(*key) != Some(value)) {
            Some((key, value)) => Err(ConfigError::Unsupported {
                switch: format!("{key} = {value}"),
                expected: supported[key].to_string(),
            }),
            None => Ok(()),
        }
    }
}

//! A model for unit tests: one layer a stack, width 8.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::weights::initial_tensors;
use crate::{BranchEncoding, ExitPolicy, Ofa, OfaConfig};

pub(crate) fn model() -> Ofa {
    let config = r#"{"vocab_size": 9, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 8,
        "decoder_ffn_dim": 8, "resnet_layers": [1, 1, 1], "stem_width": 4,
        "max_position_embeddings": 64, "token_bucket_size": 8, "image_bucket_size": 4}"#;
    let (config, device) = (OfaConfig::from_json(config).unwrap(), Device::flex());
    let tensors = initial_tensors(&config, 1, &device).unwrap();
    Ofa::from_tensors(&tensors, config, &device).unwrap()
}

/// A picture of four tokens and a text of three, through every layer.
pub(crate) fn encoded(model: &Ofa) -> Vec<Arc<BranchEncoding>> {
    let pixels = Tensor::zeros([1, 3, 32, 32], model.device());
    model.encode_pair(pixels, &[0, 5, 2], &ExitPolicy::full())
}

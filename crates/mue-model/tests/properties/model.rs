//! Random models that are small enough to run hundreds of times.

use std::collections::BTreeMap;

use mue_model::weights::{DType, RawTensor, initial_tensors};
use mue_model::{Device, Ofa, OfaConfig, RunOptions};
use serde_json::json;

/// Layers of encoder and decoder alike.
pub(crate) const LAYERS: usize = 3;
pub(crate) const PIXELS: usize = 32;
pub(crate) const VOCABULARY: u32 = 30;

pub(crate) fn model(seed: u64) -> Ofa {
    with_options(seed, RunOptions::default())
}

pub(crate) fn with_options(seed: u64, options: RunOptions) -> Ofa {
    let config = OfaConfig::from_json(
        &json!({
            "vocab_size": VOCABULARY,
            "d_model": 16,
            "encoder_layers": LAYERS,
            "decoder_layers": LAYERS,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 24,
            "resnet_layers": [1, 1, 1],
            "stem_width": 4,
            "max_position_embeddings": 64,
            "token_bucket_size": 8,
            "image_bucket_size": 4
        })
        .to_string(),
    )
    .unwrap();
    let device = Device::flex();
    let tensors: BTreeMap<String, RawTensor> = initial_tensors(&config, seed, &device)
        .unwrap()
        .into_iter()
        .map(|(name, tensor)| (name.clone(), roughened(&name, &tensor, seed)))
        .collect();
    Ofa::from_tensors(&tensors, config, &device).unwrap().with_options(options)
}

/// Fresh weights have zero biases and tables, which would hide mistakes in masks and positions;
/// and layers that change too much to ever exit.
fn roughened(name: &str, tensor: &RawTensor, seed: u64) -> RawTensor {
    let (scale, noise) = match name {
        _ if name.contains("running_var") => (1.0, 0.0),
        _ if name.contains("rel_pos_table") => (1.0, 0.5),
        _ if name.contains("mid_layer_norm") || name.contains("ffn_layer_norm") => (0.3, 0.1),
        _ if tensor.shape().len() == 1 => (1.0, 0.1),
        _ => (1.0, 0.0),
    };
    let mut state = name.bytes().fold(seed + 1, |state, byte| mixed(state ^ u64::from(byte)));
    let bytes = tensor.float32_bytes().unwrap();
    let values = bytes.chunks_exact(4).flat_map(|le| {
        state = mixed(state);
        let unit = (state >> 40) as f32 / (1u32 << 24) as f32;
        let value = f32::from_le_bytes(le.try_into().unwrap());
        (scale * value + noise * (2.0 * unit - 1.0)).to_le_bytes()
    });
    let values: Vec<u8> = values.collect();
    RawTensor::new(DType::F32, tensor.shape().to_vec(), values.into()).unwrap()
}

/// A step of a linear congruential generator, its high bits folded down.
pub(crate) fn mixed(state: u64) -> u64 {
    let state =
        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    state ^ (state >> 29)
}

//! Weights as a function of seed, name and shape, or from a file.

use std::collections::BTreeMap;
use std::path::Path;

use mue_model::weights::{LoadError, RawTensor};
use mue_model::{Device, Ofa, OfaConfig};
use serde_json::Value;

use crate::case::{Golden, raw_f32, read_tensors};

const ENCODER_GAINS: [f64; 6] = [0.50, 0.60, 0.40, 0.30, 0.45, 0.25];
const DECODER_GAINS: [f64; 6] = [0.45, 0.60, 0.70, 0.80, 0.50, 0.40];

/// The tensors of a safetensors file, less the copies of the tied embedding.
pub(crate) fn from_file(path: &Path) -> BTreeMap<String, RawTensor> {
    let tied = ["decoder.embed_tokens.weight", "decoder.output_projection.weight"];
    read_tensors(path)
        .into_iter()
        .filter(|(name, _)| !tied.contains(&name.as_str()))
        .map(|(name, Golden { shape, values })| {
            let golden = Golden { shape: shape.clone(), values };
            (name, raw_f32(shape, golden.floats()))
        })
        .collect()
}

/// Every tensor that a configuration asks for, made by the recipe.
pub(crate) fn tensors(
    config: &OfaConfig,
    seed: &Value,
    eos_pull: &Value,
) -> BTreeMap<String, RawTensor> {
    let seed = seed.as_u64().unwrap();
    let mut values: BTreeMap<String, (Vec<usize>, Vec<f32>)> = shapes(config)
        .into_iter()
        .map(|(name, shape)| {
            let values = stream(seed, &name, &shape, moments(&name, &shape, config));
            (name, (shape, values))
        })
        .collect();
    let pull = eos_pull.as_f64().unwrap_or(0.0) as f32;
    let bias = values["decoder.layer_norm.bias"].1.clone();
    let width = config.d_model;
    let eos = config.eos_token_id as usize;
    let embedding = &mut values.get_mut("encoder.embed_tokens.weight").unwrap().1;
    for (weight, bias) in embedding[eos * width..(eos + 1) * width].iter_mut().zip(bias) {
        *weight += pull * bias;
    }
    values.into_iter().map(|(name, (shape, values))| (name, raw_f32(shape, &values))).collect()
}

/// Names and shapes, as the loader misses them in an empty checkpoint.
fn shapes(config: &OfaConfig) -> Vec<(String, Vec<usize>)> {
    let missing = match Ofa::from_tensors(&BTreeMap::new(), config.clone(), &Device::flex()) {
        Err(LoadError::Mismatch(error)) => error.0,
        other => panic!("an empty checkpoint must miss its tensors: {other:?}"),
    };
    missing.into_iter().map(|mismatch| (mismatch.name, mismatch.expected.unwrap())).collect()
}

/// Uniform values of the given mean and standard deviation from a SplitMix64 stream.
fn stream(seed: u64, name: &str, shape: &[usize], (mean, std): (f64, f64)) -> Vec<f32> {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let start = hash ^ seed.wrapping_mul(GOLDEN);
    (0..shape.iter().product::<usize>() as u64)
        .map(|index| {
            let mut x = start.wrapping_add((index + 1).wrapping_mul(GOLDEN));
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            x ^= x >> 31;
            let unit = ((x >> 40) as f64 + 0.5) / f64::from(1u32 << 24);
            (mean + std * 12f64.sqrt() * (unit - 0.5)) as f32
        })
        .collect()
}

/// Mean and standard deviation of a tensor: the first rule that its name matches.
fn moments(name: &str, shape: &[usize], config: &OfaConfig) -> (f64, f64) {
    let d = config.d_model as f64;
    let encoder = name.starts_with("encoder.");
    let gains = if encoder { ENCODER_GAINS } else { DECODER_GAINS };
    let gain = layer_number(name).map_or(1.0, |layer| gains[layer % 6]);
    let ffn = if encoder { config.encoder_ffn_dim } else { config.decoder_ffn_dim } as f64;
    let weight = name.ends_with(".weight");
    let bias = name.ends_with(".bias");
    match name {
        _ if name.ends_with("running_mean") => (0.0, 0.1),
        _ if name.ends_with("running_var") => (1.0, 0.25),
        _ if name.contains("embed_images") => stem_moments(name, shape),
        _ if name.ends_with("c_attn") => (1.0, 0.25),
        _ if name.contains("rel_pos_table_list") => (0.0, 0.5),
        _ if name.ends_with("_mid_layer_norm.weight") => (gain, 0.15 * gain),
        "decoder.layer_norm.bias" => (0.0, 0.2),
        "decoder.layer_norm.weight" => (0.0, 1.0),
        _ if (name.contains("norm") || name.contains("pos_ln")) && weight => (1.0, 0.15),
        _ if (name.contains("norm") || name.contains("pos_ln")) && bias => (0.0, 0.1),
        _ if name.ends_with("embed_tokens.weight") => (0.0, 2.5 / d.sqrt()),
        _ if name.ends_with("positions.weight") => (0.0, 0.1),
        _ if name.ends_with("type_embedding.weight") => (0.0, 0.2),
        _ if name.ends_with("image_proj.weight") => (0.0, 1.0 / 32.0),
        _ if name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight") => {
            (0.0, 1.5 / d.sqrt())
        }
        _ if name.ends_with("pos_q_linear.weight") || name.ends_with("pos_k_linear.weight") => {
            (0.0, 1.2 / d.sqrt())
        }
        _ if name.ends_with("fc2.weight") => (0.0, gain / ffn.sqrt()),
        _ if weight => (0.0, 1.0 / d.sqrt()),
        _ if bias => (0.0, 0.1),
        other => panic!("no rule for {other}"),
    }
}

fn stem_moments(name: &str, shape: &[usize]) -> (f64, f64) {
    match name {
        _ if shape.len() == 4 => (0.0, (2.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
        _ if name.ends_with("bn3.weight") => (0.6, 0.1),
        _ if name.ends_with("downsample.1.weight") => (0.8, 0.1),
        _ if name.ends_with(".weight") => (1.0, 0.15),
        _ => (0.0, 0.1),
    }
}

fn layer_number(name: &str) -> Option<usize> {
    name.split("layers.").nth(1)?.split('.').next()?.parse().ok()
}

//! A random model that is small enough to be made anew by every test, as checkpoints come.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mue_model::weights::{FloatStorage, initial_tensors, write_safetensors};
use mue_model::{Device, OfaConfig};
use serde_json::{Map, Value, json};

/// Writes a Hugging Face style folder into `folder`: weights, configuration and vocabulary.
pub(crate) fn write_checkpoint(folder: &Path) {
    write_checkpoint_with(folder, 0);
}

/// As [`write_checkpoint`], of a model that embeds some ids that the vocabulary has not.
fn write_checkpoint_with(folder: &Path, spare_ids: usize) {
    let (vocabulary, merges) = vocabulary();
    let config = config(vocabulary.len() + spare_ids);
    let tensors: BTreeMap<_, _> = initial_tensors(&config, 7, &Device::flex()).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write_safetensors(&folder.join("model.safetensors"), &tensors, FloatStorage::Float32).unwrap();
    write("config.json", config.to_json());
    write("vocab.json", Value::Object(vocabulary).to_string());
    write("merges.txt", merges);
}

fn config(vocab_size: usize) -> OfaConfig {
    OfaConfig::from_json(
        &json!({
            "vocab_size": vocab_size,
            "d_model": 16,
            "encoder_layers": 3,
            "decoder_layers": 3,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 24,
            "resnet_layers": [1, 1, 1],
            "stem_width": 4,
            "max_position_embeddings": 256,
            "token_bucket_size": 8,
            "image_bucket_size": 4
        })
        .to_string(),
    )
    .unwrap()
}

/// A byte-level vocabulary in which the answers are one token each.
fn vocabulary() -> (Map<String, Value>, String) {
    let mut tokens: Vec<String> =
        ["<s>", "<pad>", "</s>", "<unk>"].iter().map(|name| (*name).to_owned()).collect();
    tokens.extend(('!'..='~').map(String::from));
    tokens.push("Ġ".into());
    let mut merges = String::from("#version: 0.2\n");
    for answer in ["yes", "no", "maybe"] {
        let mut left = String::from("Ġ");
        for letter in answer.chars() {
            merges += &format!("{left} {letter}\n");
            left.push(letter);
            tokens.push(left.clone());
        }
    }
    let vocabulary = tokens.into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect();
    (vocabulary, merges)
}

/// A picture of a gradient, as PNG.
pub(crate) fn write_picture(path: &Path, size: u32) {
    let picture = image::RgbImage::from_fn(size, size, |x, y| {
        image::Rgb([(255 * x / size) as u8, (255 * y / size) as u8, 128])
    });
    picture.save(path).unwrap();
}

/// A folder with a model `model` (decomposed, 32 pixels) and a picture `picture.png`.
pub(crate) fn imported() -> (tempfile::TempDir, PathBuf) {
    imported_with(0)
}

/// As [`imported`], of a model that embeds some ids that its vocabulary has not.
pub(crate) fn imported_with(spare_ids: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    write_checkpoint_with(&folder.path().join("checkpoint"), spare_ids);
    let output = super::mue(folder.path())
        .args(["import", "checkpoint", "--out", "model", "--image-size", "32"])
        .args(["--encoding", "decomposed"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", super::stderr(&output));
    write_picture(&folder.path().join("picture.png"), 50);
    let model = folder.path().join("model");
    (folder, model)
}

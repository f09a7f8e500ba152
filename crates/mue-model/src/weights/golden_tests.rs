//! The shared golden checkpoints: three layouts of one model, read to the bit alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;

/// `MUE_GOLDENS`, or `shared/goldens` beside the workspace; `None` where there are none.
fn goldens() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("MUE_GOLDENS") {
        return Some(path.into());
    }
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/goldens")).find(|path| path.is_dir())
}

fn canonical(path: &Path) -> CanonicalWeights {
    Checkpoint::open(path).unwrap().into_canonical().unwrap()
}

fn content(weights: &CanonicalWeights) -> BTreeMap<&str, (DType, &[usize], bytes::Bytes)> {
    let tensors = weights.tensors.iter();
    tensors.map(|(name, t)| (&name[..], (t.dtype(), t.shape(), t.bytes().unwrap()))).collect()
}

/// `(HF name, fairseq name, shape)` of every key to be loaded, from `keys.json`.
fn keys_to_load(folder: &Path) -> Vec<(String, String, Vec<usize>)> {
    let text = std::fs::read_to_string(folder.join("keys.json")).unwrap();
    let keys: serde_json::Value = serde_json::from_str(&text).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["use"] == "load")
        .map(|key| {
            let shape = serde_json::from_value(key["shape"].clone()).unwrap();
            (text(&key["hf"]), text(&key["fairseq"]), shape)
        })
        .collect()
}

const TIED: [&str; 2] = ["decoder.embed_tokens.weight", "decoder.output_projection.weight"];

#[test]
fn the_layouts_hold_the_same_tensors() {
    let Some(goldens) = goldens() else { return };
    let pytorch = canonical(&goldens.join("checkpoints/pytorch_model.bin"));
    let fairseq = canonical(&goldens.join("checkpoints/fairseq.pt"));
    let safetensors = canonical(&goldens.join("micro-joint/weights.safetensors"));

    assert_eq!(pytorch.naming, Naming::HuggingFace);
    assert_eq!(fairseq.naming, Naming::Fairseq);
    let expected = content(&safetensors);
    assert!(content(&pytorch) == expected && content(&fairseq) == expected);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &fairseq.tensors, FloatStorage::Float32).unwrap();
    assert!(content(&canonical(&path)) == expected);
}

#[test]
fn the_loaded_keys_are_those_of_keys_json() {
    let Some(goldens) = goldens() else { return };
    let folder = goldens.join("checkpoints");
    let expected: BTreeMap<_, _> = keys_to_load(&folder)
        .into_iter()
        .filter(|(hf, ..)| !TIED.contains(&hf.as_str()))
        .map(|(hf, _, shape)| (hf, shape))
        .collect();
    for file in ["pytorch_model.bin", "fairseq.pt"] {
        let weights = canonical(&folder.join(file));
        let found: BTreeMap<_, _> =
            weights.tensors.iter().map(|(name, t)| (name.clone(), t.shape().to_vec())).collect();
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn every_fairseq_name_has_its_hugging_face_name() {
    let Some(goldens) = goldens() else { return };
    let keys = keys_to_load(&goldens.join("checkpoints"));
    let one_byte = || RawTensor::new(DType::U8, vec![1], vec![0].into()).unwrap();
    for (hf, fairseq, _) in keys.iter().filter(|(hf, ..)| !TIED.contains(&hf.as_str())) {
        // A second name makes the naming unmistakable when the first is common to both.
        let marker = "decoder.layers.99.encoder_attn.c_attn".to_owned();
        let names = BTreeMap::from([(fairseq.clone(), one_byte()), (marker, one_byte())]);
        let weights = names::canonicalize(names).unwrap();
        assert!(weights.tensors.contains_key(hf), "{fairseq}: {:?}", weights.tensors.keys());
    }
}

#[test]
fn the_sizes_are_those_of_the_configuration() {
    let Some(goldens) = goldens() else { return };
    let folder = goldens.join("checkpoints");
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let size = |key: &str| config[key].as_u64().unwrap() as usize;

    let found = InferredDimensions::infer(&canonical(&folder.join("fairseq.pt")).tensors).unwrap();

    let expected = InferredDimensions {
        vocab_size: size("vocab_size"),
        d_model: size("d_model"),
        encoder_layers: size("encoder_layers"),
        decoder_layers: size("decoder_layers"),
        encoder_attention_heads: size("encoder_attention_heads"),
        decoder_attention_heads: size("decoder_attention_heads"),
        encoder_ffn_dim: size("encoder_ffn_dim"),
        decoder_ffn_dim: size("decoder_ffn_dim"),
        resnet_layers: serde_json::from_value(config["resnet_layers"].clone()).unwrap(),
        stem_width: 64,
        encoder_max_positions: size("max_position_embeddings"),
        decoder_max_positions: size("max_position_embeddings"),
        token_bucket_size: size("token_bucket_size"),
        image_bucket_size: size("image_bucket_size"),
    };
    assert_eq!(found, expected);
}

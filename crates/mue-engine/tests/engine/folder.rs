//! A model folder of random weights, and random pictures.

use std::collections::BTreeMap;
use std::path::Path;

use mue_data::scenes::{scenes_prompts, scenes_tokenizer_json};
use mue_data::{PixelTensor, Tokenizer, build_tokenizer};
use mue_engine::{AnswerWords, Encoding, Image, ModelSettings};
use mue_model::weights::{DType, FloatStorage, RawTensor, initial_tensors, write_safetensors};
use mue_model::{Device, OfaConfig};
use serde_json::json;

pub(crate) const LAYERS: usize = 3;
pub(crate) const PIXELS: usize = 32;

pub(crate) struct Folder {
    folder: tempfile::TempDir,
    config: OfaConfig,
}

impl Folder {
    pub(crate) fn new(seed: u64, encoding: Encoding) -> Self {
        let folder = Self::speaking(&scenes_tokenizer_json());
        folder.put_weights(seed, |_, tensor| tensor);
        folder.write_settings(&ModelSettings {
            image_size: PIXELS,
            encoding,
            prompts: scenes_prompts(),
            answers: answers(["yes", "maybe", "no"]),
            ..ModelSettings::default()
        });
        folder
    }

    /// One that says first and second bytes of characters, and three letters.
    pub(crate) fn of_bytes(seed: u64) -> Self {
        let files = tempfile::tempdir().unwrap();
        let vocabulary = json!({
            "<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3,
            "y": 4, "m": 5, "n": 6,
            "Â": 7, "Ã": 8, "Ä": 9, "Å": 10, "©": 11, "¬": 12, "®": 13, "±": 14,
        });
        std::fs::write(files.path().join("vocab.json"), vocabulary.to_string()).unwrap();
        std::fs::write(files.path().join("merges.txt"), "").unwrap();
        let folder = Self::speaking(&build_tokenizer(files.path()).unwrap());
        folder.put_weights(seed, |_, tensor| tensor);
        folder.write_settings(&ModelSettings {
            image_size: PIXELS,
            encoding: Encoding::Decomposed,
            answers: answers(["y", "m", "n"]),
            ..ModelSettings::default()
        });
        folder
    }

    fn speaking(tokenizer_json: &[u8]) -> Self {
        let config = config(Tokenizer::from_json(tokenizer_json).unwrap().vocab_size());
        let folder = Self { folder: tempfile::tempdir().unwrap(), config };
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("config.json"), folder.config.to_json()).unwrap();
        std::fs::write(path("tokenizer.json"), tokenizer_json).unwrap();
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts random weights, changed like this, in the place of those that are there.
    pub(crate) fn put_weights(&self, seed: u64, change: impl Fn(&str, RawTensor) -> RawTensor) {
        let tensors: BTreeMap<_, _> = initial_tensors(&self.config, seed, &Device::flex())
            .unwrap()
            .into_iter()
            .map(|(name, tensor)| (name.clone(), change(&name, calmer(&name, tensor))))
            .collect();
        let new = self.path().join("new.safetensors");
        write_safetensors(&new, &tensors, FloatStorage::Float32).unwrap();
        std::fs::rename(new, self.path().join("model.safetensors")).unwrap();
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut ModelSettings)) {
        let json = std::fs::read(self.path().join("mue.json")).unwrap();
        let mut settings = serde_json::from_slice(&json).unwrap();
        change(&mut settings);
        self.write_settings(&settings);
    }

    fn write_settings(&self, settings: &ModelSettings) {
        let json = serde_json::to_string(settings).unwrap();
        std::fs::write(self.path().join("mue.json"), json).unwrap();
    }
}

fn answers(words: [&str; 3]) -> AnswerWords {
    let [entailment, neutral, contradiction] = words.map(String::from);
    AnswerWords { entailment, neutral, contradiction }
}

fn config(vocab_size: usize) -> OfaConfig {
    let config = json!({
        "vocab_size": vocab_size,
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
        "image_bucket_size": 4,
    });
    OfaConfig::from_json(&config.to_string()).unwrap()
}

/// Layers of fresh weights change too much for any row to leave; smaller norms behind attention
/// and inside the feed-forward blocks calm them.
fn calmer(name: &str, tensor: RawTensor) -> RawTensor {
    if !name.ends_with("mid_layer_norm.weight") && !name.ends_with("ffn_layer_norm.weight") {
        return tensor;
    }
    let bytes = tensor.float32_bytes().unwrap();
    let scaled = bytes
        .chunks_exact(4)
        .flat_map(|le| (0.3 * f32::from_le_bytes(le.try_into().unwrap())).to_le_bytes());
    let scaled: Vec<u8> = scaled.collect();
    RawTensor::new(DType::F32, tensor.shape().to_vec(), scaled.into()).unwrap()
}

pub(crate) fn picture(seed: u64) -> Image {
    let mut state = seed;
    let values = (0..3 * PIXELS * PIXELS).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    });
    Image::new(PixelTensor { values: values.collect(), height: PIXELS, width: PIXELS })
}

/// A picture that makes every logit NaN.
pub(crate) fn broken() -> Image {
    let values = vec![f32::NAN; 3 * PIXELS * PIXELS];
    Image::new(PixelTensor { values, height: PIXELS, width: PIXELS })
}

//! The sections of a recipe and what holds where one leaves a key out.

use std::path::PathBuf;

use mue_model::OfaConfig;
use serde::{Deserialize, Deserializer, Serialize};

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

/// What is learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Data sets to learn from, at most one for each task; none is endless scenes.
    #[serde(deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<String>,
    /// Data sets of the quick evaluations. None is scenes where scenes are learned, and else no
    /// evaluation.
    #[serde(deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub dev: Vec<String>,
    /// Folder of the pictures; if none, they are looked for around the annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Splits to learn of a file that holds several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub splits: Vec<String>,
    /// Splits to evaluate on of a file that holds several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dev_splits: Vec<String>,
    /// Share of the pictures that come from the captions, where `train` has both tasks.
    pub caption_share: f32,
    /// Which reference of a picture of `train` is learned.
    pub reference: Reference,
    /// Whether captions of `train` and `dev` keep their punctuation.
    pub punctuation: bool,
    /// Entries and pictures of a data set that may be unusable, in each pass over it, before the
    /// run fails.
    pub problems_max: usize,
    /// Pictures that are computed together.
    pub pictures: usize,
    /// Groups of pictures whose gradients are added up for one step.
    pub accumulation: usize,
    /// Hypotheses about each picture.
    pub hypotheses: usize,
    /// Families of scenes' hypotheses that one hypothesis of each picture is about, where the
    /// picture has what they take; empty lets the families' own odds decide alone.
    pub emphasis: Vec<String>,
    /// Pictures of the quick evaluations.
    pub dev_pictures: usize,
}

/// Which of a picture's references is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    /// One at random, another in each pass.
    Any,
    /// The first: of scenes, the canonical caption.
    First,
}

/// What is minimised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Decoder layers that the losses of both tasks are summed over.
    pub layers: LossLayers,
    /// Weight of the captions' cross-entropy, summed over the layers.
    pub caption: f32,
    /// Weight of the answers' cross-entropy, summed over the layers.
    pub entailment: f32,
    /// Probability mass spread over the whole vocabulary.
    pub label_smoothing: f32,
    /// Probability that a branch stops at a random depth, for each branch on its own; in joint
    /// encoding the image branch's depth is that of both.
    pub random_depth: f32,
    /// Weight of the grounding heads' cross-entropy; 0 leaves them out.
    pub grounding: f32,
    /// Weight of each layer's cross-entropy against the last layer's distribution.
    pub distillation: f32,
    /// Weight of the saturation loss; 0 leaves it out.
    pub saturation: f32,
}

/// Decoder layers that losses are summed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossLayers {
    /// Every one (MuE).
    All,
    /// The last alone (the paper's ablation without the layer-wise loss).
    Last,
}

/// Self-critical training: captions that score better than the greedy one become likelier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelfCriticalConfig {
    /// Weight of its loss, summed over the layers; 0 leaves it out.
    pub weight: f32,
    /// Captions that are sampled for each picture.
    pub samples: usize,
    /// Pictures with captions, from the first of the training data, whose references say how rare
    /// words are.
    pub documents: usize,
}

/// AdamW and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Learning rate after the warm-up.
    pub learning_rate: f32,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// How the rate falls afterwards.
    pub decay: Decay,
    /// Share of the run before the linear decay begins.
    pub constant_share: f32,
    /// Decay rates of the two moments.
    pub betas: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Weight decay of matrices and kernels; vectors have none.
    pub weight_decay: f32,
    /// Largest norm of all gradients together; 0 is no limit.
    pub clip_norm: f32,
    /// Decay rate of the averaged weights, which are what is evaluated and exported; 0 is none.
    pub ema_decay: f32,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Constant for `constant_share` of the run, then linearly to zero.
    Linear,
    /// Half a cosine to zero.
    Cosine,
}

/// What a run writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Threads that each compute one group of pictures; 0 is one per core.
    pub threads: usize,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Steps between quick evaluations; 0 is never.
    pub evaluate_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
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

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: Vec::new(),
            dev: Vec::new(),
            images: None,
            splits: Vec::new(),
            dev_splits: Vec::new(),
            caption_share: 0.5,
            reference: Reference::Any,
            punctuation: true,
            problems_max: 0,
            pictures: 16,
            accumulation: 2,
            hypotheses: 2,
            emphasis: Vec::new(),
            dev_pictures: 300,
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            layers: LossLayers::All,
            caption: 1.0,
            entailment: 1.0,
            label_smoothing: 0.0,
            random_depth: 0.0,
            grounding: 0.0,
            distillation: 0.0,
            saturation: 0.0,
        }
    }
}

impl Default for SelfCriticalConfig {
    fn default() -> Self {
        Self { weight: 0.0, samples: 1, documents: 2000 }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            warmup_steps: 300,
            decay: Decay::Linear,
            constant_share: 0.6,
            betas: [0.9, 0.98],
            epsilon: 1e-8,
            weight_decay: 0.02,
            clip_norm: 1.0,
            ema_decay: 0.999,
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self { threads: 0, log_every: 10, evaluate_every: 500, checkpoint_every: 250 }
    }
}

/// A list, or its only element.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(name) => vec![name],
        OneOrMore::More(names) => names,
    })
}

impl ModelConfig {
    /// The configuration of a new model with so many words.
    pub fn ofa(&self, vocab_size: usize) -> OfaConfig {
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
        config
    }
}

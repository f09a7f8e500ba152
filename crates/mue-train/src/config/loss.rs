//! What is minimised: `[loss]` and `[self_critical]`.

use serde::{Deserialize, Serialize};

use super::RecipeError;
use super::bounds::{not_negative, positive, shares};

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
    /// words are; one alone would make all words alike.
    pub documents: usize,
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

impl LossConfig {
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        not_negative(&[
            ("loss.caption", self.caption),
            ("loss.entailment", self.entailment),
            ("loss.grounding", self.grounding),
            ("loss.distillation", self.distillation),
            ("loss.saturation", self.saturation),
        ])?;
        shares(&[
            ("loss.label_smoothing", self.label_smoothing),
            ("loss.random_depth", self.random_depth),
        ])?;
        let between = [("distillation", self.distillation), ("saturation", self.saturation)];
        let is_last = self.layers == LossLayers::Last;
        match between.iter().find(|(_, weight)| is_last && *weight > 0.0) {
            Some((key, _)) => Err(RecipeError::Value(format!(
                "loss.{key} is between layers, of which loss.layers = \"last\" leaves one"
            ))),
            None => Ok(()),
        }
    }
}

impl SelfCriticalConfig {
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        not_negative(&[("self_critical.weight", self.weight)])?;
        positive(&[("self_critical.samples", self.samples as u64)])?;
        match self.documents {
            0 | 1 => Err(RecipeError::Value(format!(
                "self_critical.documents is {}; how rare a word is shows among 2 pictures at least",
                self.documents
            ))),
            _ => Ok(()),
        }
    }
}

//! When a row stops paying for further layers: MuE's rule (section 3.3) and its rivals.

use crate::prediction::Prediction;

/// How each branch of one request exits.
#[derive(Clone, Debug, PartialEq)]
pub struct ExitPolicy {
    /// The image branch; in joint encoding, the whole encoder.
    pub image: BranchPolicy,
    /// The text branch.
    pub text: BranchPolicy,
    /// The decoder.
    pub decoder: BranchPolicy,
}

impl ExitPolicy {
    /// Exits off: every layer of every branch.
    pub fn full() -> Self {
        Self::uniform(BranchPolicy::Full)
    }

    /// Static truncation at a depth per branch.
    pub fn fixed(image: usize, text: usize, decoder: usize) -> Self {
        Self {
            image: BranchPolicy::Fixed { layers: image },
            text: BranchPolicy::Fixed { layers: text },
            decoder: BranchPolicy::Fixed { layers: decoder },
        }
    }

    /// MuE's rule with one threshold per branch.
    pub fn similarity(image: f32, text: f32, decoder: f32) -> Self {
        let rule = |threshold| BranchPolicy::Similarity(SimilarityRule::constant(threshold));
        Self { image: rule(image), text: rule(text), decoder: rule(decoder) }
    }

    fn uniform(policy: BranchPolicy) -> Self {
        Self { image: policy.clone(), text: policy.clone(), decoder: policy }
    }
}

/// How one branch exits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BranchPolicy {
    /// Every layer.
    Full,
    /// Exactly so many layers (at least one, at most all).
    Fixed {
        /// The depth.
        layers: usize,
    },
    /// MuE: as soon as a layer's output hardly differs from its input.
    Similarity(SimilarityRule),
    /// As soon as the layer's most probable answer is strictly more probable than a threshold (CALM's
    /// softmax response is the distance of the two most probable ones). The decoder's alone, as are
    /// those below: an encoder branch has no answer, and runs to the end.
    TopProbability {
        /// As in [`SimilarityRule::thresholds`]; from 1 on, a layer is not even asked.
        thresholds: Vec<f32>,
    },
    /// DeeBERT: as soon as the entropy of the layer's answer, in nats, is strictly below a
    /// threshold.
    Entropy {
        /// As in [`SimilarityRule::thresholds`]; from 0 down, a layer is not even asked.
        thresholds: Vec<f32>,
    },
    /// PABEE: as soon as the answer is the same as after each of so many layers before.
    Patience {
        /// Layers that have to agree with the newest.
        layers: usize,
    },
    /// Every layer, and similarity and answer of each are noted: what other policies would have
    /// seen can be read from it.
    Watch,
}

/// Exit after layer i when `cos(H_i, H_{i-1})` is strictly greater than a threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarityRule {
    /// One threshold for all layers, or one per layer (the last one holds for those beyond). A layer
    /// with one above 1 is never left after.
    pub thresholds: Vec<f32>,
    /// How the threshold changes over the decoder's steps.
    pub schedule: Schedule,
}

impl SimilarityRule {
    /// One threshold for every layer and step.
    pub fn constant(threshold: f32) -> Self {
        Self { thresholds: vec![threshold], schedule: Schedule::Constant }
    }
}

/// The threshold over decoding steps; encoder branches are always at step 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// The same at every step.
    Constant,
    /// `beta * threshold + (1 - beta) * exp(-tau * step / tokens_max)` (MuE, section 3.3).
    Decay {
        /// Weight of the constant part; the paper uses 0.95.
        beta: f32,
        /// Speed of the decay; the paper uses 1.
        tau: f32,
        /// Longest answer.
        tokens_max: usize,
    },
    /// A threshold for each step, in place of the rule's own (the last one holds beyond): how golden
    /// cases state a schedule of any form. No exit rule of `calibration.json` makes it.
    PerStep(Vec<f32>),
}

/// What is known of a row after a layer, from which a policy decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSignal {
    /// Layers run so far, counted from 1.
    pub layer: usize,
    /// Layers that the branch has.
    pub layers: usize,
    /// Decoding step; 0 in the encoder.
    pub step: usize,
    /// `cos(H_i, H_{i-1})` over the row's valid tokens, if the policy asked for it.
    pub similarity: Option<f32>,
    /// What the row would answer from this layer, if the policy asked for it.
    pub prediction: Option<Prediction>,
}

impl BranchPolicy {
    /// Whether the policy looks at similarities; where no row's does, none are computed.
    pub fn needs_similarity(&self) -> bool {
        matches!(self, Self::Similarity(_) | Self::Watch)
    }

    /// Whether the policy looks at the answer of a layer, counted from 1; where no row's does,
    /// the LM head does not run there.
    pub fn needs_prediction(&self, layer: usize) -> bool {
        match self {
            Self::Full | Self::Fixed { .. } | Self::Similarity(_) => false,
            Self::TopProbability { thresholds } => held(thresholds, layer - 1) < 1.0,
            Self::Entropy { thresholds } => held_or(thresholds, layer - 1, f32::NEG_INFINITY) > 0.0,
            Self::Patience { .. } | Self::Watch => true,
        }
    }

    /// Whether a row leaves after this layer. After the last layer every row does.
    pub fn exits(&self, signal: LayerSignal) -> bool {
        signal.layer >= signal.layers
            || match self {
                Self::Full | Self::Watch => false,
                Self::Fixed { layers } => signal.layer >= *layers,
                Self::Similarity(rule) => {
                    signal.similarity.is_some_and(|similarity| similarity > rule.threshold(signal))
                }
                Self::TopProbability { thresholds } => signal
                    .prediction
                    .is_some_and(|answer| answer.probability > held(thresholds, signal.layer - 1)),
                Self::Entropy { thresholds } => signal.prediction.is_some_and(|answer| {
                    let never = f32::NEG_INFINITY;
                    answer.entropy < held_or(thresholds, signal.layer - 1, never)
                }),
                Self::Patience { layers } => {
                    signal.prediction.is_some_and(|answer| answer.unchanged >= *layers)
                }
            }
    }
}

impl SimilarityRule {
    /// The threshold at a layer and step.
    pub fn threshold(&self, signal: LayerSignal) -> f32 {
        let threshold = held(&self.thresholds, signal.layer - 1);
        match &self.schedule {
            Schedule::Constant => threshold,
            Schedule::Decay { beta, tau, tokens_max } => {
                let progress = signal.step as f32 / (*tokens_max).max(1) as f32;
                beta * threshold + (1.0 - beta) * (-tau * progress).exp()
            }
            Schedule::PerStep(thresholds) => held(thresholds, signal.step),
        }
    }
}

/// The value at an index, the last one beyond the end; without values nothing ever exits.
fn held(values: &[f32], index: usize) -> f32 {
    held_or(values, index, f32::INFINITY)
}

fn held_or(values: &[f32], index: usize, none: f32) -> f32 {
    values.get(index).or(values.last()).copied().unwrap_or(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(layer: usize, step: usize, similarity: f32) -> LayerSignal {
        LayerSignal { layer, layers: 6, step, similarity: Some(similarity), prediction: None }
    }

    #[test]
    fn similarity_must_be_strictly_greater() {
        let policy = BranchPolicy::Similarity(SimilarityRule::constant(0.9));
        assert!(!policy.exits(signal(1, 0, 0.9)));
        assert!(policy.exits(signal(1, 0, 0.9001)));
        assert!(!policy.exits(signal(1, 0, f32::NAN)));
        assert!(policy.exits(signal(6, 0, 0.0)), "there is nothing after the last layer");
    }

    #[test]
    fn thresholds_may_differ_by_layer() {
        let rule = SimilarityRule { thresholds: vec![2.0, 0.5], ..constant(0.0) };
        let policy = BranchPolicy::Similarity(rule);
        assert!(!policy.exits(signal(1, 0, 1.0)), "no cosine exceeds it");
        assert!(policy.exits(signal(2, 0, 0.6)));
        assert!(policy.exits(signal(3, 0, 0.6)), "the last threshold holds for deeper layers");
    }

    #[test]
    fn decay_falls_towards_the_weighted_threshold() {
        let schedule = Schedule::Decay { beta: 0.9, tau: 2.0, tokens_max: 16 };
        let rule = SimilarityRule { schedule, ..constant(0.8) };
        assert!((rule.threshold(signal(1, 0, 0.0)) - 0.82).abs() < 1e-6);
        let last = 0.72 + 0.1 * (-2.0f32).exp();
        assert!((rule.threshold(signal(1, 16, 0.0)) - last).abs() < 1e-6);
    }

    #[test]
    fn fixed_depth_is_kept_within_the_layers() {
        assert!(BranchPolicy::Fixed { layers: 0 }.exits(signal(1, 0, 0.0)));
        assert!(!BranchPolicy::Fixed { layers: 9 }.exits(signal(5, 0, 0.0)));
    }

    #[test]
    fn answers_decide_where_they_are_asked() {
        let signal = |layer, probability, entropy, unchanged| {
            let prediction = Some(Prediction { layer, token: 7, probability, entropy, unchanged });
            LayerSignal { layer, layers: 6, step: 0, similarity: None, prediction }
        };
        let sure = BranchPolicy::TopProbability { thresholds: vec![1.0, 0.9] };
        assert!(!sure.needs_prediction(1) && sure.needs_prediction(2) && sure.needs_prediction(5));
        assert!(!sure.exits(signal(1, 1.0, 0.0, 0)) && !sure.exits(signal(2, 0.9, 0.0, 0)));
        assert!(sure.exits(signal(3, 0.91, 0.0, 0)) && !sure.exits(signal(3, f32::NAN, 0.0, 0)));
        let entropy = BranchPolicy::Entropy { thresholds: vec![0.0, 0.2] };
        assert!(!entropy.needs_prediction(1) && entropy.needs_prediction(2));
        assert!(entropy.exits(signal(2, 0.9, 0.1, 0)) && !entropy.exits(signal(2, 0.9, 0.2, 0)));
        let patience = BranchPolicy::Patience { layers: 2 };
        assert!(patience.exits(signal(3, 0.5, 0.6, 2)) && !patience.exits(signal(3, 0.5, 0.6, 1)));
        assert!(!BranchPolicy::Watch.exits(signal(5, 1.0, 0.0, 4)));
        let none = LayerSignal { prediction: None, ..signal(5, 1.0, 0.0, 4) };
        assert!(!sure.exits(none) && !entropy.exits(none) && !patience.exits(none));
    }

    fn constant(threshold: f32) -> SimilarityRule {
        SimilarityRule::constant(threshold)
    }
}

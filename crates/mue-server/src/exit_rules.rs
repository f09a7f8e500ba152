//! How a model's branches exit by default, as `GET /v1/models` says it.

use mue_engine::{BranchRule, Deferral, ExitRules};
use serde::Serialize;
use utoipa::ToSchema;

/// A rule for each branch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExitRules)]
pub(crate) struct ExitRulesJson {
    /// The image branch; in joint encoding, the whole encoder.
    image: BranchRuleJson,
    /// The text branch.
    text: BranchRuleJson,
    /// The decoder.
    decoder: BranchRuleJson,
    /// What is done with unsure answers of entailment, if they are not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deferral: Option<DeferralJson>,
}

/// An answer that is not sure enough is deferred: the image branch goes on from where it left, and the
/// answer is read again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deferral)]
struct DeferralJson {
    /// An answer whose probability is lower is deferred.
    #[schema(examples(0.8))]
    below: f32,
    /// The layer to which the image branch goes on.
    #[schema(examples(5))]
    image: usize,
}

/// When a row leaves a branch. A list of thresholds has one for all layers, or one each, of which
/// the last holds for the layers beyond.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BranchRule)]
pub(crate) enum BranchRuleJson {
    /// After every layer.
    Full,
    /// After so many layers.
    Fixed(usize),
    /// After the first layer whose output is more similar to its input than the threshold.
    Similarity(Vec<f32>),
    /// As `similarity` with one threshold, which falls over the tokens of an answer:
    /// beta * threshold + (1 - beta) * exp(-tau * token / tokens_max).
    Decay {
        /// The threshold before it falls.
        threshold: f32,
        /// Weight of the constant part.
        beta: f32,
        /// Speed of the decay.
        tau: f32,
        /// Longest answer.
        tokens_max: usize,
    },
    /// After the first layer whose most probable answer is more probable than the threshold.
    Probability(Vec<f32>),
    /// After the first layer whose answer has an entropy, in nats, below the threshold.
    Entropy(Vec<f32>),
    /// After the first layer whose answer so many layers before it agree with.
    Patience(usize),
    /// After every layer, while what the other rules look at is noted.
    Watch,
}

impl From<ExitRules> for ExitRulesJson {
    fn from(rules: ExitRules) -> Self {
        let ExitRules { image, text, decoder, deferral } = rules;
        Self {
            image: image.into(),
            text: text.into(),
            decoder: decoder.into(),
            deferral: deferral.map(|Deferral { below, image }| DeferralJson { below, image }),
        }
    }
}

impl From<BranchRule> for BranchRuleJson {
    fn from(rule: BranchRule) -> Self {
        match rule {
            BranchRule::Full => Self::Full,
            BranchRule::Fixed(layers) => Self::Fixed(layers),
            BranchRule::Similarity(thresholds) => Self::Similarity(thresholds),
            BranchRule::Decay { threshold, beta, tau, tokens_max } => {
                Self::Decay { threshold, beta, tau, tokens_max }
            }
            BranchRule::Probability(thresholds) => Self::Probability(thresholds),
            BranchRule::Entropy(thresholds) => Self::Entropy(thresholds),
            BranchRule::Patience(layers) => Self::Patience(layers),
            BranchRule::Watch => Self::Watch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_in_the_calibration() {
        for rule in [
            BranchRule::Full,
            BranchRule::Fixed(2),
            BranchRule::Similarity(vec![0.5]),
            BranchRule::Probability(vec![0.5, 0.25]),
            BranchRule::Entropy(vec![0.5]),
            BranchRule::Patience(2),
            BranchRule::Watch,
        ] {
            let file = serde_json::to_value(&rule).unwrap();
            assert_eq!(serde_json::to_value(BranchRuleJson::from(rule)).unwrap(), file);
        }
        let deferral = Some(Deferral { below: 0.5, image: 2 });
        for deferral in [None, deferral] {
            let rules = ExitRules { deferral, ..ExitRules::default() };
            let file = serde_json::to_value(&rules).unwrap();
            assert_eq!(serde_json::to_value(ExitRulesJson::from(rules)).unwrap(), file);
        }
    }
}

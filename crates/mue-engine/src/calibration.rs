//! `calibration.json`: which exits keep which quality, as measured on held-out data.

use mue_model::{BranchPolicy, ExitPolicy, Schedule, SimilarityRule};
use serde::{Deserialize, Serialize};

use crate::answer::BranchDepth;
use crate::request::InvalidRequest;

/// What is known of a model's exits, by task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calibration {
    /// For captions.
    pub caption: TaskCalibration,
    /// For entailment.
    pub entailment: TaskCalibration,
}

/// What is known of a model's exits for one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskCalibration {
    /// The defaults: the cheapest that keep what was promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto: Option<ExitRules>,
    /// MuE's rule as published, one similarity threshold per branch: the cheapest that keeps what was
    /// promised, or else the safest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mue: Option<OperatingPoint>,
    /// Measured operating points, from the safest to the cheapest.
    pub points: Vec<OperatingPoint>,
}

/// Exits, what they keep and what they cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// How each branch exits.
    pub exits: ExitRules,
    /// Quality relative to full depth on the calibration data.
    pub retention: f64,
    /// What the retention of fresh samples is at least: at a confidence of 0.95, on all but one of 20
    /// sets of them.
    pub retention_low: f64,
    /// Confidence of that bound, 0 to 1.
    pub confidence: f64,
    /// How many fresh samples the bound is about.
    #[serde(default = "fresh")]
    pub fresh: usize,
    /// Mean multiply-accumulates of a request.
    pub macs: f64,
    /// The same at full depth.
    pub macs_full: f64,
    /// Mean layers run: image, text, decoder.
    pub layers: [f64; 3],
    /// The data it was measured on.
    pub data: String,
    /// Samples of it.
    pub samples: usize,
}

impl OperatingPoint {
    /// What is promised, as it is told: rounded down to four places, so that what was told can be
    /// asked for.
    pub fn promise(&self) -> f64 {
        // A bound of few places is not a number of binary ones.
        (self.retention_low * 1e4 + 1e-6).floor() / 1e4
    }
}

/// What bounds were about before files said so.
fn fresh() -> usize {
    1000
}

/// How each branch exits, as a file states it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExitRules {
    /// The image branch; in joint encoding, the whole encoder.
    pub image: BranchRule,
    /// The text branch.
    pub text: BranchRule,
    /// The decoder.
    pub decoder: BranchRule,
    /// Whether unsure answers are deferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferral: Option<Deferral>,
}

/// Confidence-based deferral, as in model cascades (Jitkrittum et al., "When does confidence-based
/// cascade deferral suffice?", 2023): an answer that is not sure enough is not given; the image branch
/// goes on from where it left, and the answer is read again, whatever it then is.
///
/// Of entailment in decomposed encoding only: a caption's words have been told when they turn out
/// unsure, and a joint encoder has no image branch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deferral {
    /// An answer whose probability is lower is deferred.
    pub below: f32,
    /// The depth to which the image branch goes on; pictures that are as deep are not deferred.
    pub image: usize,
}

impl Deferral {
    /// Whether an answer of this probability, about a picture that is so deep, is deferred.
    pub fn defers(&self, probability: f32, image: BranchDepth) -> bool {
        image.layer < self.image.min(image.layers) && probability < self.below
    }
}

/// How one branch exits, as a file states it.
///
/// Where there is a list of thresholds, it is one for all layers, or one each (the last one holds
/// for those beyond).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum BranchRule {
    /// Every layer.
    #[default]
    Full,
    /// So many layers.
    Fixed(usize),
    /// The first layer whose similarity is above its threshold.
    Similarity(Vec<f32>),
    /// As `Similarity` with one threshold, which falls over the tokens of an answer (MuE, section
    /// 3.3): `beta * threshold + (1 - beta) * exp(-tau * token / tokens_max)`.
    Decay {
        /// The threshold before it falls.
        threshold: f32,
        /// Weight of the constant part; the paper uses 0.95.
        beta: f32,
        /// Speed of the decay; the paper uses 1.
        tau: f32,
        /// Longest answer.
        tokens_max: usize,
    },
    /// The first layer whose most probable answer is more probable than its threshold. Decoder
    /// only, as are those below.
    Probability(Vec<f32>),
    /// The first layer whose answer has an entropy, in nats, below its threshold.
    Entropy(Vec<f32>),
    /// The first layer whose answer so many layers before it agree with.
    Patience(usize),
    /// Every layer, and what the others would have seen is noted.
    Watch,
}

impl BranchRule {
    fn policy(&self) -> BranchPolicy {
        match self {
            Self::Full => BranchPolicy::Full,
            Self::Fixed(layers) => BranchPolicy::Fixed { layers: *layers },
            Self::Similarity(thresholds) => BranchPolicy::Similarity(SimilarityRule {
                thresholds: thresholds.clone(),
                schedule: Schedule::Constant,
            }),
            Self::Decay { threshold, beta, tau, tokens_max } => {
                let (beta, tau, tokens_max) = (*beta, *tau, *tokens_max);
                let schedule = Schedule::Decay { beta, tau, tokens_max };
                let rule = SimilarityRule::constant(*threshold);
                BranchPolicy::Similarity(SimilarityRule { schedule, ..rule })
            }
            Self::Probability(thresholds) => {
                BranchPolicy::TopProbability { thresholds: thresholds.clone() }
            }
            Self::Entropy(thresholds) => BranchPolicy::Entropy { thresholds: thresholds.clone() },
            Self::Patience(layers) => BranchPolicy::Patience { layers: *layers },
            Self::Watch => BranchPolicy::Watch,
        }
    }

    fn needs_answer(&self) -> bool {
        matches!(self, Self::Probability(_) | Self::Entropy(_) | Self::Patience(_))
    }

    fn is_finite(&self) -> bool {
        match self {
            Self::Full | Self::Fixed(_) | Self::Patience(_) | Self::Watch => true,
            Self::Similarity(values) | Self::Probability(values) | Self::Entropy(values) => {
                values.iter().all(|value| value.is_finite())
            }
            Self::Decay { threshold, beta, tau, .. } => {
                [threshold, beta, tau].iter().all(|value| value.is_finite())
            }
        }
    }
}

impl ExitRules {
    /// The policy that they state.
    ///
    /// # Errors
    ///
    /// If a threshold is not finite, or an encoder branch is to exit by an answer.
    pub fn policy(&self) -> Result<ExitPolicy, InvalidRequest> {
        let named = [("image", &self.image), ("text", &self.text), ("decoder", &self.decoder)];
        for (branch, rule) in named {
            if !rule.is_finite() {
                return Err(InvalidRequest::Threshold(branch));
            }
            if rule.needs_answer() && branch != "decoder" {
                return Err(InvalidRequest::DecoderOnly(branch));
            }
        }
        if self.deferral.is_some_and(|deferral| !deferral.below.is_finite()) {
            return Err(InvalidRequest::Threshold("deferral"));
        }
        Ok(ExitPolicy {
            image: self.image.policy(),
            text: self.text.policy(),
            decoder: self.decoder.policy(),
        })
    }

    /// The policy of a task whose answers can be deferred or cannot.
    ///
    /// # Errors
    ///
    /// As [`policy`](Self::policy), and if answers are to be deferred that cannot be.
    pub(crate) fn policy_of(&self, can_defer: bool) -> Result<ExitPolicy, InvalidRequest> {
        match self.deferral {
            Some(_) if !can_defer => Err(InvalidRequest::Deferral),
            _ => self.policy(),
        }
    }
}

impl OperatingPoint {
    /// The cheapest of some points that keeps at least `quality` and saves anything.
    pub fn cheapest(points: &[Self], quality: f64) -> Option<&Self> {
        points
            .iter()
            .filter(|point| point.retention_low >= quality && point.macs < point.macs_full)
            .min_by(|a, b| a.macs.total_cmp(&b.macs))
    }
}

impl TaskCalibration {
    fn measured(&self) -> impl Iterator<Item = &OperatingPoint> {
        self.points.iter().chain(&self.mue)
    }

    /// All exits that are named.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &ExitRules> {
        self.auto.iter().chain(self.measured().map(|point| &point.exits))
    }

    /// What was measured of some exits, if they were.
    pub fn point_of(&self, exits: &ExitRules) -> Option<&OperatingPoint> {
        self.measured().find(|point| &point.exits == exits)
    }

    /// What `auto` means: what the model's settings state, or else what was calibrated.
    pub fn default_rules<'a>(&'a self, stated: Option<&'a ExitRules>) -> Option<&'a ExitRules> {
        stated.or(self.auto.as_ref())
    }

    /// The cheapest point that keeps at least `quality`; none if full depth alone does.
    pub fn cheapest(&self, quality: f64) -> Option<&OperatingPoint> {
        OperatingPoint::cheapest(&self.points, quality)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(retention_low: f64, macs: f64) -> OperatingPoint {
        OperatingPoint {
            exits: ExitRules { image: BranchRule::Fixed(2), ..ExitRules::default() },
            retention: retention_low + 0.005,
            retention_low,
            confidence: 0.95,
            fresh: 1000,
            macs,
            macs_full: 100.0,
            layers: [2.0, 3.0, 2.5],
            data: "scenes:seed=1,count=4000,split=dev".into(),
            samples: 4000,
        }
    }

    #[test]
    fn the_cheapest_that_keeps_the_quality_is_chosen() {
        let points =
            vec![point(0.99, 60.0), point(0.97, 40.0), point(0.995, 55.0), point(1.0, 100.0)];
        let calibration = TaskCalibration { points, ..TaskCalibration::default() };
        assert_eq!(calibration.cheapest(0.96), Some(&calibration.points[1]));
        assert_eq!(calibration.cheapest(0.98), Some(&calibration.points[2]));
        assert_eq!(calibration.cheapest(0.999), None, "what saves nothing is full depth");
        assert_eq!(TaskCalibration::default().cheapest(0.5), None);
    }

    #[test]
    fn points_survive_json_and_unknown_keys_do_not() {
        let caption = TaskCalibration {
            auto: Some(ExitRules::default()),
            mue: None,
            points: vec![point(0.99, 60.0)],
        };
        let calibration = Calibration { caption, ..Calibration::default() };
        let json = serde_json::to_string(&calibration).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&json).unwrap(), calibration);
        let rules = r#"{"image": {"similarity": [0.9, 0.8]}, "decoder": {"fixed": 2}}"#;
        let rules: ExitRules = serde_json::from_str(rules).unwrap();
        let policy = rules.policy().unwrap();
        assert_eq!(policy.decoder, BranchPolicy::Fixed { layers: 2 });
        assert_eq!(policy.text, BranchPolicy::Full);
        let decay = r#"{"decay": {"threshold": 0.9, "beta": 0.5, "tau": 1.0, "tokens_max": 9}}"#;
        let decay: BranchRule = serde_json::from_str(decay).unwrap();
        let BranchPolicy::Similarity(rule) = decay.policy() else { panic!("{decay:?}") };
        assert_eq!(rule.thresholds, [0.9]);
        assert_eq!(rule.schedule, Schedule::Decay { beta: 0.5, tau: 1.0, tokens_max: 9 });
        assert!(serde_json::from_str::<ExitRules>(r#"{"images": "full"}"#).is_err());
    }

    #[test]
    fn rules_that_cannot_be_are_refused() {
        let refused = |rules: ExitRules| rules.policy().unwrap_err();
        let image = ExitRules { image: BranchRule::Patience(2), ..ExitRules::default() };
        let decay = BranchRule::Decay { threshold: 0.9, beta: 0.95, tau: f32::NAN, tokens_max: 9 };
        let image_decay = ExitRules { image: decay, ..ExitRules::default() };
        assert_eq!(refused(image_decay), InvalidRequest::Threshold("image"));
        assert_eq!(refused(image), InvalidRequest::DecoderOnly("image"));
        let thresholds = vec![0.9, f32::NAN];
        let decoder =
            ExitRules { decoder: BranchRule::Probability(thresholds), ..ExitRules::default() };
        assert_eq!(refused(decoder), InvalidRequest::Threshold("decoder"));
    }
}

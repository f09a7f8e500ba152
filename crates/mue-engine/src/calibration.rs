//! `calibration.json`: which exits keep which quality, as measured on held-out data.

use mue_model::{BranchPolicy, ExitPolicy, Schedule, SimilarityRule};
use serde::{Deserialize, Serialize};

/// The operating points of a model, by task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calibration {
    /// For captions.
    pub caption: Vec<OperatingPoint>,
    /// For entailment.
    pub entailment: Vec<OperatingPoint>,
}

/// Exits, what they keep and what they cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// How each branch exits.
    pub exits: ExitRules,
    /// Quality relative to full depth on the calibration data.
    pub retention: f64,
    /// What the retention is at least, with the stated confidence.
    pub retention_low: f64,
    /// Confidence of that bound, 0 to 1.
    pub confidence: f64,
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
}

/// How one branch exits, as a file states it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum BranchRule {
    /// Every layer.
    #[default]
    Full,
    /// So many layers.
    Fixed(usize),
    /// The first layer whose similarity is above its threshold: one for all layers, or one each
    /// (the last one holds for those beyond).
    Similarity(Vec<f32>),
}

impl BranchRule {
    fn policy(&self) -> BranchPolicy {
        match self {
            Self::Full => BranchPolicy::Full,
            Self::Fixed(layers) => BranchPolicy::Fixed { layers: *layers },
            Self::Similarity(thresholds) => BranchPolicy::Similarity(SimilarityRule {
                thresholds: thresholds.clone(),
                schedule: Schedule::Constant,
                layers_min: 1,
            }),
        }
    }
}

impl ExitRules {
    /// The policy that they state.
    pub fn policy(&self) -> ExitPolicy {
        ExitPolicy {
            image: self.image.policy(),
            text: self.text.policy(),
            decoder: self.decoder.policy(),
        }
    }
}

/// The cheapest of some points that keeps at least `quality`; none if full depth alone does.
pub(crate) fn cheapest(points: &[OperatingPoint], quality: f64) -> Option<&OperatingPoint> {
    points
        .iter()
        .filter(|point| point.retention_low >= quality && point.macs < point.macs_full)
        .min_by(|a, b| a.macs.total_cmp(&b.macs))
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
            macs,
            macs_full: 100.0,
            layers: [2.0, 3.0, 2.5],
            data: "scenes:seed=1,count=4000,split=dev".into(),
            samples: 4000,
        }
    }

    #[test]
    fn the_cheapest_that_keeps_the_quality_is_chosen() {
        let points = [point(0.99, 60.0), point(0.97, 40.0), point(0.995, 55.0), point(1.0, 100.0)];
        assert_eq!(cheapest(&points, 0.96), Some(&points[1]));
        assert_eq!(cheapest(&points, 0.98), Some(&points[2]));
        assert_eq!(cheapest(&points, 0.999), None, "what saves nothing is full depth");
        assert_eq!(cheapest(&[], 0.5), None);
    }

    #[test]
    fn points_survive_json_and_unknown_keys_do_not() {
        let calibration = Calibration { caption: vec![point(0.99, 60.0)], entailment: Vec::new() };
        let json = serde_json::to_string(&calibration).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&json).unwrap(), calibration);
        let rules = r#"{"image": {"similarity": [0.9, 0.8]}, "decoder": {"fixed": 2}}"#;
        let rules: ExitRules = serde_json::from_str(rules).unwrap();
        assert_eq!(rules.policy().decoder, BranchPolicy::Fixed { layers: 2 });
        assert_eq!(rules.policy().text, BranchPolicy::Full);
        assert!(serde_json::from_str::<ExitRules>(r#"{"images": "full"}"#).is_err());
    }
}

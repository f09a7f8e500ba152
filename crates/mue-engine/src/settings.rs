//! `mue.json`: what a model folder says of its tasks.

use std::ops::RangeInclusive;

use mue_data::Prompts;
use mue_model::SearchSettings;
use serde::{Deserialize, Serialize};

use crate::calibration::{BranchRule, ExitRules, TaskCalibration};
use crate::request::InvalidRequest;

/// How a model is to be asked, and how it exits unless a request says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Height and width that pictures are resized to, in pixels.
    pub image_size: usize,
    /// Whether image and text are encoded together or apart.
    pub encoding: Encoding,
    /// What the model is asked.
    #[serde(default)]
    pub prompts: Prompts,
    /// The words that answer an entailment prompt.
    #[serde(default)]
    pub answers: AnswerWords,
    /// How captions are searched for.
    #[serde(default)]
    pub search: CaptionSearch,
    /// Exit defaults (`auto`); a task without any has those of `calibration.json`.
    #[serde(default)]
    pub exits: ExitDefaults,
}

/// Whether image and text attend to each other in the encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Together, as plain OFA was trained.
    #[default]
    Joint,
    /// Apart, as MuE trains: branches exit on their own, and image encodings can be shared.
    Decomposed,
}

/// One-token answers, with the space that precedes them in running text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerWords {
    /// The image supports the hypothesis.
    pub entailment: String,
    /// The image does not tell.
    pub neutral: String,
    /// The image contradicts the hypothesis.
    pub contradiction: String,
}

impl Default for AnswerWords {
    fn default() -> Self {
        Self { entailment: " yes".into(), neutral: " maybe".into(), contradiction: " no".into() }
    }
}

/// How captions are searched for; the defaults are OFA's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionSearch {
    /// Hypotheses kept at each step.
    pub beam_size: usize,
    /// Most tokens of a caption, the end of sequence not counted.
    pub tokens_max: usize,
    /// Fewest tokens of a caption.
    pub tokens_min: usize,
    /// No n-gram of this length may occur twice; 0 allows all.
    pub no_repeat_ngram_size: usize,
    /// Scores are divided by `length ^ length_penalty`.
    pub length_penalty: f32,
}

impl Default for CaptionSearch {
    fn default() -> Self {
        let SearchSettings {
            beam_size,
            tokens_max,
            tokens_min,
            no_repeat_ngram_size,
            length_penalty,
        } = SearchSettings::default();
        Self { beam_size, tokens_max, tokens_min, no_repeat_ngram_size, length_penalty }
    }
}

impl CaptionSearch {
    /// The settings of a search.
    pub fn settings(&self) -> SearchSettings {
        SearchSettings {
            beam_size: self.beam_size,
            tokens_max: self.tokens_max,
            tokens_min: self.tokens_min,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            length_penalty: self.length_penalty,
        }
    }
}

/// Exit rules by task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExitDefaults {
    /// For captions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<ExitRules>,
    /// For entailment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entailment: Option<ExitRules>,
}

/// MuE's rule in short: the similarity above which a row leaves each branch; a branch without one
/// runs at full depth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// The image branch; in joint encoding, the whole encoder.
    pub image: Option<f32>,
    /// The text branch.
    pub text: Option<f32>,
    /// The decoder.
    pub decoder: Option<f32>,
}

impl Thresholds {
    /// Where a threshold makes sense: beyond a cosine's range lie "never" and "at once"; a percentage
    /// is a mistake.
    pub const RANGE: RangeInclusive<f32> = -2.0..=2.0;
}

impl From<Thresholds> for ExitRules {
    fn from(thresholds: Thresholds) -> Self {
        let branch = |threshold: Option<f32>| {
            threshold.map_or(BranchRule::Full, |value| BranchRule::Similarity(vec![value]))
        };
        Self {
            image: branch(thresholds.image),
            text: branch(thresholds.text),
            decoder: branch(thresholds.decoder),
            deferral: None,
        }
    }
}

/// How a request wants to exit.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ExitChoice {
    /// The model's defaults for the task.
    #[default]
    Auto,
    /// Full depth.
    Off,
    /// MuE's rule as published, one threshold per branch, as it was calibrated.
    Mue,
    /// The cheapest exits that are calibrated to keep at least this retention, 0 to 1.
    Quality(f64),
    /// These thresholds.
    Thresholds(Thresholds),
    /// These rules.
    Rules(ExitRules),
}

impl ExitChoice {
    /// The rules for a task with these defaults and this calibration.
    ///
    /// # Errors
    ///
    /// If what was calibrated is asked of a model that is not.
    pub(crate) fn rules(
        self,
        defaults: Option<&ExitRules>,
        calibration: &TaskCalibration,
    ) -> Result<ExitRules, InvalidRequest> {
        let rules = match self {
            Self::Off => None,
            Self::Auto => calibration.default_rules(defaults).cloned(),
            Self::Mue => {
                let mue = calibration.mue.as_ref().ok_or(InvalidRequest::NotCalibrated)?;
                Some(mue.exits.clone())
            }
            Self::Quality(quality) if !(0.0..=1.0).contains(&quality) => {
                return Err(InvalidRequest::Quality);
            }
            Self::Quality(_) if calibration.points.is_empty() => {
                return Err(InvalidRequest::NotCalibrated);
            }
            Self::Quality(quality) => {
                calibration.cheapest(quality).map(|point| point.exits.clone())
            }
            Self::Thresholds(thresholds) => Some(thresholds.into()),
            Self::Rules(rules) => Some(rules),
        };
        // Without any, full depth.
        Ok(rules.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use mue_model::ExitPolicy;

    use super::*;
    use crate::calibration::OperatingPoint;

    #[test]
    fn little_needs_to_be_said_and_nothing_unknown_may_be() {
        let settings: ModelSettings =
            serde_json::from_str(r#"{"image_size": 480, "encoding": "joint"}"#).unwrap();
        assert_eq!(settings.search.beam_size, 5);
        assert_eq!(settings.answers.neutral, " maybe");
        let unknown = r#"{"image_size": 480, "encoding": "joint", "beams": 5}"#;
        assert!(serde_json::from_str::<ModelSettings>(unknown).is_err());
    }

    #[test]
    fn settings_survive_json() {
        let settings = ModelSettings { image_size: 96, ..Default::default() };
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<ModelSettings>(&json).unwrap(), settings);
    }

    fn chosen(
        choice: ExitChoice,
        defaults: Option<&ExitRules>,
    ) -> Result<ExitPolicy, InvalidRequest> {
        choice.rules(defaults, &TaskCalibration::default())?.policy()
    }

    #[test]
    fn without_defaults_auto_is_full_depth() {
        assert_eq!(chosen(ExitChoice::Auto, None), Ok(ExitPolicy::full()));
        let thresholds = Thresholds { image: Some(0.9), ..Default::default() };
        let defaults = ExitRules::from(thresholds);
        let policy = chosen(ExitChoice::Auto, Some(&defaults)).unwrap();
        assert!(policy.image.needs_similarity() && !policy.decoder.needs_similarity());
        assert_eq!(chosen(ExitChoice::Thresholds(thresholds), None), Ok(policy.clone()));
        assert_eq!(chosen(ExitChoice::Rules(defaults.clone()), None), Ok(policy));
        assert_eq!(chosen(ExitChoice::Off, Some(&defaults)), Ok(ExitPolicy::full()));
    }

    #[test]
    fn auto_is_what_was_calibrated_unless_the_settings_say_otherwise() {
        let fixed = |layers| ExitRules { image: BranchRule::Fixed(layers), ..Default::default() };
        let mue = OperatingPoint {
            exits: fixed(3),
            retention: 0.99,
            retention_low: 0.98,
            confidence: 0.95,
            fresh: 1000,
            macs: 60.0,
            macs_full: 100.0,
            layers: [3.0, 6.0, 6.0],
            data: "scenes:seed=1,count=400,split=dev".into(),
            samples: 300,
        };
        let calibration =
            TaskCalibration { auto: Some(fixed(2)), mue: Some(mue), points: Vec::new() };
        let depth = |choice: ExitChoice, defaults: Option<&ExitRules>| {
            choice.rules(defaults, &calibration).unwrap().image
        };
        assert_eq!(depth(ExitChoice::Auto, None), BranchRule::Fixed(2));
        assert_eq!(depth(ExitChoice::Auto, Some(&fixed(1))), BranchRule::Fixed(1));
        assert_eq!(depth(ExitChoice::Mue, Some(&fixed(1))), BranchRule::Fixed(3));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let not_a_number = Thresholds { text: Some(f32::NAN), ..Default::default() };
        let refused = |choice: ExitChoice| chosen(choice, None).unwrap_err();
        assert_eq!(
            refused(ExitChoice::Thresholds(not_a_number)),
            InvalidRequest::Threshold("text")
        );
        assert_eq!(refused(ExitChoice::Quality(1.5)), InvalidRequest::Quality);
        assert_eq!(refused(ExitChoice::Quality(0.9)), InvalidRequest::NotCalibrated);
        assert_eq!(refused(ExitChoice::Mue), InvalidRequest::NotCalibrated);
    }
}

//! What both tasks may be asked with: how to exit, how urgently, until when.

use std::time::{Duration, Instant};

use mue_engine::batcher::Priority;
use mue_engine::{ExitChoice, Thresholds};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::config::Config;
use crate::json;
use crate::problem::{Code, Problem};

/// How to exit: a word, a floor of quality, or thresholds.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[schema(as = ExitChoice)]
#[serde(
    untagged,
    expecting = "must be \"auto\", \"off\", {\"quality\": 0.99}, or thresholds such as \
                 {\"image\": 0.9, \"text\": 0.95, \"decoder\": 0.95}"
)]
pub(crate) enum Exit {
    /// By name.
    #[serde(deserialize_with = "json::word")]
    Named(NamedExit),
    /// By what has to be kept.
    #[serde(deserialize_with = "json::object")]
    Quality(QualityExit),
    /// By similarity.
    #[serde(deserialize_with = "json::object")]
    Thresholds(ThresholdExit),
}

/// An exit setting with a name.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NamedExit {
    /// The model's calibrated default.
    Auto,
    /// Full depth.
    Off,
}

/// The cheapest exits that keep a share of full depth's quality.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QualityExit {
    /// Retention to keep, 0 to 1.
    #[schema(minimum = 0, maximum = 1, examples(0.99))]
    quality: f64,
}

/// Similarity above which a row leaves each branch: no row does above 1, and every row does after
/// its first layer below -1. A branch without a threshold runs at full depth.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThresholdExit {
    /// The image branch; in joint encoding, the whole encoder.
    #[schema(minimum = -2, maximum = 2, examples(0.9))]
    image: Option<f32>,
    /// The text branch.
    #[schema(minimum = -2, maximum = 2, examples(0.95))]
    text: Option<f32>,
    /// The decoder.
    #[schema(minimum = -2, maximum = 2, examples(0.95))]
    decoder: Option<f32>,
}

impl Default for Exit {
    fn default() -> Self {
        Self::Named(NamedExit::Auto)
    }
}

impl TryFrom<Exit> for ExitChoice {
    type Error = Problem;

    fn try_from(exit: Exit) -> Result<Self, Problem> {
        match exit {
            Exit::Named(NamedExit::Auto) => Ok(Self::Auto),
            Exit::Named(NamedExit::Off) => Ok(Self::Off),
            Exit::Quality(QualityExit { quality }) => Ok(Self::Quality(quality)),
            Exit::Thresholds(ThresholdExit { image, text, decoder }) => {
                let mut given = [image, text, decoder].into_iter().flatten();
                match given.all(|threshold| Thresholds::RANGE.contains(&threshold)) {
                    true => Ok(Self::Thresholds(Thresholds { image, text, decoder })),
                    false => Err(out_of_range("a threshold", (-2, 2))),
                }
            }
        }
    }
}

/// How urgent a request is.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Priority)]
pub(crate) enum Urgency {
    /// Somebody is looking at a spinner.
    High,
    /// The default.
    #[default]
    Normal,
    /// Bulk work.
    Low,
}

impl From<Urgency> for Priority {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::High => Self::High,
            Urgency::Normal => Self::Normal,
            Urgency::Low => Self::Low,
        }
    }
}

/// What is done unless a request says otherwise.
pub(crate) fn yes() -> bool {
    true
}

/// When nobody waits for a request any more that arrived at `arrived`.
///
/// # Errors
///
/// If the deadline is out of range.
pub(crate) fn deadline(
    deadline_ms: Option<u64>,
    arrived: Instant,
    config: &Config,
) -> Result<Instant, Problem> {
    let deadline_ms = deadline_ms.unwrap_or(config.deadline_ms_default);
    match (1..=config.deadline_ms_max).contains(&deadline_ms) {
        true => Ok(arrived + Duration::from_millis(deadline_ms)),
        false => Err(out_of_range("deadline_ms", (1, config.deadline_ms_max))),
    }
}

/// What comes of a request's stage, if that is before its deadline.
///
/// # Errors
///
/// Those of the stage, and that the deadline passed in it.
pub(crate) async fn in_time<T>(
    deadline: Instant,
    stage: &str,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let done = tokio::time::timeout_at(deadline.into(), work).await;
    done.unwrap_or_else(|_| {
        let detail = format!("the deadline passed in the {stage} stage");
        Err(Problem::new(Code::DeadlineExceeded, detail))
    })
}

/// A number or length that is not between two others.
pub(crate) fn out_of_range<N: std::fmt::Display>(field: &str, (least, most): (N, N)) -> Problem {
    Problem::invalid(format!("{field} must be between {least} and {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(json: &str) -> Result<ExitChoice, String> {
        let exit = serde_json::from_str::<Exit>(json).map_err(|error| error.to_string())?;
        Ok(exit.try_into().unwrap())
    }

    #[test]
    fn exits_are_words_a_quality_or_thresholds() {
        assert_eq!(exit("\"auto\""), Ok(ExitChoice::Auto));
        assert_eq!(exit("\"off\""), Ok(ExitChoice::Off));
        assert_eq!(exit("{\"quality\": 0.99}"), Ok(ExitChoice::Quality(0.99)));
        let some = Thresholds { image: Some(0.5), text: None, decoder: Some(0.25) };
        assert_eq!(exit("{\"image\": 0.5, \"decoder\": 0.25}"), Ok(ExitChoice::Thresholds(some)));
    }

    #[test]
    fn a_threshold_is_about_a_cosine() {
        assert!(exit("{\"image\": 1.5, \"decoder\": -1.5}").is_ok());
        for json in ["{\"image\": 95}", "{\"decoder\": -2.5}", "{\"text\": 1e39}"] {
            let exit: Exit = serde_json::from_str(json).unwrap();
            assert!(ExitChoice::try_from(exit).is_err(), "{json}");
        }
    }

    #[test]
    fn another_exit_is_told_what_there_is() {
        for json in [
            "\"on\"",
            "{\"quality\": 0.9, \"image\": 1}",
            "{\"encoder\": 0.9}",
            "0.9",
            "[0.99]",
            "[0.9, 0.9, 0.9]",
            "{\"auto\": null}",
        ] {
            let error = exit(json).unwrap_err();
            assert!(error.contains("auto") && error.contains("quality"), "{json}: {error}");
        }
    }
}

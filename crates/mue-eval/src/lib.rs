//! How good answers are, and how sure that is.
//!
//! Captions are scored as the COCO caption evaluation does ([`mue_scores::CaptionCorpus`], [`mue_scores::tokenize`]),
//! entailment by accuracy and confusion ([`score_entailment`]). [`Bootstrap`] says how far a mean
//! or a retention can be trusted.
//! [`write_results`] hands captions to the official tools for the scores that are not computed here.
//!
//! [`evaluate`] asks an engine for answers at full depth and with exits, and reports what the exits
//! keep and save; [`frontier`](frontier()) compares many rules. [`calibrate`] searches for exits that keep a promised quality.

mod answers;
mod bootstrap;
mod calibrate;
mod data;
mod entailment;
mod error;
mod evaluation;
/// The engine's tests' random model.
#[cfg(test)]
#[allow(clippy::unwrap_used, dead_code)]
#[path = "../../mue-engine/tests/engine/folder.rs"]
mod folder;
mod frontier;
mod latency;
mod measure;
mod promise;
mod quality;
mod random;
mod report;
mod results;
mod search;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

pub use answers::{Answers, answer};
pub use bootstrap::{Bootstrap, BootstrapError, Interval, Pair};
pub use calibrate::{CONFIDENCE_MAX, CalibrationPlan, calibrate};
pub use data::{EvalData, EvalSample};
pub use entailment::{EntailmentSample, EntailmentScores, LabelScores, Tally, score_entailment};
pub use error::EvalError;
pub use evaluation::{Evaluation, Plan, evaluate, retention};
pub use frontier::{
    Comparison, Contender, Frontier, FrontierPlan, GridPoint, Row, Rule, findings, frontier,
};
pub use measure::ExitLayers;
pub use mue_scores::{CaptionSample, ScoreError};
pub use promise::promised;
pub use quality::{ByLabel, Quality, Scored, score};
pub use report::{Counts, Intervals, Report, Side, TaskReport, TaskResult};
pub use results::{write_references, write_results};

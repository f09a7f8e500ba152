//! What an evaluation says: to programs as JSON, to people as Markdown or a page with plots.

mod html;
mod markdown;

use std::fmt;

use mue_data::datasets::Task;
use mue_engine::Encoding;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::measure::ExitLayers;
use crate::{Frontier, Interval, Quality};

/// Everything that was measured, and on what.
///
/// It is JSON by `serde`, text by [`Report::markdown`] and a page by [`Report::html`].
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model.
    pub model: String,
    /// The device that it ran on.
    pub device: String,
    /// The machine in words.
    pub machine: String,
    /// The day.
    pub date: String,
    /// How it was measured.
    pub command: String,
    /// The samples.
    pub data: String,
    /// How to exit.
    pub exits: String,
    /// What was found for captions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<TaskResult>,
    /// What was found for entailment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entailment: Option<TaskResult>,
}

/// What was found for one task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskResult {
    /// Full depth and one way to exit.
    #[serde(flatten)]
    pub report: TaskReport,
    /// Many ways to exit, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontier: Option<Frontier>,
}

impl Report {
    /// The tasks that were asked, with their names.
    fn tasks(&self) -> impl Iterator<Item = (&'static str, Task, &TaskResult)> {
        let both = [
            ("Captions", Task::Caption, &self.caption),
            ("Entailment", Task::Entailment, &self.entailment),
        ];
        both.into_iter().filter_map(|(name, task, found)| Some((name, task, found.as_ref()?)))
    }

    /// Whether exit rules were compared.
    fn has_frontier(&self) -> bool {
        self.tasks().any(|(_, _, found)| found.frontier.is_some())
    }
}

/// What was found for one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskReport {
    /// How many samples there were.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether the model encodes texts apart from pictures.
    #[serde(skip)]
    pub encoding: Encoding,
    /// At full depth.
    pub full: Side,
    /// With exits.
    pub exit: Side,
    /// CIDEr-D of the canonical captions (each sample's first reference) themselves; of scenes alone,
    /// since no other data has captions that are above the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_cider_d: Option<f64>,
    /// Quality with exits relative to full depth; none if full depth has no quality at all.
    pub retention: Option<f64>,
    /// What the model's calibration promises it to be at least, if it promises anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promised: Option<f64>,
    /// Share of all layers that exits do not run, which is how the paper counts; the branch of a
    /// constant prompt is not among them, and a joint encoder's layers are there once.
    pub layers_saved: f64,
    /// Share of full depth's multiply-accumulates that exits save.
    pub macs_saved: f64,
    /// Share of full depth's median time for one request that exits save.
    pub wall_saved: f64,
    /// How sure these three are.
    pub intervals: Intervals,
}

/// How many samples of the data took part, and how many did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Samples answered.
    pub samples: usize,
    /// Samples timed one at a time, the first of the data.
    pub timed_samples: usize,
    /// Entries and samples that could not be used.
    pub left_out: usize,
    /// Hypotheses left out because their annotators do not agree.
    pub disputed: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples", self.samples)?;
        match (self.left_out, self.disputed) {
            (0, 0) => Ok(()),
            (left_out, 0) => write!(f, " ({left_out} left out)"),
            (0, disputed) => write!(f, " ({disputed} disputed)"),
            (left_out, disputed) => write!(f, " ({left_out} left out, {disputed} disputed)"),
        }
    }
}

/// Quality and costs in one way to exit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The scores.
    pub quality: Quality,
    /// Mean multiply-accumulates of a request.
    pub macs: f64,
    /// Mean layers run: image, text, decoder (over all its steps).
    #[serde(serialize_with = "by_branch")]
    pub layers: [f64; 3],
    /// Rows that left at each layer.
    pub exit_layers: ExitLayers,
    /// Median milliseconds of one request at a time.
    pub wall_ms_p50: f64,
    /// Samples per second, batched as the server does.
    pub samples_per_s: f64,
}

/// 95% intervals, by bootstrap over pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Intervals {
    /// Of [`TaskReport::retention`].
    pub retention: Option<Interval>,
    /// Of [`TaskReport::macs_saved`].
    pub macs_saved: Interval,
    /// Of [`TaskReport::wall_saved`].
    pub wall_saved: Interval,
}

impl TaskReport {
    pub(crate) fn new(
        (full, exit): (Side, Side),
        (intervals, layers_saved): (Intervals, f64),
        (counts, encoding): (Counts, Encoding),
        canonical_cider_d: Option<f64>,
    ) -> Self {
        Self {
            counts,
            encoding,
            full,
            exit,
            canonical_cider_d,
            retention: intervals.retention.map(|interval| interval.estimate),
            promised: None,
            layers_saved,
            macs_saved: intervals.macs_saved.estimate,
            wall_saved: intervals.wall_saved.estimate,
            intervals,
        }
    }
}

pub(crate) fn by_branch<S: Serializer>(
    layers: &[f64; 3],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut branches = serializer.serialize_struct("Layers", layers.len())?;
    for (name, layers) in ["image", "text", "decoder"].into_iter().zip(layers) {
        branches.serialize_field(name, layers)?;
    }
    branches.end()
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// A share in percent, with its interval.
pub(crate) fn spread(interval: Interval) -> String {
    let [estimate, low, high] =
        [interval.estimate, interval.low, interval.high].map(|share| 100.0 * share);
    format!("{estimate:.1}% ({low:.1} to {high:.1})")
}

/// A retention, where there is anything to keep.
pub(crate) fn kept(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "nothing to keep".into(), spread)
}

//! What an evaluation says: to programs as JSON, to people as a table.

use std::fmt::Write;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{Interval, Quality};

/// What was found for one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskReport {
    /// Samples answered.
    pub samples: usize,
    /// Samples timed one at a time, the first of the data.
    pub timed_samples: usize,
    /// At full depth.
    pub full: Side,
    /// With exits.
    pub exit: Side,
    /// Quality with exits relative to full depth; none if full depth has no quality at all.
    pub retention: Option<f64>,
    /// Share of full depth's multiply-accumulates that exits save.
    pub macs_saved: f64,
    /// Share of full depth's median time for one request that exits save.
    pub wall_saved: f64,
    /// How sure these three are.
    pub intervals: Intervals,
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
    /// Median milliseconds of one request at a time.
    pub wall_ms_p50: f64,
    /// Samples per second, batched as the server does.
    pub samples_per_s: f64,
}

/// 95% intervals, by bootstrap over samples.
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
        intervals: Intervals,
        (samples, timed_samples): (usize, usize),
    ) -> Self {
        Self {
            samples,
            timed_samples,
            full,
            exit,
            retention: intervals.retention.map(|interval| interval.estimate),
            macs_saved: intervals.macs_saved.estimate,
            wall_saved: intervals.wall_saved.estimate,
            intervals,
        }
    }
}

fn by_branch<S: Serializer>(layers: &[f64; 3], serializer: S) -> Result<S::Ok, S::Error> {
    let mut branches = serializer.serialize_struct("Layers", layers.len())?;
    for (name, layers) in ["image", "text", "decoder"].into_iter().zip(layers) {
        branches.serialize_field(name, layers)?;
    }
    branches.end()
}

/// The report of a task as a Markdown table.
pub fn markdown(task: &str, report: &TaskReport) -> String {
    let TaskReport { full, exit, intervals, .. } = report;
    let mut table = format!(
        "### {task}, {} samples\n\n| | full depth | exits | exits against full depth |\n|---|---|---|---|\n",
        report.samples
    );
    let mut row = |name: &str, cell: &dyn Fn(&Side) -> String, compared: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {name} | {} | {} | {compared} |", cell(full), cell(exit));
    };
    let kept = intervals.retention.map_or_else(|| "nothing to keep".into(), |it| share(it, "kept"));
    match &full.quality {
        Quality::Entailment { families, .. } => {
            row("accuracy", &|side| format!("{:.4}", side.quality.main()), kept);
            for family in families.keys() {
                row(&format!("accuracy, {family}"), &|side| of_family(side, family), String::new());
            }
        }
        Quality::Caption { .. } => {
            row("CIDEr-D", &|side| format!("{:.3}", side.quality.main()), kept);
            row("exact match", &exact_match, String::new());
        }
    }
    let layers = |side: &Side| side.layers.map(|layers| format!("{layers:.2}")).join(" / ");
    row("layers, image / text / decoder", &layers, String::new());
    let mega = |side: &Side| format!("{:.2}", side.macs / 1e6);
    row("MMAC per request", &mega, share(intervals.macs_saved, "saved"));
    let clock = format!("ms for one request (median of {})", report.timed_samples);
    let wall = share(intervals.wall_saved, "saved");
    row(&clock, &|side| format!("{:.2}", side.wall_ms_p50), wall);
    let faster = format!("{:.2} times as many", exit.samples_per_s / full.samples_per_s);
    row("samples/s, batched", &|side| format!("{:.1}", side.samples_per_s), faster);
    table
}

fn share(interval: Interval, what: &str) -> String {
    let [estimate, low, high] =
        [interval.estimate, interval.low, interval.high].map(|share| 100.0 * share);
    format!("{estimate:.1}% {what} ({low:.1} to {high:.1})")
}

fn of_family(side: &Side, family: &str) -> String {
    match &side.quality {
        Quality::Entailment { families, .. } => {
            families.get(family).map(|accuracy| format!("{accuracy:.4}")).unwrap_or_default()
        }
        Quality::Caption { .. } => String::new(),
    }
}

fn exact_match(side: &Side) -> String {
    match &side.quality {
        Quality::Caption { exact_match, .. } => format!("{exact_match:.4}"),
        Quality::Entailment { .. } => String::new(),
    }
}

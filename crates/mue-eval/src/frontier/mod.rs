//! One frontier of exit rules on the same weights.
//!
//! Operating points of every family are chosen on one set of samples ([`choose`]), then really run
//! on another ([`rows`]) in one pass with full depth, and beside every static truncation there is.

mod choose;
mod findings;
mod rows;
mod rule;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use mue_data::datasets::Task;
use mue_engine::{Engine, ExitRules};
use serde::Serialize;

use crate::measure::ExitLayers;
use crate::search::undominated;
use crate::{Bootstrap, EvalData, EvalError, Interval, Quality};
use choose::choose;

pub use findings::findings;
pub use rule::Rule;
pub(crate) use rule::in_words;
pub(crate) use table::{
    GRID_COLUMNS, cells, columns, grid_cells, percent_of_level, quality, row_name,
};

/// A model that takes part.
#[derive(Clone, Copy)]
pub struct Contender<'a> {
    /// What its rows are called; none for the model that the frontier is about.
    pub name: Option<&'a str>,
    /// For answers; an image cache makes it faster.
    pub engine: &'a Engine,
    /// For wall-clock; it must not have an image cache.
    pub clock: &'a Engine,
}

/// How to compare.
pub struct FrontierPlan<'a> {
    /// Samples that are timed one at a time, the first of the data.
    pub timed: usize,
    /// How the intervals are made.
    pub bootstrap: Bootstrap,
    /// Hears what is done, and how many of how many samples.
    pub progress: &'a dyn Fn(&str, usize, usize),
}

/// Exit rules of one task side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frontier {
    /// The question.
    #[serde(skip)]
    pub task: Task,
    /// The data that operating points were chosen on.
    pub tuned_on: String,
    /// Samples of it that were answered.
    pub tuning_samples: usize,
    /// Samples that were answered.
    pub samples: usize,
    /// Samples that were timed one at a time, the first of the data.
    pub timed_samples: usize,
    /// What was run, full depth first.
    pub rows: Vec<Row>,
    /// Every static truncation of the model.
    pub static_grid: Vec<GridPoint>,
    /// Tuned rules against static truncation that was tuned to the same level.
    pub comparisons: Vec<Comparison>,
}

/// Rules, how good they are and what they cost. Intervals are at the plan's confidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Their family.
    pub rule: Rule,
    /// Whose they are, if not the model's that the frontier is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The retention on the tuning data that they are the cheapest of their family for.
    pub levels: Vec<f64>,
    /// How each branch exits.
    pub exits: ExitRules,
    /// The scores.
    pub quality: Quality,
    /// Quality relative to the model's full depth; none if that has no quality at all.
    pub retention: Option<Interval>,
    /// Mean layers run: image, text, decoder (over all its steps).
    #[serde(serialize_with = "crate::report::by_branch")]
    pub layers: [f64; 3],
    /// Rows that left at each layer.
    pub exit_layers: ExitLayers,
    /// Share of all layers that are not run, which is how the paper counts. The branch of a
    /// constant prompt is not among them, and a joint encoder's layers are there once.
    pub layers_saved: f64,
    /// Mean multiply-accumulates of a request.
    pub macs: f64,
    /// Share of those of the model's full depth that are saved.
    pub macs_saved: Interval,
    /// Median milliseconds of one request at a time.
    pub wall_ms_p50: f64,
    /// Share of the model's full depth that is saved.
    pub wall_saved: Interval,
    /// The cheapest static truncation that keeps as much, chosen in hindsight on the same samples.
    pub hindsight: Option<GridPoint>,
}

/// A static truncation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GridPoint {
    /// How each branch exits.
    pub exits: ExitRules,
    /// Quality relative to full depth.
    pub retention: f64,
    /// Mean multiply-accumulates of a request.
    pub macs: f64,
    /// Share of full depth's that are saved.
    pub macs_saved: f64,
}

/// Tuned rules against static truncation, both the cheapest that keep a level on the tuning data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The level.
    pub level: f64,
    /// Which rules.
    pub rule: Rule,
    /// Share of static truncation's multiply-accumulates that they save; below 0 they cost more.
    pub macs_less: Interval,
    /// The same of its time for one request.
    pub wall_less: Interval,
}

/// Compares exit rules of one model, and the full depth and MuE's rule of others.
///
/// All models have to take pictures of one size.
///
/// # Errors
///
/// If a sample cannot be read, asked or answered.
pub fn frontier(
    (model, others): (&Contender<'_>, &[Contender<'_>]),
    (tune, data): (&EvalData, &EvalData),
    plan: &FrontierPlan<'_>,
) -> Result<Frontier, EvalError> {
    let (choices, baselines) =
        choose(model, tune, (&Rule::tuned().collect::<Vec<_>>(), None), plan.progress)?;
    let mut entries = rows::of_model(model, data.task(), choices);
    for other in others {
        let mue = (&[Rule::Mue][..], Some(baselines));
        let (choices, _) = choose(other, tune, mue, plan.progress)?;
        entries.extend(rows::of_other(other, choices));
    }
    rows::measure(model, ((tune.name(), baselines.samples), data), entries, plan)
}

impl Frontier {
    /// Full depth of the model that the frontier is about.
    pub fn full(&self) -> Option<&Row> {
        self.of_rule(Rule::Full).next()
    }

    /// Rows of the model itself.
    pub(crate) fn of_rule(&self, rule: Rule) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.rule == rule && row.model.is_none())
    }

    /// The row that was tuned to a level.
    pub(crate) fn at(&self, rule: Rule, level: f64) -> Option<&Row> {
        self.of_rule(rule).find(|row| row.levels.contains(&level))
    }

    pub(crate) fn comparison(&self, rule: Rule, level: f64) -> Option<&Comparison> {
        self.comparisons.iter().find(|it| it.rule == rule && it.level == level)
    }

    /// Static truncations that no cheaper one matches, from the safest to the cheapest, of those
    /// that keep nine tenths.
    pub(crate) fn static_frontier(&self) -> impl Iterator<Item = &GridPoint> {
        let enough = self.static_grid.iter().filter(|point| point.retention >= 0.9);
        // The grid is sorted by cost.
        undominated(enough, |point| point.retention).into_iter()
    }

    /// The cheapest static truncation that keeps so much on the samples themselves.
    pub(crate) fn cheapest_static(&self, retention: f64) -> Option<&GridPoint> {
        rows::cheapest_static(&self.static_grid, retention)
    }
}

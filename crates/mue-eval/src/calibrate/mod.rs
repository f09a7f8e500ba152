//! Which exits keep a promised quality: search on some samples, certify on others.
//!
//! The search sees the first samples only. Entailment is one pass, so a table of every static
//! branch depth with the decoder watched tells exactly what any rules would have done ([`table`]);
//! captions feed their own words back, so their candidates are run ([`captions`]). What survives,
//! a ladder from the safest rules to the cheapest, is run on the other samples and certified by
//! fixed-sequence testing ([`certify`]).

mod captions;
mod certify;
mod rules;
mod table;

use mue_data::datasets::Task;
use mue_engine::{Encoding, Engine, ExitRules, TaskCalibration};

use crate::{EvalData, EvalError};

/// How to calibrate.
#[derive(Clone, Debug)]
pub struct CalibrationPlan {
    /// Samples to search on, the first of the data; the others certify.
    pub search: usize,
    /// What `auto` is to keep: quality relative to full depth.
    pub promise: f64,
    /// Confidence of the promise, between 0.5 and 1.
    pub confidence: f64,
    /// The promise is about the retention measured on so many fresh samples.
    pub fresh: usize,
    /// Rules that are certified, at most.
    pub points: usize,
}

/// Rules, and what the search found of them.
#[derive(Clone, Debug)]
struct Trial {
    rules: ExitRules,
    retention: f64,
    macs: f64,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
struct Found {
    /// Static truncation, and rules that look at each sample.
    any: Vec<Trial>,
    /// MuE as published: one similarity threshold per branch.
    mue: Vec<Trial>,
}

/// Layers of a model, and which branches of a task can leave on their own.
#[derive(Clone, Copy, Debug)]
struct Depths {
    encoder: usize,
    decoder: usize,
    /// Whether the text branch is encoded for each request and leaves on its own.
    text: bool,
}

/// Calibrates a model's exits for the task of the data.
///
/// `auto` are the cheapest rules whose bound keeps the promise, none if none does; `mue` the
/// cheapest of its kind that does, else the safest.
///
/// # Errors
///
/// If a sample cannot be read, asked or answered, or there are none to certify on.
pub fn calibrate(
    engine: &Engine,
    data: &EvalData,
    plan: &CalibrationPlan,
) -> Result<TaskCalibration, EvalError> {
    let config = engine.model().config();
    let is_apart = engine.model().settings().encoding == Encoding::Decomposed;
    let depths = Depths {
        encoder: config.encoder_layers,
        decoder: config.decoder_layers,
        text: is_apart && data.task() == Task::Entailment,
    };
    let found = match data.task() {
        Task::Entailment => table::search(engine, (data, plan.search), depths)?,
        Task::Caption => captions::search(engine, (data, plan), depths)?,
    };
    let ladder = certify::ladder(found.any, plan);
    let mue_ladder = certify::ladder(found.mue, plan);
    let points = certify::certify(engine, (data, plan), &ladder)?;
    let mue_points = certify::certify(engine, (data, plan), &mue_ladder)?;
    let mue = certify::cheapest(&mue_points, plan.promise).or(mue_points.first());
    Ok(TaskCalibration {
        auto: certify::cheapest(&points, plan.promise).map(|point| point.exits.clone()),
        mue: mue.map(|point| point.exits.clone()),
        points,
    })
}

//! Which exits keep a promised quality: search on some samples, certify on others.
//!
//! The search ([`crate::search`]) sees the first samples only. What survives, a ladder from the
//! safest rules to the cheapest, is run on the other samples and certified by fixed-sequence testing
//! ([`certify`]).

mod certify;

pub use certify::CONFIDENCE_MAX;

use mue_engine::{Engine, OperatingPoint, TaskCalibration};

use crate::search::{Candidates, Depths, Ground, Search};
use crate::{EvalData, EvalError};

/// How to calibrate.
#[derive(Clone, Debug)]
pub struct CalibrationPlan {
    /// Samples to search on, the first of the data; those of other pictures certify.
    pub search: usize,
    /// What `auto` is to keep: quality relative to full depth.
    pub promise: f64,
    /// Confidence of the promise, between 0.5 and [`CONFIDENCE_MAX`].
    pub confidence: f64,
    /// The promise is about the retention measured on so many fresh samples.
    pub fresh: usize,
    /// Rules that are certified, at most.
    pub points: usize,
}

/// How far below the promise image rules may be for their decoder rules to be tried.
const MARGIN: f64 = 0.05;

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
    let (task, samples) = (data.task(), plan.search);
    let depths = Depths::of(engine, task);
    let mut search = Search::begin(Ground { engine, data, samples, progress: &|_, _| () })?;
    let (watched, floor) = (search.watched(), plan.promise - MARGIN);
    let mut any = search.trials(&Candidates::any(&watched, depths, task), floor)?;
    any.extend(search.trials(&Candidates::deferring(&watched, depths, task), floor)?);
    let mue = search.trials(&Candidates::mue(&watched, depths, task), floor)?;
    let (ladder, mue_ladder) = (certify::ladder(any, plan), certify::ladder(mue, plan));
    let points = certify::certify(engine, (data, plan), &ladder)?;
    let mue_points = certify::certify(engine, (data, plan), &mue_ladder)?;
    let mue = OperatingPoint::cheapest(&mue_points, plan.promise).or(mue_points.first());
    Ok(TaskCalibration {
        auto: OperatingPoint::cheapest(&points, plan.promise).map(|point| point.exits.clone()),
        mue: mue.cloned(),
        points,
    })
}

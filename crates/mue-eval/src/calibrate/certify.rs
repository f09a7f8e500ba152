//! Which of the rules found keep how much, at a stated confidence.
//!
//! Rules are ordered from the safest to the cheapest by the search, whose samples the certificate
//! does not use. Each has a lower bound of its own; what it may promise is the lowest bound up to
//! its place. So for every quality that may be asked, the rules that promise it are those that
//! fixed-sequence testing accepts (Angelopoulos et al., "Learn then test", 2021, section 3), and
//! the chance that any of them keeps less is at most one minus the confidence, however many there
//! are and whichever is chosen.
//!
//! A bound is the paired bootstrap's for the retention measured on fresh samples
//! ([`Bootstrap::fresh_ratio_low`]) over pictures, since what is asked about one picture is not
//! independent, with one picture added on which everything is lost, so that data without a loss does
//! not promise that there is none. It is an approximation for large samples;
//! Hoeffding-Bentkus, which is exact, needs far more of them, since it does not see that the two
//! scores of a sample hardly ever differ.

use mue_engine::{Engine, ExitChoice, OperatingPoint};

use super::CalibrationPlan;
use crate::measure::{layers, macs, mean, sums_by_picture};
use crate::search::{Trial, frontier};
use crate::{Bootstrap, BootstrapError, EvalData, EvalError, Pair, answer, score};

const DRAWS: usize = 4_000;

/// The highest confidence that so many draws can tell of: ten of them lie beyond its rarest bound, that of
/// fresh samples, which leaves a third of what is left of the confidence.
pub const CONFIDENCE_MAX: f64 = 1.0 - 30.0 / DRAWS as f64;

/// The frontier of quality and compute, from the safest rules to the cheapest.
pub(super) fn ladder(trials: Vec<Trial>, plan: &CalibrationPlan) -> Vec<Trial> {
    // Nobody asks for a tenth less than what is promised.
    frontier(trials, (plan.promise - 0.1, plan.points))
}

/// Runs a ladder of rules on the samples that the search has not seen.
pub(super) fn certify(
    engine: &Engine,
    (data, plan): (&EvalData, &CalibrationPlan),
    ladder: &[Trial],
) -> Result<Vec<OperatingPoint>, EvalError> {
    let mut ways = vec![ExitChoice::Off];
    ways.extend(ladder.iter().map(|trial| ExitChoice::Rules(trial.rules.clone())));
    let mut answers = answer(engine, (data, plan.search..data.len()), &ways)?;
    // What the rules were chosen on is no evidence for them, whatever else is asked about it.
    answers.leave_out(&data.pictures(0..plan.search)?);
    let scored = score(&answers.truths, &answers.replies)?;
    let Some((full, exits)) = scored.split_first() else { return Ok(Vec::new()) };
    let macs_full = mean(answers.replies.iter().take(1).flatten().map(macs));
    let mut promised = f64::INFINITY;
    let mut points = Vec::with_capacity(ladder.len());
    for ((trial, exit), replies) in ladder.iter().zip(exits).zip(answers.replies.iter().skip(1)) {
        let both = exit.samples.iter().zip(&full.samples);
        let pairs: Vec<Pair> =
            both.map(|(value, baseline)| Pair { value: *value, baseline: *baseline }).collect();
        promised = bound((&answers.pictures, pairs), plan)?.min(promised);
        points.push(OperatingPoint {
            exits: trial.rules.clone(),
            retention: kept(exit.quality.main(), full.quality.main()),
            retention_low: promised,
            confidence: plan.confidence,
            fresh: plan.fresh,
            macs: mean(replies.iter().map(macs)),
            macs_full,
            layers: layers(replies),
            data: data.name().to_owned(),
            samples: exit.samples.len(),
        });
    }
    Ok(points)
}

/// What the retention on fresh samples is at least, where as many of them are about a picture.
fn bound(
    (pictures, pairs): (&[String], Vec<Pair>),
    plan: &CalibrationPlan,
) -> Result<f64, BootstrapError> {
    let samples = pairs.len();
    let mut pairs = sums_by_picture(pictures, pairs);
    let fresh = (plan.fresh * pairs.len()).div_ceil(samples.max(1));
    let baseline = mean(pairs.iter().map(|pair| pair.baseline));
    pairs.push(Pair { value: 0.0, baseline });
    // The low end of a two-sided interval is a one-sided bound at higher confidence.
    let confidence = 2.0 * plan.confidence - 1.0;
    let bootstrap = Bootstrap { draws: DRAWS, confidence, seed: 0 };
    match bootstrap.fresh_ratio_low(&pairs, fresh) {
        // Where full depth itself may be wrong throughout, nothing can be promised.
        Err(BootstrapError::NoBaseline) => Ok(0.0),
        low => low,
    }
}

/// A model without any quality keeps nothing.
fn kept(quality: f64, full: f64) -> f64 {
    if full > 0.0 { quality / full } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: CalibrationPlan =
        CalibrationPlan { search: 10, promise: 0.97, confidence: 0.95, fresh: 1_000, points: 3 };

    #[test]
    fn more_losses_promise_less_and_none_do_not_promise_all() {
        let pairs = |lost: usize| {
            let value = |place: usize| if place < lost { 0.0 } else { 1.0 };
            (0..2_000).map(|place| Pair { value: value(place), baseline: 1.0 }).collect()
        };
        let pictures: Vec<String> = (0..2_000).map(|place| place.to_string()).collect();
        let bound = |lost| bound((&pictures, pairs(lost)), &PLAN).unwrap();
        assert!(bound(0) < 1.0 && bound(0) > 0.995);
        assert!(bound(20) < 0.985 && bound(20) > 0.975, "1% lost, and the doubt beside it");
        assert!(bound(40) < bound(20));
    }

    #[test]
    fn the_same_sample_again_is_no_further_evidence() {
        let names = |pictures: usize, each: usize| -> Vec<String> {
            (0..pictures * each).map(|sample| (sample / each).to_string()).collect()
        };
        let pairs = |pictures: usize, each: usize| {
            let value = |picture: usize| if picture.is_multiple_of(50) { 0.0 } else { 1.0 };
            let samples = 0..pictures * each;
            samples.map(|sample| Pair { value: value(sample / each), baseline: 1.0 }).collect()
        };
        let plan = |fresh| CalibrationPlan { fresh, ..PLAN };
        let once = bound((&names(400, 1), pairs(400, 1)), &plan(100)).unwrap();
        let eightfold = bound((&names(400, 8), pairs(400, 8)), &plan(800)).unwrap();
        assert!((once - eightfold).abs() < 1e-12, "{once} {eightfold}");
        let apart = bound((&names(3_200, 1), pairs(400, 8)), &plan(800)).unwrap();
        assert!(apart > once + 0.005, "{apart} {once}");
    }
}

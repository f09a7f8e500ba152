//! Captions: a word decides those after it, so candidate rules are run and not read off.

use mue_engine::{BranchRule, Engine, ExitChoice, ExitRules, Reply};

use super::rules::{fixed, halves, single_thresholds, step_similarities, steps, sure};
use super::{CalibrationPlan, Depths, Found, Trial};
use crate::evaluation::{macs, mean};
use crate::{EvalData, EvalError, answer, score};

/// How far below the promise an image rule may be for its decoder rules to be tried.
const MARGIN: f64 = 0.05;

/// Image rules that are tried with every decoder rule, at most.
const IMAGES_MAX: usize = 4;

/// Searches rules on the first samples.
pub(super) fn search(
    engine: &Engine,
    (data, plan): (&EvalData, &CalibrationPlan),
    depths: Depths,
) -> Result<Found, EvalError> {
    let search = Search { engine, data, samples: plan.search };
    let watch =
        ExitRules { image: BranchRule::Watch, text: BranchRule::Full, decoder: BranchRule::Watch };
    let watched = search.run(vec![watch])?.remove(0).1;
    let image: Vec<Vec<f32>> =
        watched.iter().map(|reply| reply.exit().similarities.image.clone()).collect();
    let decoder = step_similarities(&watched);

    let images = [fixed(depths.encoder), halves(&image, depths.encoder)].concat();
    let mut decoders = fixed(depths.decoder - 1);
    // Entropy and patience are near top probability here, and each rule costs a run.
    let by_probability = |rule: &BranchRule| matches!(rule, BranchRule::Probability(_));
    decoders.extend(sure(&steps(&watched), depths.decoder).into_iter().filter(by_probability));
    let floor = plan.promise - MARGIN;
    let any = search.product((images, decoders), floor)?;
    let images = single_thresholds(&image, depths.encoder);
    let mue = search.product((images, single_thresholds(&decoder, depths.decoder)), floor)?;
    Ok(Found { any, mue })
}

struct Search<'a> {
    engine: &'a Engine,
    data: &'a EvalData,
    samples: usize,
}

impl Search<'_> {
    /// Image rules with a full decoder; then the cheapest that keep enough, with all decoder rules.
    fn product(
        &self,
        (images, decoders): (Vec<BranchRule>, Vec<BranchRule>),
        floor: f64,
    ) -> Result<Vec<Trial>, EvalError> {
        let rules = |image: &BranchRule, decoder: &BranchRule| ExitRules {
            image: image.clone(),
            text: BranchRule::Full,
            decoder: decoder.clone(),
        };
        let alone = images.iter().map(|image| rules(image, &BranchRule::Full)).collect();
        let mut trials: Vec<Trial> = self.run(alone)?.into_iter().map(|(trial, _)| trial).collect();
        trials.sort_by(|a, b| a.macs.total_cmp(&b.macs));
        let kept: Vec<BranchRule> = trials
            .iter()
            .filter(|trial| trial.retention >= floor)
            .take(IMAGES_MAX)
            .map(|trial| trial.rules.image.clone())
            .collect();
        let pairs =
            kept.iter().flat_map(|image| decoders.iter().map(move |decoder| rules(image, decoder)));
        trials.extend(self.run(pairs.collect())?.into_iter().map(|(trial, _)| trial));
        Ok(trials)
    }

    /// Runs rules on the samples, beside full depth.
    fn run(&self, rules: Vec<ExitRules>) -> Result<Vec<(Trial, Vec<Reply>)>, EvalError> {
        let mut ways = vec![ExitChoice::Off];
        ways.extend(rules.iter().cloned().map(ExitChoice::Rules));
        let answers = answer(self.engine, (self.data, 0..self.samples), &ways)?;
        let scored = score(&answers.truths, &answers.replies)?;
        let full = scored.first().map_or(0.0, |scored| scored.quality.main());
        let full = full.max(f64::MIN_POSITIVE);
        let tried = rules.into_iter().zip(scored.iter().zip(answers.replies).skip(1));
        let trials = tried.map(|(rules, (scored, replies))| {
            let retention = scored.quality.main() / full;
            (Trial { rules, retention, macs: mean(replies.iter().map(macs)) }, replies)
        });
        Ok(trials.collect())
    }
}

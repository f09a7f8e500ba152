//! Captions: a word decides those after it, so candidate rules are run and not read off.

use mue_engine::{BranchRule, ExitChoice, ExitRules, Reply};

use super::{Candidates, Ground, Trial};
use crate::answers::{Way, ask};
use crate::measure::{macs, mean};
use crate::{EvalError, score};

/// Static depths of the image branch that are tried with every decoder rule, at most.
const DEPTHS_MAX: usize = 4;

/// Other rules of the image branch, at most: those between the static depths are in reach.
const OTHERS_MAX: usize = 8;

/// Samples on which rules are run, and those that were.
pub(crate) struct Captions<'a> {
    ground: Ground<'a>,
    watched: Vec<Reply>,
    pub(super) baseline: f64,
    /// Rules cost a run, and families share some.
    known: Vec<Trial>,
}

impl<'a> Captions<'a> {
    /// Watches the samples at full depth.
    pub(super) fn begin(ground: Ground<'a>) -> Result<Self, EvalError> {
        let watch = BranchRule::Watch;
        let rules = ExitRules { image: watch.clone(), decoder: watch, ..ExitRules::default() };
        let mut search = Self { ground, watched: Vec::new(), baseline: 0.0, known: Vec::new() };
        let (quality, watched, _) = search.answer(vec![rules])?.remove(0);
        search.baseline = quality.max(f64::MIN_POSITIVE);
        search.watched = watched;
        Ok(search)
    }

    pub(super) fn watched(&self) -> &[Reply] {
        &self.watched
    }

    /// Image rules with a full decoder; then those that keep enough, with all decoder rules.
    pub(super) fn product(
        &mut self,
        candidates: &Candidates,
        floor: f64,
    ) -> Result<Vec<Trial>, EvalError> {
        let alone = candidates.images.iter().map(|image| rules(image, &BranchRule::Full));
        let mut trials = self.run(alone.collect())?;
        trials.sort_by(|a, b| a.macs.total_cmp(&b.macs));
        let enough = trials.iter().filter(|trial| trial.retention >= floor);
        let is_fixed = |trial: &&Trial| matches!(trial.rules.image, BranchRule::Fixed(_));
        let (fixed, others): (Vec<&Trial>, Vec<&Trial>) = enough.partition(is_fixed);
        let kept: Vec<BranchRule> = fixed
            .into_iter()
            .take(DEPTHS_MAX)
            .chain(others.into_iter().take(OTHERS_MAX))
            .map(|trial| trial.rules.image.clone())
            .collect();
        let pairs = Candidates { images: kept, ..candidates.clone() };
        trials.extend(self.all(&pairs)?);
        Ok(trials)
    }

    /// Every image rule with every decoder rule.
    pub(super) fn all(&mut self, candidates: &Candidates) -> Result<Vec<Trial>, EvalError> {
        let Candidates { images, decoders, .. } = candidates;
        let with = |image| decoders.iter().map(move |decoder| rules(image, decoder));
        self.run(images.iter().flat_map(with).collect())
    }

    /// Runs rules on the samples, each once in the life of the search.
    pub(crate) fn run(&mut self, rules: Vec<ExitRules>) -> Result<Vec<Trial>, EvalError> {
        let mut open: Vec<ExitRules> = Vec::new();
        for rules in &rules {
            if !self.known.iter().any(|trial| trial.rules == *rules) && !open.contains(rules) {
                open.push(rules.clone());
            }
        }
        let answered = self.answer(open.clone())?;
        for (rules, (quality, _, macs)) in open.into_iter().zip(answered) {
            self.known.push(Trial { rules, retention: quality, macs });
        }
        let found = rules.iter().filter_map(|rules| {
            let known = self.known.iter().find(|trial| trial.rules == *rules)?;
            Some(Trial { retention: known.retention / self.baseline, ..known.clone() })
        });
        Ok(found.collect())
    }

    /// Quality, replies and cost of each.
    fn answer(&self, rules: Vec<ExitRules>) -> Result<Vec<(f64, Vec<Reply>, f64)>, EvalError> {
        let Ground { engine, data, samples, progress } = self.ground;
        let ways: Vec<Way<'_>> =
            rules.into_iter().map(|rules| Way { engine, exit: ExitChoice::Rules(rules) }).collect();
        if ways.is_empty() {
            return Ok(Vec::new());
        }
        let answers = ask(&ways, (data, 0..samples), progress)?;
        let scored = score(&answers.truths, &answers.replies)?;
        let answered = scored.into_iter().zip(answers.replies).map(|(scored, replies)| {
            let cost = mean(replies.iter().map(macs));
            (scored.quality.main(), replies, cost)
        });
        Ok(answered.collect())
    }
}

fn rules(image: &BranchRule, decoder: &BranchRule) -> ExitRules {
    ExitRules { image: image.clone(), decoder: decoder.clone(), ..ExitRules::default() }
}

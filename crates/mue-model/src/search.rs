//! Beam search as OFA does it; greedy decoding is a beam of one.
//!
//! Plain data in, plain data out: one [`BeamSearch`] belongs to one request and sees the logits of
//! its rows. The rules are fairseq's.

use std::cmp::Ordering;

use crate::host;

/// How an answer is searched for.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchSettings {
    /// Hypotheses kept at each step, and returned.
    pub beam_size: usize,
    /// Most tokens of an answer, the end of sequence not counted.
    pub tokens_max: usize,
    /// Fewest tokens before the end of sequence is allowed.
    pub tokens_min: usize,
    /// No n-gram of this length may occur twice; 0 allows all.
    pub no_repeat_ngram_size: usize,
    /// Scores are divided by `length ^ length_penalty`.
    pub length_penalty: f32,
}

impl Default for SearchSettings {
    /// OFA's captioning settings.
    fn default() -> Self {
        Self {
            beam_size: 5,
            tokens_max: 16,
            tokens_min: 1,
            no_repeat_ngram_size: 3,
            length_penalty: 1.0,
        }
    }
}

/// Ids with a meaning to the search.
#[derive(Clone, Copy, Debug)]
pub struct SpecialTokens {
    /// The decoder starts with it.
    pub bos: u32,
    /// Never generated.
    pub pad: u32,
    /// Ends a hypothesis.
    pub eos: u32,
}

/// A finished answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// Generated ids, with the end of sequence, without the beginning.
    pub tokens: Vec<u32>,
    /// Log-probability of each token.
    pub log_probs: Vec<f32>,
    /// Sum of the log-probabilities over `length ^ length_penalty`.
    pub score: f32,
}

/// The model put out a number that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model computed a logit that is not finite")]
pub struct NonFiniteLogits;

#[derive(Clone, Debug)]
struct Beam {
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
    cumulative: f32,
}

/// A possible next token of one beam.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    beam: usize,
    token: u32,
    log_prob: f32,
    cumulative: f32,
}

/// What follows from one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// Row `i` of the next step continues row `parents[i]` of this one.
    Continue {
        /// One parent per live beam.
        parents: Vec<usize>,
    },
    /// The answer is complete.
    Done,
}

/// The search of one request.
#[derive(Clone, Debug)]
pub(crate) struct BeamSearch {
    settings: SearchSettings,
    special: SpecialTokens,
    beams: Vec<Beam>,
    finished: Vec<Hypothesis>,
}

impl BeamSearch {
    /// A search that has generated nothing yet and has one row.
    pub(crate) fn new(settings: SearchSettings, special: SpecialTokens) -> Self {
        let start = Beam { tokens: Vec::new(), log_probs: Vec::new(), cumulative: 0.0 };
        Self { settings, special, beams: vec![start], finished: Vec::new() }
    }

    /// Rows that the next step computes: one at first, then one per beam.
    pub(crate) fn rows(&self) -> usize {
        self.beams.len()
    }

    /// Tokens generated so far.
    pub(crate) fn step(&self) -> usize {
        self.beams.first().map_or(0, |beam| beam.tokens.len())
    }

    /// The last `count` tokens of each row, the start token included, padded in front.
    pub(crate) fn prefixes(&self, count: usize, pad: u32) -> impl Iterator<Item = Vec<u32>> {
        let bos = self.special.bos;
        self.beams.iter().map(move |beam| {
            let missing = count.saturating_sub(beam.tokens.len() + 1);
            let tokens = std::iter::once(bos).chain(beam.tokens.iter().copied());
            let skipped = (beam.tokens.len() + 1).saturating_sub(count);
            std::iter::repeat_n(pad, missing).chain(tokens.skip(skipped)).collect()
        })
    }

    /// The best live hypothesis' tokens.
    pub(crate) fn best_tokens(&self) -> &[u32] {
        self.beams.first().map_or(&[], |beam| &beam.tokens)
    }

    /// Finished hypotheses, best first.
    pub(crate) fn into_hypotheses(mut self) -> Vec<Hypothesis> {
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished
    }

    /// Takes one step; `logits` holds a row of the vocabulary for each of [`rows`](Self::rows).
    ///
    /// Candidates are the `2 * beam_size` best (beam, token) pairs by cumulative log-probability.
    /// An end of sequence among the first `beam_size` finishes its hypothesis; the first
    /// `beam_size` others go on.
    ///
    /// # Errors
    ///
    /// If a logit is NaN or positive infinity, or no token of a row has any probability.
    pub(crate) fn advance(&mut self, logits: &[&[f32]]) -> Result<Advance, NonFiniteLogits> {
        let step = self.step();
        let mut candidates = Vec::new();
        for (beam, row) in logits.iter().enumerate() {
            self.candidates(beam, row, &mut candidates)?;
        }
        candidates.sort_by(order);
        let width = self.settings.beam_size;
        candidates.truncate(2 * width);
        for candidate in candidates.iter().take(width) {
            if candidate.token == self.special.eos && self.finished.len() < width {
                self.finish(*candidate);
            }
        }
        if self.finished.len() >= width || step >= self.settings.tokens_max {
            self.beams.clear();
            return Ok(Advance::Done);
        }
        let going_on =
            candidates.iter().filter(|candidate| candidate.token != self.special.eos).take(width);
        let (beams, parents): (Vec<_>, Vec<_>) =
            going_on.map(|candidate| (self.extended(*candidate), candidate.beam)).unzip();
        self.beams = beams;
        match self.beams.is_empty() {
            true => Ok(Advance::Done),
            false => Ok(Advance::Continue { parents }),
        }
    }

    /// Adds the best `2 * beam_size` allowed tokens of one row.
    fn candidates(
        &self,
        beam: usize,
        logits: &[f32],
        candidates: &mut Vec<Candidate>,
    ) -> Result<(), NonFiniteLogits> {
        let log_sum = log_sum_exp(logits)?;
        let Beam { tokens, cumulative, .. } = &self.beams[beam];
        let candidate = |token: u32| {
            let log_prob = logits[token as usize] - log_sum;
            Candidate { beam, token, log_prob, cumulative: cumulative + log_prob }
        };
        if tokens.len() >= self.settings.tokens_max {
            candidates.push(candidate(self.special.eos));
            return Ok(());
        }
        let mut banned = self.repeated(tokens);
        banned.push(self.special.pad);
        if tokens.len() < self.settings.tokens_min {
            banned.push(self.special.eos);
        }
        let best = best_tokens(logits, 2 * self.settings.beam_size, &banned);
        candidates.extend(best.into_iter().map(candidate));
        Ok(())
    }

    /// Tokens that would complete an n-gram that occurred before, the start token included.
    fn repeated(&self, tokens: &[u32]) -> Vec<u32> {
        let size = self.settings.no_repeat_ngram_size;
        let history: Vec<u32> =
            std::iter::once(self.special.bos).chain(tokens.iter().copied()).collect();
        if size == 0 || history.len() < size {
            return Vec::new();
        }
        let prefix = &history[history.len() + 1 - size..];
        history
            .windows(size)
            .filter(|ngram| &ngram[..size - 1] == prefix)
            .map(|ngram| ngram[size - 1])
            .collect()
    }

    fn finish(&mut self, candidate: Candidate) {
        let Beam { tokens, log_probs, cumulative } = self.extended(candidate);
        let score = cumulative / (tokens.len() as f32).powf(self.settings.length_penalty);
        self.finished.push(Hypothesis { tokens, log_probs, score });
    }

    fn extended(&self, candidate: Candidate) -> Beam {
        let mut beam = self.beams[candidate.beam].clone();
        beam.tokens.push(candidate.token);
        beam.log_probs.push(candidate.log_prob);
        beam.cumulative = candidate.cumulative;
        beam
    }
}

/// Best first; of equals the earlier beam and the smaller id.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    b.cumulative.total_cmp(&a.cumulative).then(a.beam.cmp(&b.beam)).then(a.token.cmp(&b.token))
}

/// Logarithm of the sum of exponentials.
pub(crate) fn log_sum_exp(logits: &[f32]) -> Result<f32, NonFiniteLogits> {
    let max = host::max(logits);
    let log_sum = max + host::sum_exp(logits, max).ln() as f32;
    if log_sum.is_finite() { Ok(log_sum) } else { Err(NonFiniteLogits) }
}

/// Ids of the largest logits that are not banned, best first.
fn best_tokens(logits: &[f32], count: usize, banned: &[u32]) -> Vec<u32> {
    /// Logits that are passed over together where none of them enters.
    const TOGETHER: usize = 256;
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
    let enters = |best: &[(f32, u32)], logit: f32| {
        best.len() < count || best.last().is_some_and(|worst| logit > worst.0)
    };
    for (part, logits) in logits.chunks(TOGETHER).enumerate() {
        if !enters(&best, host::max(logits)) {
            continue;
        }
        for (id, &logit) in (TOGETHER * part..).zip(logits) {
            let id = id as u32;
            if enters(&best, logit) && !banned.contains(&id) {
                let place = best.partition_point(|other| other.0 >= logit);
                best.insert(place, (logit, id));
                best.truncate(count);
            }
        }
    }
    best.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: SpecialTokens = SpecialTokens { bos: 0, pad: 1, eos: 2 };

    fn settings(beam_size: usize) -> SearchSettings {
        SearchSettings { beam_size, tokens_max: 3, no_repeat_ngram_size: 0, ..Default::default() }
    }

    #[test]
    fn greedy_takes_the_best_allowed_token_and_stops_at_the_end() {
        let mut search = BeamSearch::new(settings(1), SPECIAL);
        assert_eq!(search.prefixes(2, 1).collect::<Vec<_>>(), [[1, 0]]);
        let logits = [0.0, 9.0, 5.0, 1.0, 2.0];
        assert_eq!(search.advance(&[&logits]), Ok(Advance::Continue { parents: vec![0] }));
        assert_eq!(search.best_tokens(), [4], "neither padding nor an empty answer");
        assert_eq!(search.advance(&[&[0.0, 0.0, 3.0, 1.0, 2.0]]), Ok(Advance::Done));
        let hypotheses = search.into_hypotheses();
        assert_eq!(hypotheses[0].tokens, [4, 2]);
        let expected = 2.0 - log_sum_exp(&logits).unwrap();
        assert!((hypotheses[0].log_probs[0] - expected).abs() < 1e-6);
    }

    #[test]
    fn the_last_step_allows_only_the_end() {
        let mut search = BeamSearch::new(settings(1), SPECIAL);
        for _ in 0..3 {
            assert!(matches!(
                search.advance(&[&[0.0, 0.0, 0.0, 1.0]]),
                Ok(Advance::Continue { .. })
            ));
        }
        assert_eq!(search.advance(&[&[0.0, 0.0, -9.0, 1.0]]), Ok(Advance::Done));
        assert_eq!(search.into_hypotheses()[0].tokens, [3, 3, 3, 2]);
    }

    #[test]
    fn an_ngram_is_not_repeated() {
        let settings = SearchSettings { no_repeat_ngram_size: 2, tokens_max: 9, ..settings(1) };
        let mut search = BeamSearch::new(settings, SPECIAL);
        let logits = [0.0, 0.0, -9.0, 5.0, 4.0];
        for _ in 0..4 {
            search.advance(&[&logits]).unwrap();
        }
        assert_eq!(search.best_tokens(), [3, 3, 4, 3], "3 3 has been; then 4; 4 3 is new");
        search.advance(&[&logits]).unwrap();
        assert_eq!(search.best_tokens()[4], 0, "neither 3 3 nor 3 4 again");
    }

    #[test]
    fn beams_branch_from_the_best_parents() {
        let mut search = BeamSearch::new(settings(2), SPECIAL);
        search.advance(&[&[0.0, 0.0, -9.0, 2.0, 1.9]]).unwrap();
        assert_eq!(search.rows(), 2);
        let flat = [0.0, 0.0, -9.0, 0.0, 0.0];
        let sharp = [0.0, 0.0, -9.0, 9.0, 8.9];
        let advance = search.advance(&[&flat, &sharp]).unwrap();
        assert_eq!(advance, Advance::Continue { parents: vec![1, 1] });
        assert_eq!(search.best_tokens(), [4, 3]);
    }

    #[test]
    fn the_best_tokens_are_found_wherever_they_are() {
        let logits: Vec<f32> = (0..2_000).map(|id| ((id * 617) % 1_999) as f32).collect();
        let mut expected: Vec<u32> = (0..2_000).filter(|id| *id != 1_000).collect();
        expected.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
        assert_eq!(best_tokens(&logits, 10, &[1_000]), expected[..10]);
    }

    #[test]
    fn a_number_that_is_none_is_an_error() {
        let mut search = BeamSearch::new(settings(1), SPECIAL);
        assert_eq!(search.advance(&[&[0.0, f32::NAN, 0.0]]), Err(NonFiniteLogits));
        assert_eq!(search.advance(&[&[0.0, f32::INFINITY, 0.0]]), Err(NonFiniteLogits));
    }
}

//! Captions against their references: all scores of the COCO caption evaluation at once.

use crate::bleu::{BleuCounts, BleuReferences};
use crate::cider::CiderCorpus;
use crate::rouge::rouge_l;
use crate::tokenize;
use serde::Serialize;
use thiserror::Error;

/// A caption to score.
#[derive(Clone, Copy, Debug)]
pub struct CaptionSample<'a> {
    /// The picture's number in its data set.
    pub id: u64,
    /// The caption to score.
    pub candidate: &'a str,
    /// What people wrote, the canonical caption first where there is one.
    pub references: &'a [String],
}

/// Why captions cannot be scored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScoreError {
    /// A mean of nothing.
    #[error("there are no samples to score")]
    NoSamples,
    /// A sample without a reference.
    #[error("sample {place} has no references")]
    NoReferences {
        /// Its place, from 0.
        place: usize,
    },
    /// Candidates and references belong to different data.
    #[error("there are {candidates} candidates for {samples} samples")]
    CandidateCount {
        /// How many candidates were given.
        candidates: usize,
        /// How many samples there are.
        samples: usize,
    },
}

/// The scores of one caption.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SampleScores {
    /// BLEU-1 to BLEU-4.
    pub bleu: [f64; 4],
    /// ROUGE-L.
    pub rouge_l: f64,
    /// Plain CIDEr.
    pub cider: f64,
    /// CIDEr-D: what COCO publishes as "CIDEr".
    pub cider_d: f64,
    /// Whether it is, word for word, the first reference.
    pub is_exact: bool,
}

/// The scores of a set of captions.
///
/// All are means over samples but BLEU, which counts over the whole corpus. Fractions, not
/// percent; CIDEr and CIDEr-D are 0 to 10, as `pycocoevalcap` prints them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaptionScores {
    /// BLEU-1 to BLEU-4 of the corpus.
    pub bleu: [f64; 4],
    /// Mean ROUGE-L.
    pub rouge_l: f64,
    /// Mean plain CIDEr.
    pub cider: f64,
    /// Mean CIDEr-D: what COCO publishes as "CIDEr".
    pub cider_d: f64,
    /// Share of captions that are, word for word, their first reference.
    pub exact_match: f64,
    /// Per sample, in the order given, for resampling.
    pub samples: Vec<SampleScores>,
}

/// References, made ready once to score many sets of captions.
///
/// Building it tokenizes and weighs every reference; scoring then costs only the candidates.
#[derive(Clone, Debug)]
pub struct CaptionCorpus {
    references: Vec<Vec<Vec<String>>>,
    bleu: Vec<BleuReferences>,
    cider: CiderCorpus,
}

impl CaptionCorpus {
    /// Prepares the references of each sample.
    ///
    /// # Errors
    /// If there are no samples, or one has no references.
    pub fn new(references: &[&[String]]) -> Result<Self, ScoreError> {
        if references.is_empty() {
            return Err(ScoreError::NoSamples);
        }
        if let Some(place) = references.iter().position(|sample| sample.is_empty()) {
            return Err(ScoreError::NoReferences { place });
        }
        let references: Vec<Vec<Vec<String>>> = references
            .iter()
            .map(|sample| sample.iter().map(|text| tokenize(text)).collect())
            .collect();
        let cider = CiderCorpus::new(&references);
        let bleu = references.iter().map(|r| BleuReferences::new(cider.index(), r)).collect();
        Ok(Self { references, bleu, cider })
    }

    /// How many samples there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a corpus is never empty")]
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// The weighted references, to score single sentences by CIDEr alone.
    pub fn cider(&self) -> &CiderCorpus {
        &self.cider
    }

    /// Scores one candidate for every sample, in the order of the references.
    ///
    /// # Errors
    /// If there are more or fewer candidates than samples.
    pub fn score<S: AsRef<str>>(&self, candidates: &[S]) -> Result<CaptionScores, ScoreError> {
        if candidates.len() != self.len() {
            let (candidates, samples) = (candidates.len(), self.len());
            return Err(ScoreError::CandidateCount { candidates, samples });
        }
        let mut corpus = BleuCounts::default();
        let mut samples = Vec::with_capacity(self.len());
        for (place, candidate) in candidates.iter().enumerate() {
            let (counts, scores) = self.score_one(place, &tokenize(candidate.as_ref()));
            corpus.add(&counts);
            samples.push(scores);
        }
        Ok(CaptionScores::new(corpus.score(), samples))
    }

    fn score_one(&self, place: usize, candidate: &[String]) -> (BleuCounts, SampleScores) {
        let references = &self.references[place];
        let counts = self.bleu[place].count(self.cider.index(), candidate);
        let cider = self.cider.score(place, candidate).unwrap_or_default();
        let scores = SampleScores {
            bleu: counts.score(),
            rouge_l: rouge_l(candidate, references),
            cider: cider.cider,
            cider_d: cider.cider_d,
            is_exact: references[0] == candidate,
        };
        (counts, scores)
    }
}

impl CaptionScores {
    fn new(bleu: [f64; 4], samples: Vec<SampleScores>) -> Self {
        let mean = |value: fn(&SampleScores) -> f64| {
            samples.iter().map(value).sum::<f64>() / samples.len() as f64
        };
        Self {
            bleu,
            rouge_l: mean(|s| s.rouge_l),
            cider: mean(|s| s.cider),
            cider_d: mean(|s| s.cider_d),
            exact_match: mean(|s| f64::from(u8::from(s.is_exact))),
            samples,
        }
    }
}

/// Scores captions once. Where the same references are scored again, keep a [`CaptionCorpus`].
///
/// ```
/// use mue_scores::{CaptionSample, score_captions};
///
/// let references = ["a red ring".to_owned(), "there is a red ring".to_owned()];
/// let sample = CaptionSample { id: 1, candidate: "A red ring.", references: &references };
/// let scores = score_captions(&[sample])?;
/// assert_eq!(scores.exact_match, 1.0);
/// # Ok::<(), mue_scores::ScoreError>(())
/// ```
///
/// # Errors
/// If there are no samples, or one has no references.
pub fn score_captions(samples: &[CaptionSample<'_>]) -> Result<CaptionScores, ScoreError> {
    let references: Vec<_> = samples.iter().map(|sample| sample.references).collect();
    let candidates: Vec<_> = samples.iter().map(|sample| sample.candidate).collect();
    CaptionCorpus::new(&references)?.score(&candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_needs_a_reference() {
        let corpus = CaptionCorpus::new(&[&["a".to_owned()], &[]]);
        assert_eq!(corpus.err(), Some(ScoreError::NoReferences { place: 1 }));
        assert_eq!(score_captions(&[]), Err(ScoreError::NoSamples));
    }

    #[test]
    fn candidates_must_be_as_many_as_samples() {
        let corpus = CaptionCorpus::new(&[&["a".to_owned()]]).unwrap();
        let expected = ScoreError::CandidateCount { candidates: 2, samples: 1 };
        assert_eq!(corpus.score(&["a", "b"]), Err(expected));
    }

    #[test]
    fn matches_ignore_case_and_full_stops() {
        let references = ["a ring".to_owned(), "one ring".to_owned()];
        let corpus = CaptionCorpus::new(&[&references, &references, &references]).unwrap();
        let scores = corpus.score(&["A ring.", "One ring.", "two rings"]).unwrap();
        assert!((scores.exact_match - 1.0 / 3.0).abs() < 1e-12);
    }
}

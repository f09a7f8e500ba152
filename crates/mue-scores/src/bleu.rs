//! BLEU, as the COCO caption evaluation computes it.
//!
//! Papineni et al., "BLEU: a method for automatic evaluation of machine translation" (ACL 2002):
//! the geometric mean of the clipped n-gram precisions, times a brevity penalty,
//!
//! ```text
//! BLEU-N = BP * (p_1 * ... * p_N)^(1/N)       p_n = (matches_n + tiny) / (guesses_n + small)
//! BP = exp(1 - 1 / ratio) if ratio < 1 else 1  ratio = (candidate words + tiny) / (reference words + small)
//! ```
//!
//! The constants (tiny 1e-15, small 1e-9) are those of `pycocoevalcap`; they keep a score without
//! matches above zero: BLEU-4 of a one-word hit is 1e-9 to some power, not 0. The reference length
//! is that of the closest reference, the shorter one on a tie. The corpus score sums matches,
//! guesses and lengths over samples first; it is not the mean of the samples' scores.

use crate::ngrams::{NgramIndex, ORDERS, word_count};
use std::collections::HashMap;

const TINY: f64 = 1e-15;
const SMALL: f64 = 1e-9;

/// What one sample's references allow.
#[derive(Clone, Debug)]
pub(crate) struct BleuReferences {
    /// Per n-gram, the most that one reference has.
    allowed: HashMap<u32, u32>,
    lengths: Vec<usize>,
}

impl BleuReferences {
    /// The index has learnt the references.
    pub(crate) fn new(index: &NgramIndex, references: &[Vec<String>]) -> Self {
        let mut allowed = HashMap::new();
        for counted in references.iter().flat_map(|reference| index.count(reference)) {
            if let Some(ngram) = counted.known {
                let most: &mut u32 = allowed.entry(ngram).or_default();
                *most = counted.count.max(*most);
            }
        }
        Self { allowed, lengths: references.iter().map(|r| word_count(r)).collect() }
    }

    /// What a candidate matches.
    pub(crate) fn count(&self, index: &NgramIndex, candidate: &[String]) -> BleuCounts {
        let words = word_count(candidate);
        let mut counts = BleuCounts { candidate_words: words, ..BleuCounts::default() };
        for (order, guesses) in counts.guesses.iter_mut().enumerate() {
            *guesses = words.saturating_sub(order);
        }
        for counted in index.count(candidate) {
            let allowed = counted.known.and_then(|ngram| self.allowed.get(&ngram)).copied();
            counts.matches[counted.order] += counted.count.min(allowed.unwrap_or(0)) as usize;
        }
        let closest = self.lengths.iter().min_by_key(|length| (length.abs_diff(words), **length));
        counts.reference_words = closest.copied().unwrap_or(0);
        counts
    }
}

/// Matches and lengths, of a sample or summed over a corpus.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BleuCounts {
    matches: [usize; ORDERS],
    guesses: [usize; ORDERS],
    candidate_words: usize,
    reference_words: usize,
}

impl BleuCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        for order in 0..ORDERS {
            self.matches[order] += other.matches[order];
            self.guesses[order] += other.guesses[order];
        }
        self.candidate_words += other.candidate_words;
        self.reference_words += other.reference_words;
    }

    /// BLEU-1 to BLEU-4.
    pub(crate) fn score(&self) -> [f64; ORDERS] {
        let ratio = (self.candidate_words as f64 + TINY) / (self.reference_words as f64 + SMALL);
        let penalty = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        let mut scores = [0.0; ORDERS];
        for (order, score) in scores.iter_mut().enumerate() {
            product *= (self.matches[order] as f64 + TINY) / (self.guesses[order] as f64 + SMALL);
            *score = product.powf(1.0 / (order + 1) as f64) * penalty;
        }
        scores
    }
}

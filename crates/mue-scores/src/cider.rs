//! CIDEr and CIDEr-D.
//!
//! Vedantam, Zitnick and Parikh, "CIDEr: consensus-based image description evaluation" (CVPR 2015).
//! A sentence is, for each n of 1 to 4, the vector of its n-gram counts weighted by how rare the
//! n-gram is among the samples: `ln(samples) - ln(max(1, samples whose references have it))`. With
//! `c` a candidate's vector, `r` a reference's, and means over the four n and over references,
//!
//! ```text
//! CIDEr   = 10 * mean  c . r / (|c| |r|)
//! CIDEr-D = 10 * mean  min(c, r) . r / (|c| |r|) * exp(-(bigrams(c) - bigrams(r))^2 / (2 * 6^2))
//! ```
//!
//! **Which is which.** `pycocoevalcap`, and so every published COCO "CIDEr", computes CIDEr-D: the
//! minimum clips counts that a candidate repeats, the Gaussian (sigma 6) punishes a wrong length.
//! Its length is the number of bigrams, one less than that of words. Plain CIDEr, of the paper's
//! section 4, has neither; it is scaled by 10 like CIDEr-D, as the authors' own program does, and
//! words are not stemmed. A corpus of one sample has no rare n-grams and scores 0.

use crate::ngrams::{Beyond, Counted, NgramIndex, ORDERS};
use serde::Serialize;

const SIGMA: f64 = 6.0;
const SCALE: f64 = 10.0;

/// One candidate's consensus with its references, 0 to 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CiderScore {
    /// Without clipping and length penalty.
    pub cider: f64,
    /// With both: the COCO evaluation's "CIDEr".
    pub cider_d: f64,
}

/// The references of a corpus, weighted once and scored against many times.
///
/// Document frequencies are those of the references given here, one document a sample; candidates
/// never change them. So one sentence scores the same alone as among others.
#[derive(Clone, Debug)]
pub struct CiderCorpus {
    frequencies: CiderFrequencies,
    references: Vec<Vec<Vector>>,
}

impl CiderCorpus {
    /// Weighs the references of every sample, given as words (see [`tokenize`](crate::tokenize)).
    pub fn new(references: &[Vec<Vec<String>>]) -> Self {
        let (frequencies, counted) = CiderFrequencies::counted(references);
        let weights = &frequencies.weights;
        let weigh = |sample: &Vec<Vec<Counted>>| sample.iter().map(|r| weights.weigh(r)).collect();
        let references = counted.iter().map(weigh).collect();
        Self { frequencies, references }
    }

    /// The n-grams of all references.
    pub(crate) fn index(&self) -> &NgramIndex {
        &self.frequencies.index
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// Scores a candidate, given as words, for one sample. None if there is no such sample; 0 if
    /// the sample has no references.
    pub fn score(&self, sample: usize, candidate: &[String]) -> Option<CiderScore> {
        let references = self.references.get(sample)?;
        let CiderFrequencies { index, weights } = &self.frequencies;
        Some(mean_consensus(&weights.weigh(&index.count(candidate)), references))
    }
}

/// How rare n-grams are among the references of a corpus, to score captions that may lie outside
/// of it.
#[derive(Clone, Debug)]
pub struct CiderFrequencies {
    index: NgramIndex,
    weights: Weights,
}

impl CiderFrequencies {
    /// Counts in how many samples an n-gram is, given the references of each as words.
    pub fn new(references: &[Vec<Vec<String>>]) -> Self {
        Self::counted(references).0
    }

    fn counted(references: &[Vec<Vec<String>>]) -> (Self, Vec<Vec<Vec<Counted>>>) {
        let mut index = NgramIndex::default();
        let counted: Vec<Vec<_>> = references
            .iter()
            .map(|sample| sample.iter().map(|reference| index.learn(reference)).collect())
            .collect();
        let weights = Weights::new(index.len(), &counted);
        (Self { index, weights }, counted)
    }

    /// Scores a candidate against references, all given as words. An n-gram that the corpus lacks
    /// counts as the rarest, also where candidate and reference have it in common.
    pub fn score(&self, references: &[Vec<String>], candidate: &[String]) -> CiderScore {
        let mut beyond = Beyond::default();
        let mut weigh = |sentence: &Vec<String>| {
            self.weights.weigh(&self.index.count_beyond(sentence, &mut beyond))
        };
        let references: Vec<Vector> = references.iter().map(&mut weigh).collect();
        let candidate = weigh(&candidate.to_vec());
        mean_consensus(&candidate, &references)
    }
}

fn mean_consensus(candidate: &Vector, references: &[Vector]) -> CiderScore {
    let mut sum = CiderScore::default();
    for reference in references {
        let score = candidate.consensus(reference);
        sum.cider += score.cider;
        sum.cider_d += score.cider_d;
    }
    let scale = SCALE / (ORDERS * references.len().max(1)) as f64;
    CiderScore { cider: sum.cider * scale, cider_d: sum.cider_d * scale }
}

/// How much an n-gram counts.
#[derive(Clone, Debug)]
struct Weights {
    /// By the n-gram's number.
    known: Vec<f64>,
    /// Of an n-gram that no reference has.
    unknown: f64,
}

impl Weights {
    fn new(ngrams: usize, samples: &[Vec<Vec<Counted>>]) -> Self {
        let mut documents = vec![0_usize; ngrams];
        for sample in samples {
            let mut present: Vec<_> = sample.iter().flatten().filter_map(|c| c.known).collect();
            present.sort_unstable();
            present.dedup();
            for ngram in present {
                documents[ngram as usize] += 1;
            }
        }
        let unknown = (samples.len().max(1) as f64).ln();
        let known = documents.into_iter().map(|n| unknown - (n.max(1) as f64).ln()).collect();
        Self { known, unknown }
    }

    fn weigh(&self, counted: &[Counted]) -> Vector {
        let mut vector = Vector::default();
        let mut squares = [0.0; ORDERS];
        for ngram in counted {
            let known = ngram.known.and_then(|known| self.known.get(known as usize));
            let rarity = known.copied().unwrap_or(self.unknown);
            let weight = f64::from(ngram.count) * rarity;
            squares[ngram.order] += weight * weight;
            if let Some(known) = ngram.known {
                vector.entries.push(Entry { ngram: known, order: ngram.order, weight });
            }
            if ngram.order == 1 {
                vector.bigrams += f64::from(ngram.count);
            }
        }
        vector.norms = squares.map(f64::sqrt);
        vector
    }
}

/// A weighted n-gram that the corpus has.
#[derive(Clone, Copy, Debug)]
struct Entry {
    ngram: u32,
    order: usize,
    weight: f64,
}

/// A sentence as the weights of its n-grams, in order of their numbers.
#[derive(Clone, Debug, Default)]
struct Vector {
    entries: Vec<Entry>,
    norms: [f64; ORDERS],
    bigrams: f64,
}

impl Vector {
    /// Both similarities to a reference, summed over the four lengths of n-grams.
    fn consensus(&self, reference: &Self) -> CiderScore {
        let mut plain = [0.0; ORDERS];
        let mut clipped = [0.0; ORDERS];
        let mut others = reference.entries.iter().peekable();
        for entry in &self.entries {
            while others.next_if(|other| other.ngram < entry.ngram).is_some() {}
            if let Some(other) = others.next_if(|other| other.ngram == entry.ngram) {
                plain[entry.order] += entry.weight * other.weight;
                clipped[entry.order] += entry.weight.min(other.weight) * other.weight;
            }
        }
        let mut score = CiderScore::default();
        for order in 0..ORDERS {
            let norm = self.norms[order] * reference.norms[order];
            if norm > 0.0 {
                score.cider += plain[order] / norm;
                score.cider_d += clipped[order] / norm;
            }
        }
        let apart = self.bigrams - reference.bigrams;
        score.cider_d *= (-apart * apart / (2.0 * SIGMA * SIGMA)).exp();
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn corpus() -> Vec<Vec<Vec<String>>> {
        let samples: [&[&str]; 3] =
            [&["a red ring", "one red ring"], &["a blue cross"], &["two red rings left of a box"]];
        samples.iter().map(|sample| sample.iter().map(|text| words(text)).collect()).collect()
    }

    #[test]
    fn within_the_corpus_frequencies_score_as_the_corpus_does() {
        let references = corpus();
        let (corpus, frequencies) =
            (CiderCorpus::new(&references), CiderFrequencies::new(&references));
        for candidate in ["a red ring", "one blue ring", "two red rings left", "a zebra"] {
            for (place, sample) in references.iter().enumerate() {
                let expected = corpus.score(place, &words(candidate)).unwrap();
                let found = frequencies.score(sample, &words(candidate));
                assert!((expected.cider - found.cider).abs() < 1e-12, "{candidate}");
                assert!((expected.cider_d - found.cider_d).abs() < 1e-12, "{candidate}");
            }
        }
    }

    #[test]
    fn scores_are_the_same_to_the_last_bit() {
        // Words of several rarities, so that the order of a sum shows in its last bits.
        let sentence = |seed: usize| -> Vec<String> {
            (0..12)
                .map(|place| ["a", "red", "ring", "box"][seed * place * place % 7 % 4].to_owned())
                .collect()
        };
        let references: Vec<_> =
            (0..7).map(|sample| vec![sentence(sample), sentence(sample + 3)]).collect();
        let bits = || {
            let corpus = CiderCorpus::new(&references);
            let score = |sample| corpus.score(sample, &sentence(sample + 1)).unwrap();
            (0..7).map(score).map(|s| (s.cider.to_bits(), s.cider_d.to_bits())).collect::<Vec<_>>()
        };
        let first = bits();
        assert!((0..8).all(|_| bits() == first));
    }

    #[test]
    fn what_the_corpus_lacks_is_matched_as_the_rarest() {
        let frequencies = CiderFrequencies::new(&corpus());
        let reference = [words("zebra stripes in a row")];
        let same = frequencies.score(&reference, &reference[0]).cider_d;
        assert!((same - 10.0).abs() < 1e-9, "{same}");
        let half = frequencies.score(&reference, &words("zebra stripes on a hill")).cider_d;
        let other = frequencies.score(&reference, &words("camel humps on a hill")).cider_d;
        // "a" is in every sample and weighs nothing: of four words two are common, of four bigrams one.
        let expected = 10.0 * (2.0 / 4.0 + 1.0 / 4.0) / 4.0;
        assert!((half - expected).abs() < 1e-9 && other == 0.0, "{half} and {other}");
    }
}

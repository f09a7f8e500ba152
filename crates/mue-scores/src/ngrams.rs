//! Runs of one to four words, numbered once for a reference corpus.

use std::collections::{BTreeMap, HashMap};

/// The longest n-gram that the caption scores count.
pub(crate) const ORDERS: usize = 4;

/// Numbers of the words of an n-gram, padded.
type Words = [u32; ORDERS];

const PADDING: u32 = u32::MAX;

/// One distinct n-gram of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Its number in the corpus; none if the corpus lacks it.
    pub(crate) known: Option<u32>,
    /// Its length less one.
    pub(crate) order: usize,
    /// How often the sentence has it.
    pub(crate) count: u32,
}

/// Words and n-grams that a corpus lacks, numbered beyond its own for sentences that are compared
/// with one another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beyond {
    words: HashMap<String, u32>,
    ngrams: HashMap<Words, u32>,
}

/// Numbers the words and n-grams of a corpus, so that a sentence is counted without comparing text.
#[derive(Clone, Debug, Default)]
pub(crate) struct NgramIndex {
    words: HashMap<String, u32>,
    ngrams: HashMap<Words, u32>,
}

impl NgramIndex {
    /// How many distinct n-grams the corpus has.
    pub(crate) fn len(&self) -> usize {
        self.ngrams.len()
    }

    /// Counts the n-grams of a sentence and numbers those that are new. In order of their numbers,
    /// which depend on nothing but the sentences learned: sums of floating-point numbers in this
    /// order are the same in every run.
    pub(crate) fn learn(&mut self, sentence: &[String]) -> Vec<Counted> {
        for word in words(sentence) {
            if !self.words.contains_key(word) {
                self.words.insert(word.to_owned(), number(self.words.len()));
            }
        }
        for ngram in distinct(&self.numbers(sentence)).into_keys() {
            let next = number(self.ngrams.len());
            self.ngrams.entry(ngram).or_insert(next);
        }
        self.count(sentence)
    }

    /// Counts the n-grams of a sentence: known ones first, in order of their numbers.
    pub(crate) fn count(&self, sentence: &[String]) -> Vec<Counted> {
        let mut counted: Vec<_> = distinct(&self.numbers(sentence))
            .into_iter()
            .map(|(ngram, count)| Counted {
                known: self.ngrams.get(&ngram).copied(),
                order: order(&ngram),
                count,
            })
            .collect();
        counted.sort_unstable_by_key(|c| (c.known.is_none(), c.known, c.order, c.count));
        counted
    }

    /// Counts the n-grams of a sentence, numbering beyond the corpus's own what it lacks. In order
    /// of their numbers.
    pub(crate) fn count_beyond(&self, sentence: &[String], beyond: &mut Beyond) -> Vec<Counted> {
        let numbers: Vec<u32> = words(sentence)
            .map(|word| {
                self.words.get(word).copied().unwrap_or_else(|| {
                    let next = number(self.words.len() + beyond.words.len());
                    *beyond.words.entry(word.to_owned()).or_insert(next)
                })
            })
            .collect();
        let mut counted: Vec<_> = distinct(&numbers)
            .into_iter()
            .map(|(ngram, count)| {
                let known = self.ngrams.get(&ngram).copied().unwrap_or_else(|| {
                    let next = number(self.ngrams.len() + beyond.ngrams.len());
                    *beyond.ngrams.entry(ngram).or_insert(next)
                });
                Counted { known: Some(known), order: order(&ngram), count }
            })
            .collect();
        counted.sort_unstable_by_key(|c| c.known);
        counted
    }

    /// The words as numbers; words that the corpus lacks get numbers beyond its own.
    fn numbers(&self, sentence: &[String]) -> Vec<u32> {
        let mut unknown = HashMap::new();
        words(sentence)
            .map(|word| {
                self.words.get(word).copied().unwrap_or_else(|| {
                    let next = number(self.words.len() + unknown.len());
                    *unknown.entry(word).or_insert(next)
                })
            })
            .collect()
    }
}

/// How many words the n-gram scores see in a sentence.
pub(crate) fn word_count(sentence: &[String]) -> usize {
    words(sentence).count()
}

/// The n-gram scorers of the COCO evaluation split a caption at every white space, also at the
/// no-break space inside a mixed fraction.
fn words(sentence: &[String]) -> impl Iterator<Item = &str> {
    sentence.iter().flat_map(|token| token.split_whitespace())
}

/// Length of an n-gram, less one.
fn order(ngram: &Words) -> usize {
    ngram.iter().filter(|word| **word != PADDING).count() - 1
}

/// How often a sentence has each of its n-grams, in a fixed order, in which new ones are numbered.
fn distinct(numbers: &[u32]) -> BTreeMap<Words, u32> {
    let mut counts = BTreeMap::new();
    for length in 1..=ORDERS {
        for window in numbers.windows(length) {
            let mut ngram = [PADDING; ORDERS];
            ngram[..length].copy_from_slice(window);
            *counts.entry(ngram).or_insert(0) += 1;
        }
    }
    counts
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a corpus has fewer than 2^32 distinct n-grams")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn repeated_ngrams_are_counted_together() {
        let mut index = NgramIndex::default();
        let counted = index.learn(&sentence("a a a"));
        let counts: Vec<_> = counted.iter().map(|c| (c.order, c.count)).collect();
        assert_eq!(index.len(), 3);
        for expected in [(0, 3), (1, 2), (2, 1)] {
            assert!(counts.contains(&expected));
        }
    }

    #[test]
    fn unknown_words_are_told_apart() {
        let mut index = NgramIndex::default();
        index.learn(&sentence("a"));
        let counted = index.count(&sentence("b c b"));
        let unigrams: Vec<_> = counted.iter().filter(|c| c.order == 0).map(|c| c.count).collect();
        assert!(counted.iter().all(|c| c.known.is_none()));
        assert_eq!(unigrams, [1, 2]);
    }

    #[test]
    fn numbers_are_the_same_in_every_run() {
        let learned = || {
            let mut index = NgramIndex::default();
            ["a red ring and a red cross", "two rings left of a box"]
                .map(|text| index.learn(&sentence(text)))
        };
        // Every hash map has an order of its own, as every run has.
        let first = learned();
        assert!((0..8).all(|_| learned() == first));
    }

    #[test]
    fn a_mixed_fraction_is_two_words() {
        assert_eq!(word_count(&["1\u{a0}1/2".to_owned(), "cups".to_owned()]), 3);
    }
}

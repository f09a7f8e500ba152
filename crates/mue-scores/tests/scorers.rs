//! The scorers against the public `pycocoevalcap`; `tools/scorers` makes the fixtures.

use mue_scores::{CaptionCorpus, tokenize};
use serde::Deserialize;

/// Sums of floating-point numbers in another order differ by less.
const TOLERANCE: f64 = 1e-9;

fn fixture<T: for<'a> Deserialize<'a>>(json: &str) -> T {
    serde_json::from_str(json).expect("the fixture has the generator's layout")
}

fn assert_close(name: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{name}: {found} instead of {expected}");
}

#[derive(Deserialize)]
struct Tokens {
    agree: Vec<Tokenized>,
    differ: Vec<Tokenized>,
}

#[derive(Deserialize)]
struct Tokenized {
    caption: String,
    text: String,
}

#[test]
fn tokens_are_those_of_the_penn_treebank_tokenizer() {
    let tokens: Tokens = fixture(include_str!("fixtures/tokenizer.json"));
    assert!(tokens.agree.len() > 700);
    for case in tokens.agree {
        assert_eq!(tokenize(&case.caption).join(" "), case.text, "{:?}", case.caption);
    }
}

/// So that the list of known differences in the documentation stays true.
#[test]
fn known_differences_are_still_differences() {
    let tokens: Tokens = fixture(include_str!("fixtures/tokenizer.json"));
    for case in tokens.differ {
        assert_ne!(tokenize(&case.caption).join(" "), case.text, "{:?}", case.caption);
    }
}

#[derive(Deserialize)]
struct Corpus {
    name: String,
    samples: Vec<Sample>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Sample {
    candidate: String,
    references: Vec<String>,
}

#[derive(Deserialize)]
struct Expected {
    corpus: Figures,
    samples: Vec<Figures>,
}

#[derive(Debug, Deserialize)]
struct Figures {
    bleu: [f64; 4],
    rouge_l: f64,
    cider: f64,
    cider_d: f64,
}

impl Figures {
    fn assert_close(&self, name: &str, expected: &Self) {
        for order in 0..4 {
            let name = format!("{name}, BLEU-{}", order + 1);
            assert_close(&name, self.bleu[order], expected.bleu[order], TOLERANCE);
        }
        assert_close(&format!("{name}, ROUGE-L"), self.rouge_l, expected.rouge_l, TOLERANCE);
        assert_close(&format!("{name}, CIDEr"), self.cider, expected.cider, TOLERANCE);
        assert_close(&format!("{name}, CIDEr-D"), self.cider_d, expected.cider_d, TOLERANCE);
    }
}

#[test]
fn caption_scores_are_those_of_the_coco_evaluation() {
    let corpora: Vec<Corpus> = fixture(include_str!("fixtures/scores.json"));
    for Corpus { name, samples, expected } in corpora {
        let references: Vec<_> = samples.iter().map(|s| s.references.as_slice()).collect();
        let candidates: Vec<_> = samples.iter().map(|s| s.candidate.as_str()).collect();
        let scores = CaptionCorpus::new(&references).unwrap().score(&candidates).unwrap();
        let (bleu, rouge_l, cider, cider_d) =
            (scores.bleu, scores.rouge_l, scores.cider, scores.cider_d);
        Figures { bleu, rouge_l, cider, cider_d }.assert_close(&name, &expected.corpus);
        for ((place, found), expected) in scores.samples.iter().enumerate().zip(&expected.samples) {
            let (bleu, rouge_l, cider, cider_d) =
                (found.bleu, found.rouge_l, found.cider, found.cider_d);
            let name = format!("{name}, sample {place}");
            Figures { bleu, rouge_l, cider, cider_d }.assert_close(&name, expected);
        }
    }
}

/// What training on sentences one by one relies on.
#[test]
fn a_sentence_scores_the_same_alone() {
    let corpora: Vec<Corpus> = fixture(include_str!("fixtures/scores.json"));
    let corpus = corpora.iter().find(|corpus| corpus.name == "everyday").unwrap();
    let references: Vec<_> = corpus.samples.iter().map(|s| s.references.as_slice()).collect();
    let prepared = CaptionCorpus::new(&references).unwrap();
    for (place, expected) in corpus.expected.samples.iter().enumerate() {
        let words = tokenize(&corpus.samples[place].candidate);
        let found = prepared.cider().score(place, &words).unwrap();
        assert_close("CIDEr-D", found.cider_d, expected.cider_d, TOLERANCE);
    }
    assert_eq!(prepared.cider().score(corpus.samples.len(), &[]), None);
}

//! How good the replies to a data set are.

use std::collections::BTreeMap;

use mue_data::datasets::SampleText;
use mue_engine::{Label, Reply};
use mue_scores::CaptionCorpus;
use serde::Serialize;

use crate::{EntailmentSample, EvalError, LabelScores, ScoreError, score_entailment};

/// The scores of a set of replies.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Quality {
    /// Of entailments.
    Entailment {
        /// Share of right answers.
        accuracy: f64,
        /// The same by kind of hypothesis, where the data tells kinds apart.
        families: BTreeMap<String, f64>,
        /// By what is true, how often each label was answered.
        confusion: ByLabel<ByLabel<u64>>,
        /// Precision and recall of each label.
        labels: ByLabel<LabelScores>,
    },
    /// Of captions.
    Caption {
        /// CIDEr-D: what COCO publishes as "CIDEr", from 0 to 10.
        cider_d: f64,
        /// Share of captions that are, word for word, the canonical one: the first reference.
        exact_match: f64,
        /// BLEU-1 to BLEU-4.
        bleu: [f64; 4],
        /// ROUGE-L.
        rouge_l: f64,
        /// Plain CIDEr.
        cider: f64,
    },
}

impl Quality {
    /// The score that retention is about: accuracy, or CIDEr-D.
    pub fn main(&self) -> f64 {
        match self {
            Self::Entailment { accuracy, .. } => *accuracy,
            Self::Caption { cider_d, .. } => *cider_d,
        }
    }
}

/// Something of each label.
pub type ByLabel<T> = BTreeMap<Label, T>;

fn by_label<T>(values: [T; 3]) -> ByLabel<T> {
    Label::ALL.into_iter().zip(values).collect()
}

/// A quality and what each sample adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Of all samples.
    pub quality: Quality,
    /// By sample: 1 or 0 for a right or wrong answer, or its CIDEr-D.
    pub samples: Vec<f64>,
}

/// Scores replies, by way to exit, against what is true.
///
/// # Errors
///
/// If there are no samples, or a reply is not to its sample's question.
pub fn score(truths: &[SampleText], ways: &[Vec<Reply>]) -> Result<Vec<Scored>, EvalError> {
    match truths.first() {
        None => Err(ScoreError::NoSamples.into()),
        Some(SampleText::Captions(_)) => score_captions(truths, ways),
        Some(SampleText::Hypothesis { .. }) => {
            Ok(ways.iter().map(|replies| score_labels(truths, replies)).collect())
        }
    }
}

/// CIDEr-D of the canonical captions (each sample's first reference) as if they were answers: what
/// captions without a mistake score. None of entailments.
pub(crate) fn canonical_cider_d(truths: &[SampleText]) -> Result<Option<f64>, EvalError> {
    let references = references(truths);
    let canonical: Option<Vec<&str>> =
        references.iter().map(|all| all.first().map(String::as_str)).collect();
    let score = |canonical: Vec<&str>| CaptionCorpus::new(&references)?.score(&canonical);
    Ok(canonical.map(score).transpose()?.map(|scores| scores.cider_d))
}

fn references(truths: &[SampleText]) -> Vec<&[String]> {
    let of = truths.iter().map(|truth| match truth {
        SampleText::Captions(references) => references.as_slice(),
        SampleText::Hypothesis { .. } => &[],
    });
    of.collect()
}

fn score_captions(truths: &[SampleText], ways: &[Vec<Reply>]) -> Result<Vec<Scored>, EvalError> {
    let references = references(truths);
    let corpus = CaptionCorpus::new(&references)?;
    let score = |replies: &Vec<Reply>| {
        let texts: Vec<&str> = replies.iter().map(caption).collect();
        let scores = corpus.score(&texts)?;
        let quality = Quality::Caption {
            cider_d: scores.cider_d,
            exact_match: scores.exact_match,
            bleu: scores.bleu,
            rouge_l: scores.rouge_l,
            cider: scores.cider,
        };
        let samples = scores.samples.iter().map(|sample| sample.cider_d).collect();
        Ok(Scored { quality, samples })
    };
    ways.iter().map(score).collect()
}

/// The caption of a reply; an entailment has none.
pub(crate) fn caption(reply: &Reply) -> &str {
    match reply {
        Reply::Caption(caption) => &caption.text,
        Reply::Entailment(_) => "",
    }
}

fn score_labels(truths: &[SampleText], replies: &[Reply]) -> Scored {
    let samples: Vec<EntailmentSample<'_>> = truths
        .iter()
        .zip(replies)
        .filter_map(|(truth, reply)| match (truth, reply) {
            (SampleText::Hypothesis { label, family, .. }, Reply::Entailment(entailment)) => {
                Some(EntailmentSample {
                    expected: Label::from(*label),
                    predicted: entailment.label,
                    family: family.as_deref(),
                })
            }
            _ => None,
        })
        .collect();
    let scores = score_entailment(&samples);
    let families = scores.families.into_iter();
    let families = families.filter_map(|(name, tally)| Some((name, tally.accuracy()?))).collect();
    let quality = Quality::Entailment {
        accuracy: scores.accuracy.unwrap_or_default(),
        families,
        confusion: by_label(scores.confusion.map(by_label)),
        labels: by_label(scores.labels),
    };
    let samples = scores.is_correct.iter().map(|right| f64::from(u8::from(*right))).collect();
    Scored { quality, samples }
}

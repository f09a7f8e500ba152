//! How good answers are, and how sure that is.
//!
//! Captions are scored as the COCO caption evaluation does ([`CaptionCorpus`], [`tokenize`]),
//! entailment by accuracy and confusion ([`score_entailment`]). [`Bootstrap`] says how far a mean
//! or a retention can be trusted; [`Failures`] and [`MeanLoss`] bound a risk for calibration.
//! [`write_results`] hands captions to the official tools for the scores that are not computed here.

mod bleu;
mod bootstrap;
mod caption;
mod cider;
mod entailment;
mod ngrams;
mod random;
mod results;
mod risk;
mod rouge;
mod tokenizer;

pub use bootstrap::{Bootstrap, BootstrapError, Interval, Pair};
pub use caption::{
    CaptionCorpus, CaptionSample, CaptionScores, SampleScores, ScoreError, score_captions,
};
pub use cider::{CiderCorpus, CiderScore};
pub use entailment::{
    EntailmentSample, EntailmentScores, Label, LabelScores, Tally, score_entailment,
};
pub use random::Random;
pub use results::{write_references, write_results};
pub use risk::{Failures, MeanLoss};
pub use tokenizer::tokenize;

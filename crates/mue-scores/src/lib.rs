//! Scores of captions, as the COCO caption evaluation computes them.
//!
//! [`CaptionCorpus`] scores captions against references by BLEU, ROUGE-L and CIDEr, counted in the
//! words of [`tokenize`]. [`CiderFrequencies`] scores one caption by the rarity of words in other
//! captions, which is what training by a reward asks for. No model is known here.

mod bleu;
mod caption;
mod cider;
mod ngrams;
mod rouge;
mod tokenizer;

pub use caption::{
    CaptionCorpus, CaptionSample, CaptionScores, SampleScores, ScoreError, score_captions,
};
pub use cider::{CiderCorpus, CiderFrequencies, CiderScore};
pub use tokenizer::tokenize;

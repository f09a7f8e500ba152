//! A sample as a model learns it.

use std::sync::Arc;

use mue_data::datasets::{Sample, SampleText};
use mue_data::without_punctuation;

use crate::config::Reference;
use crate::interface::Interface;
use crate::random::Random;

/// Words of a caption beyond this are not learned: the default of OFA's `CaptionDataset`
/// (`max_tgt_length`). Its own fine-tuning on COCO, `train_caption_stage1.sh`, keeps 20.
const CAPTION_WORDS_MAX: usize = 30;

/// What stands for a word that the tokenizer does not know, as in every OFA vocabulary.
const UNKNOWN: u32 = 3;

/// A picture with what is learned about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Example {
    /// Normalised samples, `[3, height, width]` row-major.
    pub(super) pixels: Vec<f32>,
    pub(super) text: ExampleText,
}

/// What is learned about a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ExampleText {
    /// One of its captions, and all of them.
    Caption { tokens: Vec<u32>, references: Vec<String> },
    /// A question and its answer.
    Hypothesis { prompt: Vec<u32>, answer: u32, family: Option<String> },
}

/// Makes examples of samples.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) interface: Arc<Interface>,
    punctuation: bool,
    reference: Reference,
    seed: u64,
}

impl Reader {
    pub(super) fn new(
        interface: &Arc<Interface>,
        punctuation: bool,
        reference: Reference,
        seed: u64,
    ) -> Self {
        Self { interface: Arc::clone(interface), punctuation, reference, seed }
    }

    /// What a sample has to say at a place of the run, which decides among its captions; or why
    /// it cannot be learned.
    pub(super) fn text(&self, sample: Sample, position: u64) -> Result<ExampleText, String> {
        let text = match sample.text {
            SampleText::Captions(references) => {
                let place = match self.reference {
                    Reference::First => 0,
                    Reference::Any => {
                        Random::new(self.seed, "reference", position).below(references.len())
                    }
                };
                ExampleText::Caption { tokens: self.caption(&references[place])?, references }
            }
            SampleText::Hypothesis { hypothesis, premise, label, family } => {
                let prompt = self
                    .interface
                    .prompt(premise.as_deref(), &hypothesis)
                    .map_err(|error| error.to_string())?;
                let answer = self.interface.answer(label);
                known(&prompt, &hypothesis)?;
                ExampleText::Hypothesis { prompt, answer, family }
            }
        };
        Ok(text)
    }

    /// A caption's tokens, without BOS and EOS.
    pub(super) fn caption(&self, caption: &str) -> Result<Vec<u32>, String> {
        let caption = match self.punctuation {
            true => caption.to_owned(),
            false => without_punctuation(caption),
        };
        let words: Vec<&str> = caption.split_whitespace().take(CAPTION_WORDS_MAX).collect();
        let tokens = self.interface.caption(&words.join(" "));
        known(&tokens, &caption)?;
        let most = self.interface.prompt_tokens_max - 1;
        match tokens.len() {
            0 => Err(format!("nothing of the caption {caption:?} is left")),
            length if length > most => {
                Err(format!("the caption has {length} tokens; at most {most} are allowed"))
            }
            _ => Ok(tokens),
        }
    }
}

fn known(tokens: &[u32], text: &str) -> Result<(), String> {
    match tokens.contains(&UNKNOWN) {
        true => Err(format!("the tokenizer does not know every word of {text:?}")),
        false => Ok(()),
    }
}

/// The captions of a sample; none of a hypothesis.
pub(super) fn references(text: SampleText) -> Vec<String> {
    match text {
        SampleText::Captions(captions) => captions,
        SampleText::Hypothesis { .. } => Vec::new(),
    }
}

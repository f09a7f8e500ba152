//! What a model is asked, and how sentences are cleaned before they are put into a prompt.

use serde::{Deserialize, Serialize};

use crate::tokenizer::Tokenizer;

/// The prompts of the two tasks. `{premise}` and `{hypothesis}` are replaced by cleaned sentences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompts {
    /// Asks for a caption.
    pub caption: String,
    /// Asks whether the picture supports `{hypothesis}`.
    pub entailment: String,
    /// The same with a `{premise}` in words.
    pub entailment_with_premise: String,
    /// Words of a sentence beyond this are cut off.
    pub words_max: usize,
}

impl Default for Prompts {
    /// OFA's prompts for captioning and SNLI-VE.
    fn default() -> Self {
        Self {
            caption: " what does the image describe?".into(),
            entailment: " does the image describe \" {hypothesis} \"?".into(),
            entailment_with_premise:
                " can image and text1 \" {premise} \" imply text2 \" {hypothesis} \"?".into(),
            words_max: 80,
        }
    }
}

/// Why a text cannot be a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// Nothing is left of a sentence.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// More tokens than the model has positions for.
    #[error("the prompt has {tokens} tokens; at most {tokens_max} are allowed")]
    TooLong {
        /// Found.
        tokens: usize,
        /// Allowed.
        tokens_max: usize,
    },
}

impl Prompts {
    /// Whether a premise changes what is asked.
    pub fn reads_premise(&self) -> bool {
        self.entailment_with_premise.contains("{premise}")
    }

    /// The caption prompt as token ids, with BOS and EOS.
    pub fn caption_ids(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        tokenizer.sequence(&self.caption)
    }

    /// An entailment prompt as token ids, with BOS and EOS.
    ///
    /// # Errors
    ///
    /// If a sentence is empty or the whole too long.
    pub fn entailment_ids(
        &self,
        tokenizer: &Tokenizer,
        premise: Option<&str>,
        hypothesis: &str,
        tokens_max: usize,
    ) -> Result<Vec<u32>, PromptError> {
        let clean = |what: &'static str, sentence: &str| {
            let sentence = clean_sentence(sentence, self.words_max);
            if sentence.is_empty() { Err(PromptError::Empty(what)) } else { Ok(sentence) }
        };
        let hypothesis = clean("hypothesis", hypothesis)?;
        let text = match premise {
            Some(premise) => {
                let premise = clean("premise", premise)?;
                fill(&self.entailment_with_premise, &premise, &hypothesis)
            }
            None => fill(&self.entailment, "", &hypothesis),
        };
        let ids = tokenizer.sequence(&text);
        match ids.len() <= tokens_max {
            true => Ok(ids),
            false => Err(PromptError::TooLong { tokens: ids.len(), tokens_max }),
        }
    }
}

/// Fills a template in one pass, so that a sentence may contain what looks like a placeholder.
fn fill(template: &str, premise: &str, hypothesis: &str) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let (before, tail) = rest.split_at(start);
        filled.push_str(before);
        let replaced = [("{premise}", premise), ("{hypothesis}", hypothesis)]
            .into_iter()
            .find_map(|(name, value)| tail.strip_prefix(name).map(|tail| (value, tail)));
        let (text, tail) = replaced.unwrap_or_else(|| tail.split_at(1));
        filled.push_str(text);
        rest = tail;
    }
    filled + rest
}

/// OFA's clean-up of SNLI-VE sentences, premise and hypothesis alike.
///
/// Lower case; leading `,.!?*#:;~` goes; `-` and `/` become spaces and `<person>` "person"; runs
/// of white space become one space; words beyond `words_max` go.
pub fn clean_sentence(sentence: &str, words_max: usize) -> String {
    let lower = sentence.to_lowercase();
    let spaced = lower
        .trim_start_matches([',', '.', '!', '?', '*', '#', ':', ';', '~'])
        .replace(['-', '/'], " ")
        .replace("<person>", "person");
    spaced.split_whitespace().take(words_max).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_cleaned_as_ofa_does() {
        assert_eq!(
            clean_sentence("..,A Well-known  <person>/dog.", 80),
            "a well known person dog."
        );
        assert_eq!(clean_sentence("one two three", 2), "one two");
        assert_eq!(clean_sentence(" \n ", 80), "");
    }

    #[test]
    fn a_sentence_may_look_like_a_placeholder() {
        assert_eq!(
            fill("a {premise} {x} {hypothesis}", "{hypothesis}", "h"),
            "a {hypothesis} {x} h"
        );
    }

    #[test]
    fn defaults_are_ofas_prompts_to_the_space() {
        let prompts = Prompts::default();
        assert_eq!(
            fill(&prompts.entailment_with_premise, "two dogs", "a dog runs"),
            " can image and text1 \" two dogs \" imply text2 \" a dog runs \"?"
        );
        assert_eq!(fill(&prompts.entailment, "", "a dog"), " does the image describe \" a dog \"?");
    }
}

//! The words of scenes, as a vocabulary.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::caption::{CAPTION_WORDS, NUMBERS};
use super::hypothesis::{ATTRIBUTES, OBJECT_WORDS, SceneLabel};
use super::object::{Colour, Shape, Size};
use crate::prompt::Prompts;
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::tokenizer_files::SPECIAL;

/// Words of hypotheses that are in no other list.
const HYPOTHESIS_WORDS: [&str; 3] = ["more", "no", "than"];

/// Words of prompts that are in no other list.
const PROMPT_WORDS: [&str; 6] = ["?", "describe", "does", "image", "the", "what"];

/// Every word of captions, hypotheses, prompts and answers, sorted.
pub fn vocabulary() -> Vec<String> {
    let mut words = BTreeSet::new();
    words.extend(CAPTION_WORDS);
    words.extend(NUMBERS);
    words.extend(HYPOTHESIS_WORDS);
    words.extend(PROMPT_WORDS);
    words.extend(ATTRIBUTES);
    words.extend(OBJECT_WORDS);
    words.extend(SceneLabel::ALL.map(SceneLabel::word));
    words.extend(Shape::ALL.map(Shape::word));
    words.extend(Shape::ALL.map(Shape::plural));
    words.extend(Colour::ALL.map(Colour::word));
    words.extend(Size::ALL.map(Size::word));
    words.into_iter().map(str::to_owned).collect()
}

/// Prompts for a model that knows the words of scenes only.
///
/// A premise is left out of the question: scenes are judged by what is seen.
pub fn scenes_prompts() -> Prompts {
    let entailment = "does the image describe {hypothesis} ?";
    Prompts {
        caption: "what does the image describe ?".into(),
        entailment: entailment.into(),
        entailment_with_premise: entailment.into(),
        ..Prompts::default()
    }
}

/// Bytes of a `tokenizer.json` with one id for each word of [`vocabulary`], after the four that
/// every OFA vocabulary begins with.
pub fn scenes_tokenizer_json() -> Vec<u8> {
    let special = SPECIAL.map(str::to_owned);
    let words = special.into_iter().chain(vocabulary()).enumerate();
    let ids: Map<String, Value> = words.map(|(id, word)| (word, json!(id))).collect();
    let added: Vec<Value> = SPECIAL
        .iter()
        .enumerate()
        .map(|(id, name)| {
            json!({
                "id": id, "content": name, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        })
        .collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": { "type": "Lowercase" },
        "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "unk_token": SPECIAL[3], "vocab": ids },
    });
    tokenizer.to_string().into_bytes()
}

/// The tokenizer of [`scenes_tokenizer_json`].
///
/// # Errors
///
/// If the `tokenizers` library does not take its own format.
pub fn scenes_tokenizer() -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_json(&scenes_tokenizer_json())
}

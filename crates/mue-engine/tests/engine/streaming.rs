//! What is told of a caption while it is written.

use mue_engine::batcher::{Priority, RequestError, Submission};
use mue_engine::{
    Caption, CaptionSearch, Encoding, Engine, ExitChoice, Outcome, Reply, TokenExit, block_on,
};
use mue_model::weights::RawTensor;

use crate::folder::{Folder, picture};
use crate::{greedy, open};

/// What is told of a picture's caption, and what it is.
fn streamed(engine: &Engine, seed: u64, search: &CaptionSearch) -> (Vec<TokenExit>, Outcome) {
    let inputs = vec![engine.model().caption(picture(seed), ExitChoice::Off, search).unwrap()];
    let stream = Submission { inputs, priority: Priority::High, deadline: None, stream: true };
    let mut ticket = engine.submit(stream).unwrap().remove(0);
    let mut told = Vec::new();
    while let Some(token) = block_on(ticket.next_event()) {
        told.push(token);
    }
    (told, block_on(ticket))
}

fn captioned(outcome: Outcome) -> Caption {
    let caption = match outcome.unwrap().output {
        Reply::Caption(caption) => Some(caption),
        Reply::Entailment(_) => None,
    };
    caption.expect("a caption was asked for")
}

/// So many tokens of which none occurs twice, so that none can be taken for another.
fn varied(tokens: usize) -> CaptionSearch {
    CaptionSearch { no_repeat_ngram_size: 1, tokens_min: tokens, ..greedy(tokens) }
}

#[test]
fn what_is_streamed_is_the_answer() {
    let folder = Folder::new(4, Encoding::Decomposed);
    let engine = open(&folder);
    for beam_size in [1, 2, 4] {
        for seed in 0..4 {
            let search = CaptionSearch { beam_size, ..greedy(12) };
            let (told, outcome) = streamed(&engine, seed, &search);
            let caption = captioned(outcome);
            assert_eq!(told, caption.tokens, "{beam_size} beams, picture {seed}");
        }
    }
}

#[test]
fn characters_of_several_tokens_are_streamed_whole() {
    let folder = Folder::of_bytes(4);
    let engine = open(&folder);
    let mut all = Vec::new();
    for (beam_size, seed) in (0..12).flat_map(|seed| [(1, seed), (2, seed)]) {
        let search = CaptionSearch { beam_size, ..varied(8) };
        let (told, outcome) = streamed(&engine, seed, &search);
        let caption = captioned(outcome);
        assert_eq!(told, caption.tokens, "{beam_size} beams, picture {seed}");
        let text: String = told.iter().map(|token| &*token.text).collect();
        assert_eq!(mue_data::trim_caption(&text), caption.text);
        all.extend(told);
    }
    let has = |is: fn(&str) -> bool| all.iter().any(|token| is(&token.text));
    assert!(has(str::is_empty), "there are parts of characters");
    assert!(has(
        |text| text.contains(|it: char| !it.is_ascii() && it != char::REPLACEMENT_CHARACTER)
    ));
}

/// The third step's position becomes no number, and so does what it computes.
fn spoil_third_position(name: &str, tensor: RawTensor) -> RawTensor {
    if name != "decoder.embed_positions.weight" {
        return tensor;
    }
    let mut bytes = tensor.float32_bytes().unwrap().to_vec();
    let row = 4 * tensor.shape()[1];
    bytes[2 * row..3 * row].copy_from_slice(&f32::NAN.to_le_bytes().repeat(row / 4));
    RawTensor::new(tensor.dtype(), tensor.shape().to_vec(), bytes.into()).unwrap()
}

#[test]
fn a_stream_that_fails_has_told_each_token_once() {
    let folder = Folder::new(4, Encoding::Decomposed);
    let search = varied(6);
    let (whole, _) = streamed(&open(&folder), 1, &search);
    folder.put_weights(4, spoil_third_position);
    let (told, outcome) = streamed(&open(&folder), 1, &search);
    assert!(matches!(outcome, Err(RequestError::Model(_))), "{outcome:?}");
    assert!(!told.is_empty() && told.len() < whole.len(), "{told:?}");
    assert_eq!(told, whole[..told.len()]);
}

//! What runs compute, counted by hand: rows and multiply-accumulates by layer.
//!
//! The model is 16 wide with inner widths of 24; a picture is 4 tokens.

use std::sync::Arc;

use mue_model::{
    AnswerRequest, BranchEncoding, BranchPolicy, BranchRun, Computed, DecoderState, Device,
    Execution, LayerWork, Ofa, RunOptions, SearchSettings, Tensor,
};

use crate::answers::ANSWERS;
use crate::model::{PIXELS, VOCABULARY, model, with_options};

/// A product of one token with a square matrix.
const SQUARE: u64 = 16 * 16;

/// A feed-forward block of one token.
const FEED_FORWARD: u64 = 2 * 16 * 24;

const PICTURE: usize = 4;

fn fixed(layers: usize) -> BranchPolicy {
    BranchPolicy::Fixed { layers }
}

/// An encoder layer on a row: four projections, feed-forward, scores and weighted sums.
fn encoder_row(tokens: u64) -> u64 {
    tokens * (4 * SQUARE + FEED_FORWARD) + 2 * tokens * tokens * 16
}

/// A decoder layer on a token, without keys and values: queries and outputs of both attentions,
/// feed-forward, scores and weighted sums.
fn decoder_token(cached: u64, source: u64) -> u64 {
    4 * SQUARE + FEED_FORWARD + 2 * 16 * (cached + source)
}

/// Keys and values of some tokens.
fn keys_values(tokens: u64) -> u64 {
    2 * tokens * SQUARE
}

fn layers<const N: usize>(layers: [(u64, u64); N]) -> Vec<LayerWork> {
    layers.into_iter().map(|(rows, macs)| LayerWork { rows, macs }).collect()
}

fn pictures(rows: usize) -> Tensor<4> {
    Tensor::zeros([rows, 3, PIXELS, PIXELS], &Device::flex())
}

fn computed(model: &Ofa, mut run: BranchRun) -> Computed {
    while !run.is_finished() {
        model.encode_layer(&mut run);
    }
    run.computed().clone()
}

/// One picture, and texts of so many tokens, apart at full depth.
fn encode<const N: usize>(
    model: &Ofa,
    texts: [usize; N],
) -> (Arc<BranchEncoding>, [Arc<BranchEncoding>; N]) {
    let image = model.encode_all(model.begin_images(pictures(1), vec![BranchPolicy::Full]));
    let text = texts.map(|tokens| {
        let run = model.begin_texts(&[vec![5; tokens]], vec![BranchPolicy::Full]);
        Arc::new(model.encode_all(run).remove(0))
    });
    (Arc::new(image.into_iter().next().unwrap()), text)
}

#[test]
fn encoder_rows_cost_until_they_leave() {
    let depths = || vec![fixed(1), fixed(3), fixed(3)];
    let compacted = model(0);
    let found = computed(&compacted, compacted.begin_images(pictures(3), depths()));
    let row = encoder_row(4);
    assert_eq!(found.layers, layers([(3, 3 * row), (2, 2 * row), (2, 2 * row)]));
    let stem = compacted.macs().stem(mue_model::Grid::of_pixels(PIXELS, PIXELS));
    assert_eq!(found.outside_macs, 3 * stem);
    assert_eq!(found.macs(), 3 * stem + 7 * row);

    let masked = RunOptions { execution: Execution::Masked, ..RunOptions::default() };
    let masked = with_options(0, masked);
    let found = computed(&masked, masked.begin_images(pictures(3), depths()));
    assert_eq!(found.layers, layers([(3, 3 * row); 3]));
}

#[test]
fn padding_is_not_counted() {
    let model = model(0);
    let texts = [vec![0, 5, 2], vec![0, 5, 6, 7, 2]];
    let found = computed(&model, model.begin_texts(&texts, vec![fixed(2), fixed(1)]));
    let (short, long) = (encoder_row(3), encoder_row(5));
    assert_eq!(found.layers, layers([(2, short + long), (1, short)]));
    assert_eq!(found.outside_macs, 0);
}

/// Three hypotheses on one picture, whose keys and values are projected once a layer.
#[test]
fn hypotheses_share_their_picture() {
    let model = model(0);
    let (image, texts) = encode(&model, [3, 5, 6]);
    let requests = texts.into_iter().zip([1, 2, 3]).map(|(text, layers)| AnswerRequest {
        prefix: vec![5; text.tokens() - 1],
        source: model.source(vec![Arc::clone(&image), text], 8),
        policy: fixed(layers),
    });
    let mut run = model.begin_answers(requests.collect(), &ANSWERS);
    while !run.is_finished() {
        model.answer_layer(&mut run);
    }
    let row = |prefix: u64, text: u64| {
        let own = keys_values(prefix) + keys_values(text);
        prefix * decoder_token(prefix, PICTURE as u64 + text) + own
    };
    let (first, second, third) = (row(2, 3), row(4, 5), row(5, 6));
    let picture = keys_values(PICTURE as u64);
    let expected = layers([
        (3, picture + first + second + third),
        (2, picture + second + third),
        (1, picture + third),
    ]);
    assert_eq!(run.computed().layers, expected);
    assert_eq!(run.computed().outside_macs, 3 * 3 * 16, "three answers of three rows");
}

/// Two captions of three steps on one picture, of which one leaves every step after layer 1.
fn caption(decoder_state: DecoderState) -> Computed {
    let model = with_options(0, RunOptions { decoder_state, ..RunOptions::default() });
    let (image, texts) = encode(&model, [3, 5]);
    let mut run = model.begin_decode();
    let settings = SearchSettings {
        beam_size: 1,
        tokens_max: 2,
        tokens_min: 2,
        no_repeat_ngram_size: 0,
        length_penalty: 1.0,
    };
    for (text, layers) in texts.into_iter().zip([1, 2]) {
        let source = model.source(vec![Arc::clone(&image), text], 1);
        model.join_decode(&mut run, source, fixed(layers), settings.clone());
    }
    while !run.is_finished() {
        model.decode_token(&mut run);
    }
    assert_eq!(run.computed().outside_macs, 3 * 2 * u64::from(VOCABULARY) * 16);
    run.computed().clone()
}

#[test]
fn kept_keys_and_values_are_projected_once() {
    let steps = |source: u64| (1..=3).map(|cached| decoder_token(cached, source)).sum::<u64>();
    let (short, long) = (steps(4 + 3), steps(4 + 5));
    let own = keys_values(3) + keys_values(3);
    let expected = layers([
        (6, keys_values(4 + 3 + 5) + own + short + long),
        // Those of the row that has left are projected from its exit states.
        (3, keys_values(4 + 5) + own + long),
    ]);
    assert_eq!(caption(DecoderState::Propagate).layers, expected);
}

#[test]
fn recomputed_prefixes_cost_every_token_anew() {
    let step =
        |tokens: u64, source: u64| tokens * decoder_token(tokens, source) + keys_values(tokens);
    let steps = |source: u64| (1..=3).map(|tokens| step(tokens, source)).sum::<u64>();
    let expected = layers([
        (6, keys_values(4 + 3 + 5) + steps(4 + 3) + steps(4 + 5)),
        (3, keys_values(4 + 5) + steps(4 + 5)),
    ]);
    for state in [DecoderState::Recompute, DecoderState::RecomputePrefix] {
        assert_eq!(caption(state).layers, expected);
    }
}

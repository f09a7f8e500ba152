//! How deep an answer went, and the tokens that it lists.

use std::sync::Arc;

use mue_data::preprocess;
use mue_data::scenes::{SceneSet, Split};
use mue_engine::batcher::NoObserver;
use mue_engine::{
    CaptionSearch, Engine, ExitChoice, ExitTrace, Image, ModelSource, Reply, Request, TokenExit,
};

use crate::{replies, settings};

fn demo() -> Engine {
    Engine::open(ModelSource::Demo, settings(), Arc::new(NoObserver)).unwrap()
}

/// Pictures as the demo model knows them, and a sentence about each.
fn scenes(engine: &Engine, count: u64) -> impl Iterator<Item = (Image, String)> {
    let side = engine.model().settings().image_size;
    let set = SceneSet::new(5, Split::Test);
    (0..count).map(move |place| {
        let scene = set.scene(place);
        let sentence = scene.hypotheses(1).remove(0).text;
        (Image::new(preprocess(&scene.image(), side, side)), sentence)
    })
}

fn captions(engine: &Engine, beam_size: usize) -> Vec<Request> {
    let search = CaptionSearch { beam_size, ..engine.model().settings().search.clone() };
    let caption = |image| engine.model().caption(image, ExitChoice::Auto, &search).unwrap();
    scenes(engine, 8).map(|(image, _)| caption(image)).collect()
}

fn mean(layers: impl ExactSizeIterator<Item = usize>) -> f64 {
    let count = layers.len();
    layers.sum::<usize>() as f64 / count as f64
}

fn mean_of(tokens: &[TokenExit]) -> f64 {
    mean(tokens.iter().map(|token| token.layer))
}

#[test]
fn the_mean_layer_is_that_of_the_tokens_listed() {
    let engine = demo();
    for beam_size in [1, 4] {
        let mut differ = 0;
        for reply in replies(&engine, captions(&engine, beam_size)) {
            let Reply::Caption(caption) = reply else { panic!("a caption was asked for") };
            let exit = caption.exit;
            assert_eq!(exit.mean_layer(), mean_of(&caption.tokens), "{}", caption.text);
            let steps = mean(exit.decoder.iter().copied());
            differ += usize::from(exit.mean_layer() != steps);
            let wordless = ExitTrace { tokens: 0, ..exit };
            assert_eq!(wordless.mean_layer(), steps, "the end alone was said");
        }
        assert!(differ > 0, "steps that are not listed would count for nothing");
    }
}

#[test]
fn an_entailment_lists_the_word_it_was_answered_with() {
    let engine = demo();
    let words = &engine.model().settings().answers;
    let words = [&words.entailment, &words.neutral, &words.contradiction];
    let entailment = |(image, sentence): (Image, String)| {
        engine.model().entailment(image, ExitChoice::Auto, (None, &sentence)).unwrap()
    };
    for reply in replies(&engine, scenes(&engine, 6).map(entailment).collect()) {
        let Reply::Entailment(verdict) = reply else { panic!("an entailment was asked for") };
        let [token] = &verdict.tokens[..] else { panic!("{:?}", verdict.tokens) };
        assert_eq!(&token.text, words[verdict.label as usize]);
        assert_eq!(
            (vec![token.layer], token.layer as f64),
            (verdict.exit.decoder.clone(), verdict.exit.mean_layer())
        );
    }
}

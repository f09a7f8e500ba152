//! Answers that are not sure enough.

use std::sync::Arc;

use mue_data::Tokenizer;
use mue_data::scenes::{scenes_prompts, scenes_tokenizer_json};
use mue_engine::batcher::NoObserver;
use mue_engine::{
    Branch, BranchDepth, BranchRule, Deferral, Encoding, Engine, EngineSettings, Entailment,
    ExitChoice, ExitRules, FirstReading, InvalidRequest, ModelFolder, Reply, Request,
};

use crate::folder::{self, Folder, picture};
use crate::{greedy, open, replies, settings, together, watched, watched_with};

/// None is so sure.
const ALWAYS: f32 = 2.0;

const TEXT: &str = "a red circle";

fn rules(image: usize, deferral: Option<Deferral>) -> ExitRules {
    ExitRules {
        image: BranchRule::Fixed(image),
        text: BranchRule::Fixed(1),
        decoder: BranchRule::Fixed(2),
        deferral,
    }
}

fn deferring(below: f32, image: usize) -> ExitRules {
    rules(1, Some(Deferral { below, image }))
}

fn ask(engine: &Engine, seed: u64, rules: &ExitRules) -> Request {
    let (choice, text) = (ExitChoice::Rules(rules.clone()), (None, TEXT));
    engine.model().entailment(picture(seed), choice, text).unwrap()
}

fn entailments(replies: Vec<Reply>) -> Vec<Entailment> {
    let entailment = |reply| match reply {
        Reply::Entailment(entailment) => Some(entailment),
        Reply::Caption(_) => None,
    };
    replies.into_iter().filter_map(entailment).collect()
}

fn answer(engine: &Engine, rules: &ExitRules) -> Entailment {
    entailments(replies(engine, vec![ask(engine, 7, rules)])).remove(0)
}

#[test]
fn an_unsure_answer_is_that_of_the_deeper_picture() {
    let folder = Folder::new(4, Encoding::Decomposed);
    let engine = open(&folder);
    let (shallow, deep) = (answer(&engine, &rules(1, None)), answer(&engine, &rules(3, None)));
    assert_ne!(shallow.scores, deep.scores);
    let sure = answer(&engine, &deferring(0.0, 3));
    assert_eq!(sure, shallow, "it was sure enough");

    let deferred = answer(&engine, &deferring(ALWAYS, 3));
    assert_eq!(deferred.label, deep.label);
    for (found, expected) in deferred.scores.iter().zip(deep.scores) {
        assert!((found - expected).abs() < 1e-5, "{deferred:?} {deep:?}");
    }
    assert_eq!(deferred.exit.deferred, Some(FirstReading { image: 1, decoder: 2 }));
    assert!(deep.exit.deferred.is_none() && shallow.exit.deferred.is_none());
    assert_eq!(deferred.exit.image, BranchDepth { layer: 3, layers: folder::LAYERS });
    assert_eq!((deferred.exit.tokens, deferred.exit.decoder), (1, vec![2]));
    // The decoder's two layers once more, but for the text's keys and values, and the head.
    let deeper = ExitRules { decoder: BranchRule::Fixed(3), ..rules(3, None) };
    let layer = answer(&engine, &deeper).compute.macs - deep.compute.macs;
    let (model, prompts) = (engine.model(), scenes_prompts());
    let tokenizer = Tokenizer::from_json(&scenes_tokenizer_json()).unwrap();
    let text = prompts.entailment_ids(&tokenizer, None, TEXT, 64).unwrap().len();
    let width = model.config().d_model;
    let again = 2 * (layer as usize - 2 * text * width * width) + 3 * width;
    assert_eq!(deferred.compute.macs - deep.compute.macs, again as u64);
    assert_eq!(deferred.compute.macs_full, deep.compute.macs_full);
}

#[test]
fn a_picture_goes_on_from_where_it_left_and_once_for_all() {
    let folder = Folder::new(4, Encoding::Decomposed);
    let (engine, watch) = watched(&folder);
    let texts = ["a red circle", "a green ring", "a large cross"];
    let asked = |texts: &[&str]| -> Vec<Request> {
        let choice = || ExitChoice::Rules(deferring(ALWAYS, 3));
        let ask = |text: &&str| engine.model().entailment(picture(7), choice(), (None, text));
        texts.iter().map(|text| ask(text).unwrap()).collect()
    };
    let all = entailments(together(&engine, asked(&texts)));
    assert!(all.iter().all(|entailment| entailment.exit.deferred.is_some()));
    assert_eq!(watch.rows(Branch::Image), 3, "each layer once");
    let again = entailments(replies(&engine, asked(&["a small star"]))).remove(0);
    assert!(again.exit.deferred.is_some());
    assert_eq!(watch.rows(Branch::Image), 3, "both encodings are kept");
}

#[test]
fn without_a_cache_it_goes_on_too() {
    let folder = Folder::new(4, Encoding::Decomposed);
    let settings = EngineSettings { image_cache_bytes_max: 0, ..settings() };
    let (engine, watch) = watched_with(&folder, settings);
    let mixed = vec![
        ask(&engine, 7, &deferring(ALWAYS, 3)),
        ask(&engine, 8, &deferring(ALWAYS, 2)),
        ask(&engine, 7, &rules(2, Some(Deferral { below: ALWAYS, image: 3 }))),
        ask(&engine, 9, &rules(3, Some(Deferral { below: ALWAYS, image: 3 }))),
    ];
    let found = entailments(together(&engine, mixed.clone()));
    let layers: Vec<usize> = found.iter().map(|found| found.exit.image.layer).collect();
    assert_eq!(layers, [3, 2, 3, 3]);
    let deferred: Vec<bool> = found.iter().map(|found| found.exit.deferred.is_some()).collect();
    assert_eq!(deferred, [true, true, true, false], "what is as deep is not deferred");
    // Two rows of the first picture, which leave at different layers, and one each of the others.
    assert_eq!(watch.rows(Branch::Image), 3 + 2 + 3 + 3);
    for (request, together) in mixed.into_iter().zip(found) {
        let alone = entailments(replies(&engine, vec![request])).remove(0);
        crate::invariance::same(&Reply::Entailment(alone), &Reply::Entailment(together)).unwrap();
    }
}

#[test]
fn what_cannot_be_deferred_is_refused() {
    let exit = || ExitChoice::Rules(deferring(0.5, 2));
    let apart = Folder::new(4, Encoding::Decomposed);
    let model = ModelFolder::open(apart.path()).unwrap();
    let caption = model.caption(picture(1), exit(), &greedy(5)).unwrap_err();
    assert_eq!(caption, InvalidRequest::Deferral);
    let unclear = ExitChoice::Rules(deferring(f32::NAN, 2));
    let entailment = model.entailment(picture(1), unclear, (None, "a ring")).unwrap_err();
    assert_eq!(entailment, InvalidRequest::Threshold("deferral"));

    let joint = Folder::new(4, Encoding::Joint);
    let model = ModelFolder::open(joint.path()).unwrap();
    let entailment = model.entailment(picture(1), exit(), (None, "a ring")).unwrap_err();
    assert_eq!(entailment, InvalidRequest::Deferral);
    joint.change_settings(|settings| settings.exits.entailment = Some(deferring(0.5, 2)));
    let refused = ModelFolder::open(joint.path()).unwrap_err();
    assert_eq!(refused.to_string(), "mue.json: the exits of entailment cannot work");
    apart.change_settings(|settings| settings.exits.entailment = Some(deferring(ALWAYS, 2)));
    let engine = Engine::open(apart.path(), settings(), Arc::new(NoObserver)).unwrap();
    let auto = engine.model().entailment(picture(1), ExitChoice::Auto, (None, "a ring")).unwrap();
    assert!(replies(&engine, vec![auto]).remove(0).exit().deferred.is_some());
}

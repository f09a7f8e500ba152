//! The engine as its callers use it, on a random tiny model.

#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions

mod depth;
mod folder;
mod invariance;
mod watch;

use std::sync::Arc;

use mue_engine::batcher::{NoObserver, Priority, RequestError, Submission};
use mue_engine::{
    Branch, CaptionSearch, Encoding, Engine, EngineSettings, ExitChoice, OpenError, Reply, Request,
    StartError, Thresholds, block_on,
};

use folder::{Folder, picture};
use watch::Watch;

/// Exits after the first layer, wherever there is one.
const AT_ONCE: Thresholds = Thresholds { image: Some(-1.0), text: Some(-1.0), decoder: Some(-1.0) };

/// Without a warm-up gathering counts as free, so that rows computed are rows active.
fn settings() -> EngineSettings {
    let device = mue_engine::DeviceChoice::Flex;
    EngineSettings { device, warm_up: false, ..EngineSettings::default() }
}

fn open(folder: &Folder) -> Engine {
    Engine::open(folder.path(), settings(), Arc::new(NoObserver)).unwrap()
}

fn watched(folder: &Folder) -> (Engine, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    let observer = Arc::clone(&watch) as Arc<dyn mue_engine::EngineObserver>;
    let engine = Engine::open(folder.path(), settings(), observer).unwrap();
    (engine, watch)
}

fn greedy(tokens_max: usize) -> CaptionSearch {
    CaptionSearch { beam_size: 1, tokens_max, ..CaptionSearch::default() }
}

fn caption(engine: &Engine, seed: u64, exit: ExitChoice) -> Request {
    engine.model().caption(picture(seed), exit, &greedy(5)).unwrap()
}

fn entailment(engine: &Engine, seed: u64, text: &str) -> Request {
    engine.model().entailment(picture(seed), ExitChoice::Off, (None, text)).unwrap()
}

fn replies(engine: &Engine, requests: Vec<Request>) -> Vec<Reply> {
    let outcomes = engine.answer_all(requests).unwrap();
    outcomes.into_iter().map(|outcome| outcome.unwrap().output).collect()
}

#[test]
fn rows_computed_are_the_rows_active() {
    let folder = Folder::new(1, Encoding::Decomposed);
    let (engine, watch) = watched(&folder);
    let exits = [ExitChoice::Off, ExitChoice::Thresholds(AT_ONCE), ExitChoice::Off];
    let requests = exits.iter().zip(0..).map(|(exit, seed)| caption(&engine, seed, exit.clone()));
    let replies = replies(&engine, requests.collect());
    let depth = |reply: &Reply| reply.exit().image.layer;
    assert_eq!(watch.rows(Branch::Image), replies.iter().map(depth).sum::<usize>());
    assert_eq!(watch.rows(Branch::Text), 0, "the caption prompt is constant");
    let tokens: usize =
        replies.iter().map(|reply| reply.exit().decoder.iter().sum::<usize>()).sum();
    assert_eq!(watch.rows(Branch::Decoder), tokens);
}

#[test]
fn gathering_is_told_where_rows_leave_others_behind() {
    let folder = Folder::new(1, Encoding::Decomposed);
    let (engine, watch) = watched(&folder);
    replies(&engine, vec![caption(&engine, 0, ExitChoice::Off)]);
    for branch in Branch::ALL {
        assert_eq!(watch.gathered(branch).moves, 0, "a row alone leaves nobody behind");
    }
    let exits = [ExitChoice::Off, ExitChoice::Thresholds(AT_ONCE), ExitChoice::Off];
    let requests = exits.iter().zip(1..).map(|(exit, seed)| caption(&engine, seed, exit.clone()));
    let inputs = requests.collect();
    let list = Submission { inputs, priority: Priority::Normal, deadline: None, stream: false };
    for ticket in engine.submit(list).unwrap() {
        block_on(ticket).unwrap();
    }
    for branch in [Branch::Image, Branch::Decoder] {
        let gathered = watch.gathered(branch);
        assert!(gathered.moves > 0 && !gathered.duration.is_zero(), "{branch:?}: {gathered:?}");
    }
}

#[test]
fn a_warm_engine_answers_as_a_cold_one() {
    let folder = Folder::new(8, Encoding::Decomposed);
    let watch = Arc::new(Watch::default());
    let observer = Arc::clone(&watch) as Arc<dyn mue_engine::EngineObserver>;
    let settings = EngineSettings { warm_up: true, ..settings() };
    let warm = Engine::open(folder.path(), settings, observer).unwrap();
    let gather = watch.gather_cost().unwrap();
    assert!(gather.mac_ns.is_finite() && gather.call_ns >= 0.0 && gather.element_ns >= 0.0);
    assert_eq!(watch.rows(Branch::Image), 0, "nobody asked for what warms up");
    let requests = |engine: &Engine| {
        let exits = [ExitChoice::Off, ExitChoice::Thresholds(AT_ONCE)];
        let captions =
            exits.iter().zip(0..).map(|(exit, seed)| caption(engine, seed, exit.clone()));
        captions.collect::<Vec<_>>()
    };
    let cold = open(&folder);
    for (warm, cold) in replies(&warm, requests(&warm)).iter().zip(replies(&cold, requests(&cold)))
    {
        assert_eq!(warm.exit().decoder, cold.exit().decoder);
    }
}

#[test]
fn hypotheses_share_their_picture() {
    let folder = Folder::new(2, Encoding::Decomposed);
    let (engine, watch) = watched(&folder);
    let texts = ["a red circle", "a green ring", "a large cross"];
    let together = texts.map(|text| entailment(&engine, 7, text));
    replies(&engine, together.to_vec());
    assert_eq!(watch.rows(Branch::Image), folder::LAYERS, "one picture, every layer once");
    replies(&engine, vec![caption(&engine, 7, ExitChoice::Off)]);
    assert_eq!(watch.rows(Branch::Image), folder::LAYERS, "its encoding is kept");
    assert!(watch.hits() >= 1);
    replies(&engine, vec![caption(&engine, 7, ExitChoice::Thresholds(AT_ONCE))]);
    assert_eq!(watch.rows(Branch::Image), folder::LAYERS + 1, "other exits, another encoding");
}

#[test]
fn the_image_cache_keeps_within_its_bytes() {
    let folder = Folder::new(3, Encoding::Decomposed);
    let watch = Arc::new(Watch::default());
    let observer = Arc::clone(&watch) as Arc<dyn mue_engine::EngineObserver>;
    let bytes_max = 10_000;
    let settings = EngineSettings { image_cache_bytes_max: bytes_max, ..settings() };
    let engine = Engine::open(folder.path(), settings, observer).unwrap();
    for seed in 0..20 {
        replies(&engine, vec![caption(&engine, seed, ExitChoice::Off)]);
    }
    let most = watch.cache_bytes_most();
    assert!(most > 0 && most <= bytes_max, "{most}");
}

#[test]
fn what_is_streamed_is_the_answer() {
    let folder = Folder::new(4, Encoding::Decomposed);
    let engine = open(&folder);
    for (beam_size, seed) in
        [1, 2, 4].into_iter().flat_map(|beams| (0..4).map(move |it| (beams, it)))
    {
        let search = CaptionSearch { beam_size, ..greedy(12) };
        let inputs = vec![engine.model().caption(picture(seed), ExitChoice::Off, &search).unwrap()];
        let stream = Submission { inputs, priority: Priority::High, deadline: None, stream: true };
        let mut ticket = engine.submit(stream).unwrap().remove(0);
        let mut streamed = Vec::new();
        while let Some(token) = block_on(ticket.next_event()) {
            streamed.push(token);
        }
        let Reply::Caption(caption) = block_on(ticket).unwrap().output else {
            panic!("a caption was asked for")
        };
        assert_eq!(streamed, caption.tokens, "{beam_size} beams, picture {seed}");
    }
}

#[test]
fn a_picture_that_is_no_number_fails_alone() {
    let folder = Folder::new(5, Encoding::Decomposed);
    let engine = open(&folder);
    let broken = engine.model().caption(folder::broken(), ExitChoice::Off, &greedy(5)).unwrap();
    let good = caption(&engine, 1, ExitChoice::Off);
    let alone = replies(&engine, vec![good.clone()]).remove(0);
    let mut outcomes = engine.answer_all(vec![good.clone(), broken, good]).unwrap();
    assert!(matches!(outcomes.remove(1), Err(RequestError::Model(_))));
    for outcome in outcomes {
        assert_eq!(outcome.unwrap().output.exit(), alone.exit());
    }
}

#[test]
fn more_requests_than_the_queue_holds_are_answered_in_order() {
    let folder = Folder::new(6, Encoding::Decomposed);
    let mut settings = settings();
    settings.batcher.queue_rows_max = 4;
    settings.batcher.rows_max = 3;
    let engine = Engine::open(folder.path(), settings, Arc::new(NoObserver)).unwrap();
    let requests = |seeds: std::ops::Range<u64>| {
        seeds.map(|seed| caption(&engine, seed % 5, ExitChoice::Off)).collect::<Vec<_>>()
    };
    let many = replies(&engine, requests(0..25));
    let few = replies(&engine, requests(0..5));
    for (place, reply) in many.iter().enumerate() {
        let (Reply::Caption(one), Reply::Caption(other)) = (reply, &few[place % 5]) else {
            panic!("captions were asked for")
        };
        assert_eq!(one.text, other.text);
    }
}

#[test]
fn a_folder_that_cannot_be_a_model_is_refused() {
    let folder = Folder::new(7, Encoding::Joint);
    folder.change_settings(|settings| settings.answers.neutral = "perhaps so".into());
    let error = Engine::open(folder.path(), settings(), Arc::new(NoObserver)).err().unwrap();
    assert!(matches!(error, StartError::Open(OpenError::Answer(word)) if word == "perhaps so"));

    folder.change_settings(|settings| {
        settings.answers.neutral = "maybe".into();
        settings.image_size = 480;
    });
    let error = Engine::open(folder.path(), settings(), Arc::new(NoObserver)).err().unwrap();
    assert!(error.to_string().contains("image_size is 480"), "{error}");

    folder.change_settings(|settings| settings.image_size = folder::PIXELS);
    std::fs::write(folder.path().join("model.safetensors"), b"nothing").unwrap();
    let error = Engine::open(folder.path(), settings(), Arc::new(NoObserver)).err().unwrap();
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}

//! The engine as its callers use it, on a random tiny model.

#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions

mod builds;
mod deferral;
mod depth;
mod folder;
mod images;
mod invariance;
mod rows;
mod streaming;
mod watch;

use std::sync::Arc;

use mue_engine::batcher::{NoObserver, Priority, RequestError, Submission};
use mue_engine::{
    Branch, BranchRule, Calibration, CaptionSearch, Encoding, Engine, EngineSettings, ExitChoice,
    ExitRules, ModelFolder, OpenError, Reply, Request, StartError, TaskCalibration, Thresholds,
    block_on,
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
    watched_with(folder, settings())
}

fn watched_with(folder: &Folder, settings: EngineSettings) -> (Engine, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    let observer = Arc::clone(&watch) as Arc<dyn mue_engine::EngineObserver>;
    (Engine::open(folder.path(), settings, observer).unwrap(), watch)
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

/// The same of requests that encode in one cohort, since they come as one list.
fn together(engine: &Engine, inputs: Vec<Request>) -> Vec<Reply> {
    let rows = inputs.len();
    let list = Submission { inputs, priority: Priority::Normal, deadline: None, stream: false };
    let answers = engine.submit(list).unwrap().into_iter().map(|ticket| block_on(ticket).unwrap());
    answers.inspect(|it| assert_eq!(it.batch.cohort_rows, rows)).map(|it| it.output).collect()
}

#[test]
fn a_warm_engine_answers_as_a_cold_one() {
    let folder = Folder::new(8, Encoding::Decomposed);
    let (warm, watch) = watched_with(&folder, EngineSettings { warm_up: true, ..settings() });
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
    let (warm, cold) = (together(&warm, requests(&warm)), together(&cold, requests(&cold)));
    for (warm, cold) in warm.iter().zip(&cold) {
        invariance::same(warm, cold).unwrap();
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

#[test]
fn a_folder_that_no_request_could_be_asked_of_is_refused() {
    let folder = Folder::new(7, Encoding::Decomposed);
    let refused = || ModelFolder::open(folder.path()).unwrap_err();
    folder.change_settings(|settings| settings.search.beam_size = 0);
    assert!(refused().to_string().contains("search.beam_size is 0"));

    let impossible = ExitRules { image: BranchRule::Patience(2), ..ExitRules::default() };
    folder.change_settings(|settings| {
        settings.search.beam_size = 1;
        settings.exits.entailment = Some(impossible.clone());
    });
    let error = refused();
    assert_eq!(error.to_string(), "mue.json: the exits of entailment cannot work");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("image branch"));

    folder.change_settings(|settings| settings.exits.entailment = None);
    assert!(ModelFolder::open(folder.path()).is_ok());
    let caption = TaskCalibration { auto: Some(impossible), ..TaskCalibration::default() };
    let calibration = Calibration { caption, ..Calibration::default() };
    let json = serde_json::to_string(&calibration).unwrap();
    std::fs::write(folder.path().join("calibration.json"), json).unwrap();
    assert_eq!(refused().to_string(), "calibration.json: the exits of captions cannot work");
}

//! Models that panic while they are built, and after.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mue_engine::batcher::{Observer, RequestError};
use mue_engine::{CacheUsage, Encoding, Engine, EngineObserver, ExitChoice, OpenError, StartError};

use crate::folder::Folder;
use crate::invariance::same;
use crate::{caption, open, replies, settings};

/// Panics where the engine tells it something. Without the hook, whose message would be noise.
#[derive(Default)]
struct Saboteur {
    of_builds: AtomicBool,
    of_steps: AtomicBool,
}

impl Saboteur {
    fn strike(armed: &AtomicBool) {
        if armed.swap(false, Ordering::Relaxed) {
            resume_unwind(Box::new("out of cheese".to_owned()));
        }
    }
}

impl Observer for Saboteur {}

impl EngineObserver for Saboteur {
    fn image_cache(&self, _usage: CacheUsage) {
        Self::strike(&self.of_builds);
    }

    fn image_looked_up(&self, _hit: bool) {
        Self::strike(&self.of_steps);
    }
}

#[test]
fn a_panic_of_the_first_build_is_told_at_once() {
    let folder = Folder::new(1, Encoding::Decomposed);
    let saboteur = Saboteur { of_builds: true.into(), ..Saboteur::default() };
    // A second attempt would succeed, and there is to be none.
    let error = Engine::open(folder.path(), settings(), Arc::new(saboteur)).err().unwrap();
    let StartError::Panicked(panicked) = &error else { panic!("{error:?}") };
    assert_eq!(panicked.to_string(), "out of cheese");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "out of cheese", "the cause is told with the error");
}

#[test]
fn a_model_that_panicked_comes_back_as_it_was() {
    let folder = Folder::new(1, Encoding::Decomposed);
    let saboteur = Arc::new(Saboteur::default());
    let observer = Arc::clone(&saboteur) as Arc<dyn EngineObserver>;
    let engine = Engine::open(folder.path(), settings(), observer).unwrap();
    let asked = || vec![caption(&engine, 1, ExitChoice::Off)];
    let before = replies(&engine, asked()).remove(0);
    folder.put_weights(2, |_, tensor| tensor);
    saboteur.of_steps.store(true, Ordering::Relaxed);
    let lost = engine.answer_all(asked()).unwrap().remove(0);
    assert!(matches!(lost, Err(RequestError::ModelPanicked)), "{lost:?}");
    let after = replies(&engine, asked()).remove(0);
    same(&before, &after).unwrap();
    let other = replies(&open(&folder), asked()).remove(0);
    assert!(same(&before, &other).is_err(), "the folder has another model by now");
}

#[test]
fn a_folder_without_weights_is_no_model() {
    let folder = Folder::new(1, Encoding::Decomposed);
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let error = mue_engine::ModelFolder::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Load(_)), "{error:?}");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}

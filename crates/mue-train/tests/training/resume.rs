//! A run that is stopped and resumed is the run that was not.

use mue_model::weights::{Checkpoint, FloatStorage, write_safetensors};
use mue_model::{Device, Ofa};
use mue_train::Trainer;

use crate::toy::{config, model, resumed, run, take_back, trainer};

#[test]
fn a_resumed_run_has_the_losses_of_an_uninterrupted_one_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&mut trainer(config(8)), folder.path());
    let weights = |trainer: &Trainer| {
        let tensors = trainer.export().unwrap();
        tensors.into_values().map(|tensor| tensor.bytes().unwrap()).collect::<Vec<_>>()
    };
    let trained = weights(&resumed(config(8), folder.path()));
    for threads in [2, 1] {
        // Killed after step 7, of which only step 6 was saved.
        take_back(folder.path(), 6);
        let mut config = config(8);
        config.run.threads = threads;
        let mut resumed = resumed(config, folder.path());
        assert_eq!(resumed.step(), 6);
        assert_eq!(run(&mut resumed, folder.path()), whole[6..], "{threads} threads");
        assert_eq!(weights(&resumed), trained, "{threads} threads");
    }
}

#[test]
fn a_little_training_learns_a_little_task() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(400);
    config.optimizer.learning_rate = 3e-3;
    config.optimizer.ema_decay = 0.9;
    config.run.checkpoint_every = 400;
    let mut trainer = trainer(config.clone());
    let losses = run(&mut trainer, folder.path());
    assert_eq!(losses.len(), 400);
    let scores = trainer.evaluate().unwrap();
    // Always the same answer would be right three times in four.
    assert!(scores.entailment > Some(0.8) && scores.captions_exact == Some(1.0), "{scores:?}");

    // What was exported is the model that was evaluated.
    let file = folder.path().join("model.safetensors");
    write_safetensors(&file, &trainer.export().unwrap(), FloatStorage::Float32).unwrap();
    let weights = Checkpoint::open(&file).unwrap().into_canonical().unwrap();
    Ofa::from_tensors(&weights.tensors, model(&config), &Device::flex()).unwrap();
}

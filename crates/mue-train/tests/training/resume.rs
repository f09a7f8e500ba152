//! A run that is stopped and resumed is the run that was not.

use mue_model::weights::{Checkpoint, FloatStorage, write_safetensors};
use mue_model::{Device, Ofa};
use mue_train::Trainer;

use crate::toy::{config, model, run, trainer};

#[test]
fn a_resumed_run_has_the_losses_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&mut trainer(config(8)), folder.path());

    // Killed after step 7, of which only step 6 was saved: three seven-step runs would save at
    // their own end, so what is resumed is a copy of the folder with the last one missing.
    let stopped = tempfile::tempdir().unwrap();
    run(&mut trainer(config(7)), stopped.path());
    std::fs::remove_dir_all(stopped.path().join("checkpoints/step-00000007")).unwrap();
    let mut resumed = trainer(config(8));
    assert!(resumed.resume(stopped.path()).unwrap());
    assert_eq!(resumed.step(), 6);

    assert_eq!(run(&mut resumed, stopped.path()), whole[6..]);
    let weights = |trainer: &Trainer| {
        let tensors = trainer.export().unwrap();
        tensors.into_values().map(|tensor| tensor.bytes().unwrap()).collect::<Vec<_>>()
    };
    let mut again = trainer(config(8));
    again.resume(folder.path()).unwrap();
    assert_eq!(weights(&again), weights(&resumed));
}

#[test]
fn two_checkpoints_are_kept_and_half_ones_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    run(&mut trainer(config(8)), folder.path());
    let checkpoints = folder.path().join("checkpoints");
    let mut kept: Vec<_> = std::fs::read_dir(&checkpoints)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["step-00000006", "step-00000008"]);

    // What a kill in the middle of writing leaves behind.
    std::fs::create_dir(checkpoints.join(".step-00000009.partial-x")).unwrap();
    let mut resumed = trainer(config(9));
    resumed.resume(folder.path()).unwrap();
    assert_eq!(resumed.step(), 8);
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

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(&mut trainer(config(1)), folder.path());
    let mut other = config(2);
    other.model.ffn_dim = 24;
    let error = trainer(other).resume(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another model"), "{error}");
}

//! The paper's two ablations.

use mue_train::{Encoding, Line, LossConfig, LossLayers, TrainConfig, Trainer};

use crate::toy::{config, resumed, run, take_back, trainer};

/// MuE as published, with a head that tells whether pictures are seen.
fn plain(steps: u64) -> TrainConfig {
    let mut config = config(steps);
    config.loss = LossConfig { grounding: 1.0, ..LossConfig::default() };
    config.optimizer.learning_rate = 3e-3;
    config.optimizer.ema_decay = 0.9;
    config.run.checkpoint_every = steps;
    config
}

/// Losses by layer in the last line of a run's log.
fn losses(trainer: &mut Trainer) -> (Vec<f32>, Vec<f32>) {
    let folder = tempfile::tempdir().unwrap();
    let mut last = None;
    let mut see = |line: &Line| {
        if let Line::Train(line) = line {
            last = Some((line.caption.clone(), line.entailment.clone()));
        }
    };
    trainer.run(folder.path(), &mut see).unwrap();
    last.unwrap()
}

#[test]
fn without_decomposition_the_little_task_is_learned_too() {
    let mut config = plain(300);
    config.model.encoding = Encoding::Joint;
    let mut trainer = trainer(config);
    let (captions, _) = losses(&mut trainer);
    assert_eq!(captions.len(), 3);
    // Evaluated as it is served: image and text together.
    let scores = trainer.evaluate().unwrap();
    assert!(scores.captions_exact == Some(1.0) && scores.entailment > Some(0.7), "{scores:?}");
}

#[test]
fn joint_runs_resume_exactly() {
    let mut config = plain(4);
    config.model.encoding = Encoding::Joint;
    config.loss.random_depth = 0.5;
    config.run.checkpoint_every = 2;
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&mut trainer(config.clone()), folder.path());
    take_back(folder.path(), 2);
    assert_eq!(run(&mut resumed(config, folder.path()), folder.path()), whole[2..]);
}

#[test]
fn without_the_layer_wise_loss_only_the_last_layer_is_asked() {
    let mut config = plain(1);
    config.loss.grounding = 0.0;
    let (every_caption, every_answer) = losses(&mut trainer(config.clone()));
    config.loss.layers = LossLayers::Last;
    let (last_caption, last_answer) = losses(&mut trainer(config));
    // The first step's losses are those of the same weights.
    assert_eq!((every_caption.len(), last_caption.len(), last_answer.len()), (3, 1, 1));
    assert!((every_caption[2] - last_caption[0]).abs() < 1e-5);
    assert!((every_answer[2] - last_answer[0]).abs() < 1e-5);
}

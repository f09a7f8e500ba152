//! A run that is stopped and resumed is the run that was not.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use mue_model::Device;
use mue_model::weights::{Checkpoint, FloatStorage, initial_tensors, write_safetensors};
use mue_model::{Ofa, OfaConfig};
use mue_train::{
    Batch, BatchSource, CaptionExample, CellLabels, DevExample, DevHypothesis, DevSet,
    HypothesisExample, Line, LossConfig, Setup, TrainConfig, Trainer,
};

const SIDE: usize = 32;

/// Pictures of one of four brightnesses, which the caption names and hypotheses ask for.
struct Brightness;

fn pixels(level: u32) -> Vec<f32> {
    vec![level as f32 / 2.0 - 0.75; 3 * SIDE * SIDE]
}

impl BatchSource for Brightness {
    fn batch(&self, number: u64) -> Batch {
        let levels: Vec<u32> =
            (0..3).map(|picture| ((number * 7 + picture * 5) % 4) as u32).collect();
        // Half of the hypotheses are true.
        let asked = |picture: usize, level: u32| match (number + picture as u64) % 2 {
            0 => level,
            _ => (level + 1 + (number / 2 % 3) as u32) % 4,
        };
        Batch {
            image_size: [SIDE; 2],
            pixels: levels.iter().flat_map(|level| pixels(*level)).collect(),
            eos: 2,
            caption_prompt: vec![0, 4, 2],
            captions: levels
                .iter()
                .enumerate()
                .map(|(picture, level)| CaptionExample { picture, tokens: vec![5 + level, 9] })
                .collect(),
            hypotheses: levels
                .iter()
                .enumerate()
                .map(|(picture, level)| HypothesisExample {
                    picture,
                    prompt: vec![0, 4, 5 + asked(picture, *level), 2],
                    answer: 10 + u32::from(*level == asked(picture, *level)),
                })
                .collect(),
            cells: Some(CellLabels {
                side: 2,
                classes: levels.iter().flat_map(|level| vec![*level as usize; 4]).collect(),
            }),
            cell_classes: vec![4],
        }
    }
}

fn dev() -> DevSet {
    let example = |level: u32| DevExample {
        pixels: pixels(level),
        caption: vec![5 + level, 9],
        hypotheses: (0..4)
            .map(|asked| DevHypothesis {
                family: "brightness".into(),
                prompt: vec![0, 4, 5 + asked, 2],
                answer: 10 + u32::from(level == asked),
            })
            .collect(),
    };
    DevSet {
        image_size: [SIDE; 2],
        caption_prompt: vec![0, 4, 2],
        answers: vec![10, 11],
        caption_tokens_max: 5,
        examples: (0..4).map(example).collect(),
    }
}

fn config(steps: u64) -> TrainConfig {
    let mut config = TrainConfig { steps, ..TrainConfig::default() };
    config.model.d_model = 16;
    config.model.heads = 2;
    config.model.ffn_dim = 32;
    (config.model.encoder_layers, config.model.decoder_layers) = (2, 3);
    config.model.stem_width = 4;
    config.model.image_bucket_size = 2;
    config.model.token_bucket_size = 4;
    config.model.positions_max = 10;
    config.optimizer.warmup_steps = 2;
    // The rate must not depend on how many steps a run is to have.
    config.optimizer.constant_share = 1.0;
    config.loss = LossConfig {
        label_smoothing: 0.05,
        random_depth: 0.4,
        grounding: 1.0,
        distillation: 0.5,
        saturation: 0.2,
        ..LossConfig::default()
    };
    config.run.threads = 2;
    config.run.log_every = 1;
    config.run.evaluate_every = 0;
    config.run.checkpoint_every = 3;
    config
}

fn model(config: &TrainConfig) -> OfaConfig {
    config.model.ofa(12)
}

fn trainer(config: TrainConfig) -> Trainer {
    let device = Device::flex();
    let model = model(&config);
    let setup = Setup {
        weights: initial_tensors(&model, config.seed, &device).unwrap(),
        model,
        source: Arc::new(Brightness),
        cell_classes: vec![4],
        dev: dev(),
    };
    Trainer::new(config, setup, &device).unwrap()
}

/// The losses of the steps run, to the bit.
fn run(trainer: &mut Trainer, folder: &Path) -> Vec<(u64, u32)> {
    let mut losses = Vec::new();
    trainer
        .run(folder, &mut |line| {
            if let Line::Train(line) = line {
                losses.push((line.step, line.loss.to_bits()));
            }
        })
        .unwrap();
    losses
}

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
    assert!(scores.entailment > 0.8 && scores.captions_exact == 1.0, "{scores:?}");

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

//! A little task and a little model that learns it.

use std::path::Path;
use std::sync::Arc;

use mue_model::weights::initial_tensors;
use mue_model::{Device, OfaConfig};
use mue_train::{
    Batch, BatchSource, CaptionExample, CellLabels, DevExample, DevHypothesis, DevSet,
    HypothesisExample, Line, LossConfig, ResumeError, Setup, Supplied, Supply, TrainConfig,
    Trainer,
};

const SIDE: usize = 32;

/// Pictures of one of four brightnesses, which the caption names and hypotheses ask for.
pub(crate) struct Brightness;

pub(crate) fn pixels(level: u32) -> Vec<f32> {
    vec![level as f32 / 2.0 - 0.75; 3 * SIDE * SIDE]
}

impl BatchSource for Brightness {
    fn supply(&self, first: u64) -> Supply<'_> {
        Box::new((first..).map(|number| Ok(Supplied::Batch(self.batch(number)))))
    }
}

impl Brightness {
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
                .map(|(picture, level)| CaptionExample {
                    picture,
                    tokens: vec![5 + level, 9],
                    references: Vec::new(),
                })
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

pub(crate) fn dev() -> DevSet {
    let example = |level: u32| DevExample {
        pixels: pixels(level),
        captions: vec![vec![5 + level, 9]],
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

pub(crate) fn config(steps: u64) -> TrainConfig {
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
    // In so few steps little is learned by a rate that falls.
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

pub(crate) fn model(config: &TrainConfig) -> OfaConfig {
    config.model.ofa(12).unwrap()
}

pub(crate) fn trainer(config: TrainConfig) -> Trainer {
    trainer_on(config, &Device::flex())
}

pub(crate) fn trainer_on(config: TrainConfig, device: &Device) -> Trainer {
    let model = model(&config);
    let setup = Setup {
        weights: initial_tensors(&model, config.seed, device).unwrap(),
        model,
        source: Arc::new(Brightness),
        cell_classes: vec![4],
        reward: None,
        dev: dev(),
    };
    Trainer::new(config, setup, device).unwrap()
}

/// A run that is taken up from its newest checkpoint in a folder.
pub(crate) fn resumed(config: TrainConfig, folder: &Path) -> Trainer {
    let mut trainer = trainer(config);
    let mut passed_over = Vec::new();
    let mut report = |error: ResumeError| passed_over.push(error.to_string());
    assert!(trainer.resume(folder, &mut report).unwrap() && passed_over.is_empty());
    trainer
}

/// Takes back what a run has done since a step: what is left is as if it had been killed.
pub(crate) fn take_back(folder: &Path, step: u64) {
    for entry in std::fs::read_dir(folder.join("checkpoints")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().into_string().unwrap() > format!("step-{step:08}") {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

/// The losses of the steps run, to the bit.
pub(crate) fn run(trainer: &mut Trainer, folder: &Path) -> Vec<(u64, u32)> {
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

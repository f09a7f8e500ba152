//! Captions by reward, as a second stage.

use std::sync::Arc;

use mue_model::Device;
use mue_model::weights::initial_tensors;
use mue_train::{
    Batch, BatchSource, CaptionExample, CaptionReward, DevSet, Interface, Line, Setup, Supplied,
    Supply, TrainConfig, Trainer,
};

const SIDE: usize = 32;

/// What is true of each brightness.
const TRUE: [&str; 4] = ["a red ring", "a blue cross", "a green square", "a white circle"];

/// Pictures of four brightnesses; every second caption is that of another brightness.
struct HalfTrue(Arc<Interface>);

impl BatchSource for HalfTrue {
    fn supply(&self, first: u64) -> Supply<'_> {
        Box::new((first..).map(|number| Ok(Supplied::Batch(self.batch(number)))))
    }
}

impl HalfTrue {
    fn batch(&self, number: u64) -> Batch {
        let level = |picture: u64| ((number + picture) % 4) as usize;
        let said = |picture: u64| match (number / 4 + picture) % 2 {
            0 => level(picture),
            _ => (level(picture) + 1) % 4,
        };
        let caption = |picture: u64| CaptionExample {
            picture: picture as usize,
            tokens: self.0.tokenizer.encode(TRUE[said(picture)]),
            references: vec![TRUE[level(picture)].to_owned()],
        };
        let pixels = |picture| vec![level(picture) as f32 / 2.0 - 0.75; 3 * SIDE * SIDE];
        Batch {
            image_size: [SIDE; 2],
            pixels: (0..4).flat_map(pixels).collect(),
            eos: 2,
            caption_prompt: self.0.prompts.caption_ids(&self.0.tokenizer),
            captions: (0..4).map(caption).collect(),
            hypotheses: Vec::new(),
            cells: None,
            cell_classes: Vec::new(),
        }
    }
}

fn interface() -> Arc<Interface> {
    let scenes = Interface::scenes().unwrap();
    Arc::new(Interface { image_size: SIDE, caption_tokens_max: 5, ..scenes })
}

/// The first stage: captions as they come.
fn first_stage(steps: u64) -> TrainConfig {
    let mut config = crate::toy::config(steps);
    config.loss = mue_train::LossConfig::default();
    config.optimizer.learning_rate = 3e-3;
    config.optimizer.ema_decay = 0.9;
    config.run.checkpoint_every = steps;
    config
}

/// The second stage: captions by reward alone.
fn second_stage(steps: u64) -> TrainConfig {
    let mut config = first_stage(steps);
    config.loss.caption = 0.0;
    config.self_critical.weight = 1.0;
    config.self_critical.samples = 2;
    config
}

/// A run that starts where another ended.
fn trainer(config: TrainConfig, start: Option<&Trainer>) -> Trainer {
    let (device, interface) = (Device::flex(), interface());
    let mut model = config.model.ofa(interface.tokenizer.vocab_size()).unwrap();
    model.max_position_embeddings = 12;
    let references = TRUE.map(|text| vec![text.to_owned()]);
    let setup = Setup {
        weights: match start {
            Some(start) => start.export().unwrap(),
            None => initial_tensors(&model, config.seed, &device).unwrap(),
        },
        model,
        source: Arc::new(HalfTrue(Arc::clone(&interface))),
        cell_classes: Vec::new(),
        reward: Some(CaptionReward::new(&interface, &references).unwrap()),
        dev: DevSet::new(&interface),
    };
    Trainer::new(config, setup, &device).unwrap()
}

/// Rewards of samples, step by step, and the losses.
fn run(trainer: &mut Trainer, folder: &std::path::Path) -> (Vec<f32>, Vec<u32>) {
    let (mut rewards, mut losses) = (Vec::new(), Vec::new());
    let mut see = |line: &Line| {
        if let Line::Train(line) = line {
            rewards.extend(line.reward);
            losses.push(line.loss.to_bits());
        }
    };
    trainer.run(folder, &mut see).unwrap();
    (rewards, losses)
}

#[test]
fn the_second_stage_raises_the_reward() {
    let folder = || tempfile::tempdir().unwrap();
    let mut first = trainer(first_stage(250), None);
    let (rewards, _) = run(&mut first, folder().path());
    assert!(rewards.is_empty(), "nothing is sampled in the first stage");
    let (rewards, _) = run(&mut trainer(second_stage(160), Some(&first)), folder().path());
    let mean = |rewards: &[f32]| rewards.iter().sum::<f32>() / rewards.len() as f32;
    let (before, after) = (mean(&rewards[..5]), mean(&rewards[155..]));
    // Half of what was learned first is true; the reward tells which half.
    assert!(before < 7.0 && after > before + 1.5, "{before} to {after}: {rewards:?}");
}

#[test]
fn a_resumed_second_stage_samples_what_an_uninterrupted_one_does() {
    let mut config = second_stage(4);
    config.run.checkpoint_every = 2;
    let folder = tempfile::tempdir().unwrap();
    let (_, whole) = run(&mut trainer(config.clone(), None), folder.path());
    crate::toy::take_back(folder.path(), 2);
    let mut resumed = trainer(config, None);
    assert!(resumed.resume(folder.path(), &mut |error| panic!("{error}")).unwrap());
    assert_eq!(run(&mut resumed, folder.path()).1, whole[2..]);
}

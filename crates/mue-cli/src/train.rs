//! `mue train`: from a recipe to a model folder.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mue_data::scenes::{scenes_prompts, scenes_tokenizer_json};
use mue_engine::{AnswerWords, CaptionSearch, DeviceChoice, Encoding, ModelSettings};
use mue_model::OfaConfig;
use mue_model::weights::{
    Checkpoint, FloatStorage, OutputFolder, initial_tensors, write_safetensors,
};
use mue_train::{CELL_CLASSES, Line, Scenes, Setup, TrainConfig, Trainer};

use crate::error::user_error;

const LONG_ABOUT: &str = "\
Train a model with MuE's layer-wise loss.

The recipe says what is learned from, how, and for how long; config/train/scenes.toml is the
demo model's and explains every key. OUT holds checkpoints, log.jsonl and, in the end, the
model folder OUT/model. A run that was stopped goes on with --resume as if it had not been.";

const EXAMPLES: &str = "\
Examples:
  mue train --config config/train/scenes.toml --out demo
  mue train --config config/train/scenes.toml --out demo --resume";

/// Train a model with MuE's layer-wise loss
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    /// Recipe, a TOML file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder for checkpoints, log and model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on from the newest checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Device to run on: auto, flex, ndarray or wgpu
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

/// Trains to the recipe's last step and writes the model folder.
pub(crate) fn run(args: &TrainArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = read_recipe(&args.config)?;
    let device = args
        .device
        .open()
        .map_err(|error| user_error(error, "`--device auto` takes the best one there is"))?;
    let steps = config.steps;
    let setup = setup(&config, &device.device)?;
    let model = setup.model.clone();
    let mut trainer = Trainer::new(config, setup, &device.device)?;
    start(args, &mut trainer)?;

    let bar = progress_bar(steps, trainer.step());
    trainer.run(&args.out, &mut |line| show(&bar, line))?;
    bar.finish_and_clear();

    let folder = args.out.join("model");
    write_folder(&folder, &trainer, &model)?;
    let scores = trainer.evaluate()?;
    writeln!(
        out,
        "trained {} steps: entailment {:.3}, captions exact {:.3} on {} development pictures; \
         the model is in {}",
        trainer.step(),
        scores.entailment,
        scores.captions_exact,
        scores.pictures,
        folder.display()
    )?;
    Ok(())
}

fn read_recipe(path: &Path) -> anyhow::Result<TrainConfig> {
    let read = || -> anyhow::Result<TrainConfig> {
        Ok(TrainConfig::from_toml(&std::fs::read_to_string(path)?)?)
    };
    read().map_err(|error| {
        let error = error.context(format!("cannot use the recipe {}", path.display()));
        user_error(error, "config/train/scenes.toml explains every key")
    })
}

/// The scenes, and the weights to start from.
fn setup(config: &TrainConfig, device: &mue_model::Device) -> anyhow::Result<Setup> {
    let scenes = Scenes::new(config.seed, &config.data)?;
    let dev = scenes.dev_set(config.data.dev_pictures);
    let (model, weights) = match &config.model.from {
        None => {
            let model = config.model.ofa(scenes.vocab_size());
            let weights = initial_tensors(&model, config.seed, device)?;
            (model, weights)
        }
        Some(folder) => {
            let text = std::fs::read_to_string(folder.join("config.json"))
                .with_context(|| format!("cannot read the model {}", folder.display()))?;
            let weights = Checkpoint::open(&folder.join("model.safetensors"))?.into_canonical()?;
            (OfaConfig::from_json(&text)?, weights.tensors)
        }
    };
    let cell_classes = CELL_CLASSES.to_vec();
    Ok(Setup { model, weights, source: Arc::new(scenes), cell_classes, dev })
}

/// Takes up the folder's run if asked to, and else makes sure that none is overwritten.
fn start(args: &TrainArgs, trainer: &mut Trainer) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))?;
    if args.resume {
        trainer.resume(&args.out)?;
    } else if args.out.join("checkpoints").exists() {
        let error = anyhow::anyhow!("{} holds a run already", args.out.display());
        return Err(user_error(error, "add --resume to go on with it, or choose another --out"));
    }
    Ok(())
}

fn write_folder(folder: &Path, trainer: &Trainer, model: &OfaConfig) -> anyhow::Result<()> {
    let output = OutputFolder::create(folder, true)?;
    let path = |name: &str| output.path().join(name);
    let weights = trainer.export()?;
    write_safetensors(&path("model.safetensors"), &weights, FloatStorage::Float32)?;
    std::fs::write(path("config.json"), model.to_json())?;
    std::fs::write(path("tokenizer.json"), scenes_tokenizer_json())?;
    std::fs::write(path("mue.json"), serde_json::to_string_pretty(&scenes_settings())?)?;
    Ok(output.commit()?)
}

/// How a model of scenes is asked. Captions are searched for greedily, and may repeat words:
/// "a large red circle left of a large red ring" has a 3-gram twice.
fn scenes_settings() -> ModelSettings {
    ModelSettings {
        image_size: mue_data::scenes::Scene::SIDE,
        encoding: Encoding::Decomposed,
        prompts: scenes_prompts(),
        answers: AnswerWords {
            entailment: "yes".into(),
            neutral: "maybe".into(),
            contradiction: "no".into(),
        },
        search: CaptionSearch {
            beam_size: 1,
            tokens_max: 30,
            no_repeat_ngram_size: 0,
            ..CaptionSearch::default()
        },
        ..ModelSettings::default()
    }
}

/// A progress bar on the terminal; without one, nothing: the log has it all.
fn progress_bar(steps: u64, done: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
    let bar = ProgressBar::new(steps).with_position(done);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(bar: &ProgressBar, line: &Line) {
    match line {
        Line::Train(line) => {
            bar.set_position(line.step);
            let last = |losses: &[f32]| losses.last().copied().unwrap_or_default();
            bar.set_message(format!(
                "loss {:.2}, caption {:.3}, entailment {:.3}, {:.0} pictures/s, {:.0} min left",
                line.loss,
                last(&line.caption),
                last(&line.entailment),
                line.pictures_per_s,
                line.left_s / 60.0
            ));
        }
        Line::Evaluation(line) => bar.println(format!(
            "step {}: entailment {:.3}, captions exact {:.3}",
            line.step, line.scores.entailment, line.scores.captions_exact
        )),
        Line::Resumed(step) => bar.println(format!("resumed at step {step}")),
    }
}

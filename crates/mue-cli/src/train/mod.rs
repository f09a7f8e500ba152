//! `mue train`: from a recipe to a model folder.

mod data;
mod start;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mue_data::datasets::Problem;
use mue_engine::{DeviceChoice, OpenDevice};
use mue_model::Device;
use mue_model::weights::{FloatStorage, OutputFolder, RawTensor};
use mue_train::{
    CELL_CLASSES, Evaluation, Line, ResumeError, SavedWeights, Setup, TrainConfig, TrainError,
    Trainer, check_recipe, saved_recipe, saved_weights,
};

use self::data::Data;
use self::start::Start;
use crate::data::{say, warn};
use crate::error::user_error;
use crate::folder::make_folder;
use crate::model_files::{ModelFiles, NOT_CALIBRATED};

const LONG_ABOUT: &str = "\
Train a model with MuE's layer-wise loss.

The recipe says what is learned from, how, and for how long; config/train/scenes.toml is the
demo model's and explains every key, those for data sets of your own too. OUT holds checkpoints,
log.jsonl, model-without-weights (what else a model needs) and, in the end, the model folder
OUT/model; --export writes that folder of the newest checkpoint, by the recipe that this was made
with, and needs nothing but OUT. A run that was stopped goes on from its newest checkpoint with
--resume as if it had not been; its recipe must be the same but for [run].";

const EXAMPLES: &str = "\
Examples:
  mue train --config config/train/scenes.toml --out demo
  mue train --config config/train/scenes.toml --out demo --resume
  mue train --out demo --export
  mue train --config config/train/self-critical.toml --out second";

/// Train a model with MuE's layer-wise loss
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    /// Recipe, a TOML file; --export takes the checkpoint's own
    #[arg(long, value_name = "FILE", required_unless_present = "export")]
    config: Option<PathBuf>,
    /// Folder for checkpoints, log and model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on from the newest checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Write the model of the newest checkpoint in the folder, and train no further
    #[arg(long, conflicts_with = "resume")]
    export: bool,
    /// Device to run on: auto, flex, ndarray or wgpu
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

/// Trains to the recipe's last step and writes the model folder, or writes that of a checkpoint.
pub(crate) fn run(args: &TrainArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.config {
        Some(path) if !args.export => train(args, read_recipe(path)?, out),
        _ => export(args, out),
    }
}

fn train(args: &TrainArgs, recipe: TrainConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    check_folder(args, &recipe)?;
    let steps = recipe.steps;
    let (mut trainer, files) = open(recipe, &open_device(args)?.device)?;
    make_folder(&args.out)?;
    start::keep(&files, &args.out)?;
    if args.resume {
        trainer.resume(&args.out, &mut passed_over)?;
    }
    let bar = progress_bar(steps, trainer.step());
    let mut last = None;
    let mut see = |line: &Line| {
        if let Line::Evaluation(line) = line {
            last = Some((line.step, line.scores.clone()));
        }
        show(&bar, line);
    };
    trainer.run(&args.out, &mut see).map_err(|error| match error {
        TrainError::Data(_) => {
            user_error(error, "mend the data, or bear more with data.problems_max")
        }
        other => other.into(),
    })?;
    bar.finish_and_clear();
    let folder = write_model(args, &files, &trainer.export()?)?;
    let scores = match last {
        Some((step, scores)) if step == trainer.step() => scores,
        _ => trainer.evaluate()?,
    };
    let scores = summary(&scores);
    writeln!(out, "trained {steps} steps: {scores}; the model is in {}", folder.display())?;
    Ok(())
}

/// Writes the model of the newest checkpoint, whatever has become of what it learned from.
fn export(args: &TrainArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let recipe = recipe_of(&args.out)?;
    let OpenDevice { device, .. } = open_device(args)?;
    let files = start::kept(&args.out, &recipe, &device)?;
    let SavedWeights { step, tensors } =
        saved_weights(&args.out, (&files.config, &CELL_CLASSES), &device, &mut passed_over)?
            .ok_or_else(|| no_checkpoint(&args.out, EXPORTED))?;
    let folder = write_model(args, &files, &tensors)?;
    writeln!(out, "trained {step} steps; the model is in {}", folder.display())?;
    Ok(())
}

/// Writes the model folder. Returns where it is.
fn write_model(
    args: &TrainArgs,
    files: &ModelFiles,
    weights: &BTreeMap<String, RawTensor>,
) -> anyhow::Result<PathBuf> {
    let folder = args.out.join("model");
    let output = OutputFolder::create(&folder, true)?;
    let outdated = files.write(&output, (weights, FloatStorage::Float32), &folder)?;
    output.commit()?;
    if outdated {
        say("left out: calibration.json", NOT_CALIBRATED);
    }
    Ok(folder)
}

fn open_device(args: &TrainArgs) -> anyhow::Result<OpenDevice> {
    args.device
        .open()
        .map_err(|error| user_error(error, "`--device auto` takes the best one there is"))
}

/// The run at its start, and what its model's folder will hold besides weights.
fn open(recipe: TrainConfig, device: &Device) -> anyhow::Result<(Trainer, ModelFiles)> {
    let Start { weights, interface, files } = Start::new(&recipe, device)?;
    let Data { source, dev, reward } = Data::open(&recipe, &Arc::new(interface))?;
    let cell_classes = CELL_CLASSES.to_vec();
    let model = files.config.clone();
    let setup = Setup { model, weights, source, cell_classes, reward, dev };
    Ok((Trainer::new(recipe, setup, device)?, files))
}

/// The scores in words.
fn summary(scores: &Evaluation) -> String {
    let parts = [("entailment", scores.entailment), ("captions exact", scores.captions_exact)];
    let found: Vec<String> = parts
        .iter()
        .filter_map(|(name, score)| score.map(|score| format!("{name} {score:.3}")))
        .collect();
    match found.is_empty() {
        true => "nothing to evaluate on".to_owned(),
        false => format!("{} on {} development pictures", found.join(", "), scores.pictures),
    }
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

/// What to do where there is no checkpoint to export.
const EXPORTED: &str = "--out names the folder of a run";

/// The recipe that a folder's run was made by.
fn recipe_of(run: &Path) -> anyhow::Result<TrainConfig> {
    saved_recipe(run)?.ok_or_else(|| no_checkpoint(run, EXPORTED))
}

fn no_checkpoint(run: &Path, remedy: &'static str) -> anyhow::Error {
    user_error(anyhow::anyhow!("{} holds no checkpoint", run.display()), remedy)
}

/// Says why a newer checkpoint is not the one that is taken up.
fn passed_over(error: ResumeError) {
    say("passed over", &format!("{:#}", anyhow::Error::from(error)));
}

/// Makes sure, before any data is read, that a run that is to go on is the recipe's, and else that
/// none is overwritten.
fn check_folder(args: &TrainArgs, recipe: &TrainConfig) -> anyhow::Result<()> {
    if args.resume {
        return match check_recipe(&args.out, recipe) {
            Ok(true) => Ok(()),
            // Whoever resumes does not mean to begin, let alone to lose the model that lies there.
            Ok(false) => {
                let remedy = "leave --resume out to begin, or name the folder of a run";
                Err(no_checkpoint(&args.out, remedy))
            }
            Err(error @ ResumeError::Recipe { .. }) => {
                Err(user_error(error, "resume with that recipe, or choose another --out"))
            }
            Err(other) => Err(other.into()),
        };
    }
    if !matches!(saved_recipe(&args.out), Ok(None)) {
        let error = anyhow::anyhow!("{} holds a run already", args.out.display());
        return Err(user_error(error, "add --resume to go on with it, or choose another --out"));
    }
    if args.out.join("model").exists() {
        let error = anyhow::anyhow!("{} holds a model already", args.out.display());
        return Err(user_error(error, "choose another --out"));
    }
    Ok(())
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
            let layers = |losses: &[f32]| {
                losses.iter().map(|loss| format!("{loss:.2}")).collect::<Vec<_>>().join(" ")
            };
            let reward = line.reward.map(|reward| format!(", reward {reward:.2}"));
            bar.set_message(format!(
                "loss {:.2}, caption {}, entailment {}{}, {:.0} pictures/s, {:.0} min left",
                line.loss,
                layers(&line.caption),
                layers(&line.entailment),
                reward.unwrap_or_default(),
                line.pictures_per_s,
                line.left_s / 60.0
            ));
        }
        Line::Evaluation(line) => {
            bar.println(format!("step {}: {}", line.step, summary(&line.scores)));
        }
        Line::Resumed(step) => bar.println(format!("resumed at step {step}")),
        Line::Problem(line) => {
            let problem = Problem { place: line.place.clone(), message: line.message.clone() };
            bar.suspend(|| warn(&problem));
        }
    }
}

//! `mue calibrate`: which exits keep a promised quality.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use mue_data::datasets::DataSpec;
use mue_engine::{DeviceChoice, EngineSettings, TaskCalibration};
use mue_eval::{CONFIDENCE_MAX, CalibrationPlan, EvalData, calibrate};

use crate::data::{DataArgs, report_unusable};
use crate::engine_error::not_measured;
use crate::error::user_error;
use crate::eval::TaskArg;
use crate::model::{open_model, share};
use crate::model_files::{CALIBRATION, read_calibration};
use crate::whole_file;

const LONG_ABOUT: &str = "\
Find the exits that keep a promised quality, and write them into the model folder.

The first samples (--search) are for finding rules, the others for certifying them: static
depths, per-layer thresholds of similarity, top probability and entropy, patience, and deferral
of unsure answers (for captions, whose rules have to be run one by one, static depths, similarity
of the picture and top probability); MuE's rule of one threshold per branch apart.
calibration.json then holds the certified points, from the safest to the cheapest, the defaults
(`--exit auto`) and MuE's (`--exit mue`).

A point promises that on --fresh other samples of the same kind the quality relative to full
depth will be at least retention_low: at the default confidence of 95%, on all but one of 20
such sets of samples, whichever point is chosen.";

const EXAMPLES: &str = "\
Examples:
  mue calibrate --data scenes:seed=1,count=4000,split=dev --model demo
  mue calibrate --task caption --data dataset_coco.json --split val --model ofa --promise 0.98";

/// What `auto` keeps unless the user says otherwise: the paper loses about as much.
const PROMISE_CAPTION: f64 = 0.97;
const PROMISE_ENTAILMENT: f64 = 0.99;

/// Find the exits that keep a promised quality
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct CalibrateArgs {
    /// scenes:seed=S,count=N[,split=train|dev|test], an annotation file, or a folder with one
    #[arg(long, value_name = "DATA")]
    data: DataSpec,
    #[command(flatten)]
    reading: DataArgs,
    /// Model folder; its calibration.json is written
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// caption or entailment; may be given twice [default: both]
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<TaskArg>,
    /// Quality to keep [default: 0.97 of CIDEr-D, 0.99 of accuracy]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    promise: Option<f64>,
    /// Confidence of the promise
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = confidence)]
    confidence: f64,
    /// Samples to search on [default: a quarter of the data, 400 at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    search: Option<u32>,
    /// Fresh samples that the promise is about
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..))]
    fresh: u32,
    /// Points to certify, at most
    #[arg(long, value_name = "N", default_value_t = 12,
          value_parser = clap::value_parser!(u32).range(2..))]
    points: u32,
    /// Device to run on: auto, flex, ndarray or wgpu
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

fn confidence(text: &str) -> Result<f64, String> {
    let confidence = share(text)?;
    match confidence > 0.5 && confidence <= CONFIDENCE_MAX {
        true => Ok(confidence),
        false => Err(format!("{text:?} is no confidence above 0.5 and up to {CONFIDENCE_MAX}")),
    }
}

/// Calibrates the model and says what was found.
pub(crate) fn run(args: &CalibrateArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let both = [TaskArg::Caption, TaskArg::Entailment];
    let tasks = if args.tasks.is_empty() { &both[..] } else { &args.tasks };
    // Before anything is measured, since a measurement is dear.
    let prepared =
        tasks.iter().map(|task| prepare(args, *task)).collect::<anyhow::Result<Vec<_>>>()?;
    let settings = EngineSettings { device: args.device, ..EngineSettings::default() };
    let engine = open_model(args.model.clone().into(), settings)?;
    let path = args.model.join(CALIBRATION);
    whole_file::check(&path).map_err(|error| unwritable(&path, error))?;
    let mut printed: anyhow::Result<()> = Ok(());
    for (task, data, plan) in &prepared {
        let found = calibrate(&engine, data, plan)
            .map_err(|error| not_measured(error, "`mue help calibrate` says what is needed"))?;
        report_unusable(data);
        let kept = keep(&args.model, *task, &found);
        // What cannot be kept is shown all the same, and what nobody reads is kept for every task.
        printed = printed.and_then(|()| print(out, (*task, plan), &found));
        kept?;
    }
    printed
}

/// The data of one task, and how it is calibrated on that.
fn prepare(
    args: &CalibrateArgs,
    task: TaskArg,
) -> anyhow::Result<(TaskArg, EvalData, CalibrationPlan)> {
    let data = args.reading.open(&args.data, task)?;
    let plan = plan(args, task, data.len())?;
    Ok((task, data, plan))
}

fn plan(args: &CalibrateArgs, task: TaskArg, samples: usize) -> anyhow::Result<CalibrationPlan> {
    let search = args.search.map_or((samples / 4).clamp(1, 400), |search| search as usize);
    if search >= samples {
        let error = anyhow::anyhow!("{samples} samples leave none to certify on after {search}");
        return Err(user_error(error, "name more data, or a smaller --search"));
    }
    let promise = args.promise.unwrap_or(match task {
        TaskArg::Caption => PROMISE_CAPTION,
        TaskArg::Entailment => PROMISE_ENTAILMENT,
    });
    let (fresh, points) = (args.fresh as usize, args.points as usize);
    Ok(CalibrationPlan { search, promise, confidence: args.confidence, fresh, points })
}

/// Writes what was found for one task beside what the file holds of the other by now: another run
/// may have calibrated that meanwhile.
fn keep(model: &Path, task: TaskArg, found: &TaskCalibration) -> anyhow::Result<()> {
    let mut calibration = read_calibration(model)?.unwrap_or_default();
    match task {
        TaskArg::Caption => calibration.caption = found.clone(),
        TaskArg::Entailment => calibration.entailment = found.clone(),
    }
    let path = model.join(CALIBRATION);
    let json = serde_json::to_vec_pretty(&calibration)?;
    whole_file::write(&path, &json).map_err(|error| unwritable(&path, error))
}

fn unwritable(path: &Path, error: io::Error) -> anyhow::Error {
    let error = anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
    user_error(error, "calibrate a model in a folder that can be written to")
}

fn print(
    out: &mut dyn Write,
    (task, plan): (TaskArg, &CalibrationPlan),
    found: &TaskCalibration,
) -> anyhow::Result<()> {
    writeln!(out, "### {}\n\n| retention | at least | MACs saved | layers | exits |", task.name())?;
    writeln!(out, "|---|---|---|---|---|")?;
    let mue = found.mue.iter().map(|point| (point, " (mue)"));
    let points = found.points.iter().map(|point| {
        (point, if found.auto.as_ref() == Some(&point.exits) { " (auto)" } else { "" })
    });
    for (point, chosen) in points.chain(mue) {
        let layers = point.layers.map(|layers| format!("{layers:.2}")).join(" / ");
        writeln!(
            out,
            "| {:.4} | {:.4} | {:.1}% | {layers} | `{}`{chosen} |",
            point.retention,
            point.promise(),
            100.0 * (1.0 - point.macs / point.macs_full),
            serde_json::to_string(&point.exits)?
        )?;
    }
    if found.auto.is_none() {
        writeln!(out, "\nNo exits keep {} at this confidence: auto is full depth.", plan.promise)?;
    }
    if found.mue.as_ref().is_some_and(|mue| mue.retention_low < plan.promise) {
        writeln!(
            out,
            "\nMuE's rule does not keep {}: mue are its safest thresholds.",
            plan.promise
        )?;
    }
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use mue_engine::ExitRules;

    use super::*;

    #[test]
    fn a_task_that_was_calibrated_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let auto = Some(ExitRules::default());
        let found = TaskCalibration { auto, ..TaskCalibration::default() };
        for task in [TaskArg::Caption, TaskArg::Entailment] {
            keep(folder.path(), task, &found).unwrap();
        }
        let calibration = read_calibration(folder.path()).unwrap().unwrap();
        assert_eq!((&calibration.caption, &calibration.entailment), (&found, &found));
    }

    /// A quality that is copied from the file is that of its point.
    #[test]
    fn a_number_is_read_as_it_is_typed() {
        let typed = "0.9926704628746265";
        assert_eq!(serde_json::from_str::<f64>(typed).unwrap(), typed.parse::<f64>().unwrap());
    }
}

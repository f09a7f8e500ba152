//! `mue eval`: how good a model is, and what its exits keep and save.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use mue_data::datasets::{DataSpec, Task};
use mue_engine::EngineSettings;
use mue_eval::{
    Bootstrap, EvalData, Evaluation, Plan, TaskReport, evaluate, markdown, write_references,
    write_results,
};
use serde::Serialize;

use crate::error::user_error;
use crate::model::ModelArgs;

const LONG_ABOUT: &str = "\
Measure a model at full depth and with exits, in one run.

Quality, layers and multiply-accumulates are of all samples. The wall-clock of one request
is the median over the first samples (--timed), full depth and exits taking turns, without
the image cache; samples per second are batched as the server does. Intervals are 95%, by
bootstrap over the samples.";

const EXAMPLES: &str = "\
Examples:
  mue eval --task entailment --data scenes:seed=1,count=2000 --model demo
  mue eval --task caption --data coco --model ofa --exit quality=0.97 --json
  mue eval --task caption --data scenes:seed=1,count=500 --model demo --out report";

/// Measure a model at full depth and with exits
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct EvalArgs {
    /// What to ask: caption or entailment; may be given twice
    #[arg(long = "task", value_name = "TASK", required = true)]
    tasks: Vec<TaskArg>,
    /// scenes:seed=S,count=N[,split=train|dev|test], an annotation file, or a folder with one
    #[arg(long, value_name = "DATA")]
    data: DataSpec,
    #[command(flatten)]
    model: ModelArgs,
    /// Samples that are timed one at a time, from the first
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..))]
    timed: u32,
    /// Write report.json, report.md and captions.json (COCO results) into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A task by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TaskArg {
    /// Describe the picture
    Caption,
    /// Judge a sentence
    Entailment,
}

impl TaskArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Caption => "caption",
            Self::Entailment => "entailment",
        }
    }
}

impl From<TaskArg> for Task {
    fn from(task: TaskArg) -> Self {
        match task {
            TaskArg::Caption => Self::Caption,
            TaskArg::Entailment => Self::Entailment,
        }
    }
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: String,
    device: String,
    data: String,
    exits: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<TaskReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entailment: Option<TaskReport>,
}

/// Measures the model and prints what was found.
pub(crate) fn run(args: &EvalArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    // A cached encoding would hide the cost of the picture.
    let settings = EngineSettings { image_cache_bytes_max: 0, ..EngineSettings::default() };
    let engine = args.model.open_with(settings)?;
    let mut report = Report {
        model: args.model.source().to_string(),
        device: engine.device().to_string(),
        data: args.data.to_string(),
        exits: args.model.exit_name(),
        caption: None,
        entailment: None,
    };
    for task in &args.tasks {
        let data = open_data(&args.data, *task)?;
        let bootstrap = Bootstrap { draws: 2_000, confidence: 0.95, seed: 0 };
        let plan = Plan { exit: args.model.exit(), timed: args.timed as usize, bootstrap };
        let evaluation = evaluate(&engine, &data, &plan)
            .map_err(|error| user_error(error, "`mue help eval` says what can be measured"))?;
        if let (Some(folder), TaskArg::Caption) = (&args.out, task) {
            write_captions(folder, &evaluation)?;
        }
        match task {
            TaskArg::Caption => report.caption = Some(evaluation.report),
            TaskArg::Entailment => report.entailment = Some(evaluation.report),
        }
    }
    let (json, table) = (serde_json::to_string_pretty(&report)?, tables(&report));
    if let Some(folder) = &args.out {
        write_file(folder, "report.json", json.as_bytes())?;
        write_file(folder, "report.md", table.as_bytes())?;
    }
    match args.model.json {
        true => writeln!(out, "{json}")?,
        false => write!(out, "{table}")?,
    }
    Ok(())
}

/// Opens the data that the user named.
pub(crate) fn open_data(spec: &DataSpec, task: TaskArg) -> anyhow::Result<EvalData> {
    EvalData::open(spec, task.into()).map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("cannot use the data {spec}"));
        user_error(error, "name scenes:seed=S,count=N, an annotation file, or a folder with one")
    })
}

fn tables(report: &Report<'_>) -> String {
    let mut text = format!(
        "{} on {}, data {}, exits {}\n",
        report.model, report.device, report.data, report.exits
    );
    for (task, report) in [("caption", &report.caption), ("entailment", &report.entailment)] {
        if let Some(report) = report {
            text += "\n";
            text += &markdown(task, report);
        }
    }
    text
}

/// The captions as the official tools read them, and their references beside them.
fn write_captions(folder: &Path, evaluation: &Evaluation) -> anyhow::Result<()> {
    let captions = evaluation.captions();
    let mut results = Vec::new();
    write_results(&captions, &mut results)?;
    write_file(folder, "captions.json", &results)?;
    let mut references = Vec::new();
    write_references(&captions, &mut references)?;
    write_file(folder, "references.json", &references)
}

fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

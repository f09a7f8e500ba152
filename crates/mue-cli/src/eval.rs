//! `mue eval`: how good a model is, and what its exits keep and save.

mod machine;
mod progress;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};
use mue_data::datasets::{DataSpec, Task};
use mue_engine::{Engine, EngineSettings};
use mue_eval::{
    Bootstrap, Contender, EvalData, Evaluation, Frontier, FrontierPlan, Plan, Report, TaskResult,
    evaluate, frontier, write_references, write_results,
};

use crate::data::{DataArgs, report_unusable};
use crate::engine_error::not_measured;
use crate::error::user_error;
use crate::eval::progress::Progress;
use crate::folder::make_folder;
use crate::model::ModelArgs;
use crate::output::conclude;

const LONG_ABOUT: &str = "\
Measure a model at full depth and with exits, in one run.

Quality, layers and multiply-accumulates are of all samples. The wall-clock of one request
is the median over the first samples (--timed), full depth and exits taking turns, without
the image cache; samples per second are batched as the server does. Intervals are 95%, by
bootstrap over the pictures.

--frontier compares exit rules on the same weights: static truncation at every depth, MuE as
published, similarity per layer, top probability, entropy (DeeBERT), patience (PABEE), for
entailment top probability with unsure answers deferred, and the points of the model's
calibration. What each family does best at a level of quality is chosen on the --tune data and
then run on --data. --row adds another model's full depth and
MuE's rule, such as an ablation's.";

const EXAMPLES: &str = "\
Examples:
  mue eval --task entailment --data scenes:seed=1,count=2000 --model demo
  mue eval --task caption --data dataset_coco.json --split test --model ofa --exit quality=0.97
  mue eval --task caption --data scenes:seed=1,count=500 --model demo --out report
  mue eval --task caption --task entailment --data scenes:seed=2,count=1000 --frontier \\
    --tune scenes:seed=1,count=1600,split=dev --row \"without decomposition=joint\" --out report";

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
    reading: DataArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// Samples that are timed one at a time, from the first
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..))]
    timed: u32,
    /// Compare exit rules: static truncation, MuE, and other signals
    #[arg(long, requires = "tune")]
    frontier: bool,
    /// Data on which each rule's operating points are chosen; not that of --data (scenes that were written
    /// to files are not known again)
    #[arg(long, value_name = "DATA", requires = "frontier")]
    tune: Option<DataSpec>,
    /// Split to take of a --tune file that holds several; may be repeated
    #[arg(long = "tune-split", value_name = "SPLIT", requires = "tune")]
    tune_splits: Vec<String>,
    /// Another model in the frontier, under a name; may be repeated
    #[arg(long = "row", value_name = "NAME=DIR", requires = "frontier")]
    rows: Vec<RowArg>,
    /// Write report.json, report.md, report.html, plots of a frontier (SVG) and, of captions,
    /// captions.json (COCO results) and references.json into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Another model's folder and what its rows are called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RowArg {
    name: String,
    folder: PathBuf,
}

impl FromStr for RowArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, folder)) if !name.is_empty() && !folder.is_empty() => {
                Ok(Self { name: name.to_owned(), folder: folder.into() })
            }
            _ => Err(format!("{text:?} is no NAME=DIR")),
        }
    }
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

/// A model opened twice: for answers, and for the clock without cached pictures, whose encodings
/// would hide the cost of the picture.
struct Opened {
    engine: Engine,
    clock: Engine,
}

/// Measures the model and prints what was found.
pub(crate) fn run(args: &EvalArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let opened =
        args.tasks.iter().map(|task| open_data(args, *task)).collect::<anyhow::Result<Vec<_>>>()?;
    // Before anything is measured, since a measurement is dear.
    args.out.iter().try_for_each(|folder| make_folder(folder))?;
    let uncached = EngineSettings { image_cache_bytes_max: 0, ..EngineSettings::default() };
    let clock = args.model.open_with(uncached)?;
    let mut report = Report {
        model: args.model.source().to_string(),
        device: clock.device().to_string(),
        machine: machine::in_words(),
        date: machine::today(),
        command: machine::command_line(),
        data: data_name(&opened),
        exits: args.model.exit_name().to_owned(),
        caption: None,
        entailment: None,
    };
    let contenders = args.frontier.then(|| contenders(args)).transpose()?;
    for (task, (data, tune)) in args.tasks.iter().zip(&opened) {
        let plan =
            Plan { exit: args.model.exit(), timed: args.timed as usize, bootstrap: BOOTSTRAP };
        let evaluation = evaluate(&clock, data, &plan)
            .map_err(|error| not_measured(error, "`mue help eval` says what can be measured"))?;
        if let (Some(folder), TaskArg::Caption) = (&args.out, task) {
            write_captions(folder, &evaluation)?;
        }
        let frontier = contenders.as_ref().zip(tune.as_ref()).map(|((engine, others), tune)| {
            compare(args, (*task, tune, data), (engine, &clock), others)
        });
        let found = TaskResult { report: evaluation.report, frontier: frontier.transpose()? };
        report_unusable(data);
        match task {
            TaskArg::Caption => report.caption = Some(found),
            TaskArg::Entailment => report.entailment = Some(found),
        }
    }
    let written = args.out.as_ref().map_or(Ok(()), |folder| write_report(folder, &report));
    // What cannot be written is shown all the same: it took long to measure.
    conclude(print(args, &report, out), written)
}

/// What the data is called; once, where it is called alike for every task.
fn data_name(opened: &[(EvalData, Option<EvalData>)]) -> String {
    let mut names: Vec<&str> = opened.iter().map(|(data, _)| data.name()).collect();
    names.dedup();
    names.join(", ")
}

/// The data of one task, and what rules are tuned on if they are: other samples.
fn open_data(args: &EvalArgs, task: TaskArg) -> anyhow::Result<(EvalData, Option<EvalData>)> {
    let data = args.reading.open(&args.data, task)?;
    let tune = args.tune.as_ref();
    let tune =
        tune.map(|tune| args.reading.open_splits(tune, task, &args.tune_splits)).transpose()?;
    match &tune {
        Some(tune) if tune.dataset().overlaps(data.dataset()) => {
            let error = anyhow::anyhow!("--tune and --data have samples in common");
            Err(user_error(error, "tune on others, such as split=dev"))
        }
        _ => Ok((data, tune)),
    }
}

const BOOTSTRAP: Bootstrap = Bootstrap { draws: 2_000, confidence: 0.95, seed: 0 };

/// The model with a cache, and the other models.
fn contenders(args: &EvalArgs) -> anyhow::Result<(Engine, Vec<Opened>)> {
    let engine = args.model.open_with(EngineSettings::default())?;
    let size = engine.model().settings().image_size;
    let open = |row: &RowArg| {
        let open = |settings| args.model.open_other(row.folder.clone(), settings);
        let uncached = EngineSettings { image_cache_bytes_max: 0, ..EngineSettings::default() };
        let (engine, clock) = (open(EngineSettings::default())?, open(uncached)?);
        match engine.model().settings().image_size {
            other if other == size => Ok(Opened { engine, clock }),
            other => {
                let error = anyhow::anyhow!(
                    "{} takes pictures of {other} pixels, the model of {size}",
                    row.folder.display()
                );
                Err(user_error(error, "compare models of one picture size"))
            }
        }
    };
    let others = args.rows.iter().map(open).collect::<anyhow::Result<_>>()?;
    Ok((engine, others))
}

/// One task's frontier.
fn compare(
    args: &EvalArgs,
    (task, tune, data): (TaskArg, &EvalData, &EvalData),
    (engine, clock): (&Engine, &Engine),
    others: &[Opened],
) -> anyhow::Result<Frontier> {
    let named = args.rows.iter().zip(others);
    let others: Vec<Contender<'_>> = named
        .map(|(row, Opened { engine, clock })| Contender { name: Some(&row.name), engine, clock })
        .collect();
    let model = Contender { name: None, engine, clock };
    let progress = Progress::new(task.name());
    let heard = |what: &str, done, total| progress.at(what, (done, total));
    let plan = FrontierPlan { timed: args.timed as usize, bootstrap: BOOTSTRAP, progress: &heard };
    let found = frontier((&model, &others), (tune, data), &plan)
        .map_err(|error| not_measured(error, "`mue help eval` says what can be compared"))?;
    report_unusable(tune);
    Ok(found)
}

fn print(args: &EvalArgs, report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    match args.model.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(report)?)?,
        false => write!(out, "{}", report.markdown())?,
    }
    Ok(out.flush()?)
}

fn write_report(folder: &Path, report: &Report) -> anyhow::Result<()> {
    write_file(folder, "report.json", serde_json::to_string_pretty(report)?.as_bytes())?;
    write_file(folder, "report.md", report.markdown().as_bytes())?;
    write_file(folder, "report.html", report.html()?.as_bytes())?;
    for (name, svg) in report.plots()? {
        write_file(folder, &name, svg.as_bytes())?;
    }
    Ok(())
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
    std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_name_and_a_folder() {
        let row: RowArg = "without decomposition=models/joint".parse().unwrap();
        let folder = PathBuf::from("models/joint");
        assert_eq!(row, RowArg { name: "without decomposition".into(), folder });
        for wrong in ["joint", "=joint", "joint="] {
            assert!(wrong.parse::<RowArg>().unwrap_err().contains("NAME=DIR"), "{wrong}");
        }
    }
}

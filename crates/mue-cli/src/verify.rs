//! `mue verify`: whether calibrated exits keep their promise on fresh data.

use std::io::{self, Write};

use anyhow::anyhow;
use clap::Args;
use mue_data::datasets::DataSpec;
use mue_data::scenes::{SceneSet, Split};
use mue_engine::{Engine, EngineSettings, OperatingPoint};
use mue_eval::{promised, retention};
use serde::Serialize;

use crate::data::DataArgs;
use crate::engine_error::not_measured;
use crate::error::user_error;
use crate::eval::TaskArg;
use crate::model::ModelArgs;
use crate::output::conclude;

const LONG_ABOUT: &str = "\
Check on fresh scenes that calibrated exits keep what calibration.json promises.

Every seed is a data set of its own, of samples that neither training nor calibration has seen.
A promise is kept on it if the quality relative to full depth is at least the retention_low of
the exits in use, to four places. The exit code is 1 if fewer seeds keep it than the promise's
confidence says; of fewer samples than the promise is about, it is only told.";

const EXAMPLES: &str = "\
Examples:
  mue verify --seeds 20 --count 1000
  mue verify --task caption --exit quality=0.97 --model demo --json";

/// Check that calibrated exits keep their promise
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Data sets to check on
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Seed of the first
    #[arg(long, value_name = "S", default_value_t = 1000)]
    seed: u64,
    /// Samples of each [default: as many as the promise is about]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// caption or entailment; may be given twice [default: both]
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<TaskArg>,
    #[command(flatten)]
    model: ModelArgs,
}

/// What was found for one task.
#[derive(Debug, Serialize)]
struct Verdict {
    task: &'static str,
    /// Samples of each seed.
    samples: usize,
    /// Samples that the promise is about.
    fresh: usize,
    /// What the retention is promised to be at least.
    promise: f64,
    confidence: f64,
    kept: usize,
    retention: Vec<f64>,
}

/// Checks every task, prints what was found, and fails if a promise is not kept.
pub(crate) fn run(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let engine = args.model.open_with(EngineSettings::default())?;
    let tasks = match args.tasks.as_slice() {
        [] => &[TaskArg::Caption, TaskArg::Entailment],
        tasks => tasks,
    };
    // All of them before anything is measured, since a measurement is dear.
    let promises =
        tasks.iter().map(|task| promise(args, &engine, *task)).collect::<Result<Vec<_>, _>>()?;
    let named = tasks.iter().copied().zip(promises);
    let verdicts =
        named.map(|promise| verdict(args, &engine, promise)).collect::<Result<Vec<_>, _>>()?;
    let broken = verdicts.iter().find(|verdict| {
        let least = verdict.confidence * verdict.retention.len() as f64;
        verdict.samples >= verdict.fresh && (verdict.kept as f64) < least - 1e-9
    });
    let ending = broken
        .map_or(Ok(()), |verdict| Err(anyhow!("the promise for {} is not kept", verdict.task)));
    conclude(print(args, &verdicts, out), ending)
}

/// What is promised of the exits for a task.
fn promise<'a>(
    args: &VerifyArgs,
    engine: &'a Engine,
    task: TaskArg,
) -> anyhow::Result<&'a OperatingPoint> {
    promised(engine, task.into(), &args.model.exit()).ok_or_else(|| {
        let error = anyhow!("nothing is promised of the exits {:?}", args.model.exit_name());
        let remedy = "`mue calibrate` certifies `auto`, `mue` and qualities; where no exits keep its \
                      --promise, `auto` is full depth";
        user_error(error, remedy)
    })
}

fn verdict(
    args: &VerifyArgs,
    engine: &Engine,
    (task, point): (TaskArg, &OperatingPoint),
) -> anyhow::Result<Verdict> {
    let exit = args.model.exit();
    let (promise, confidence, fresh) = (point.promise(), point.confidence, point.fresh);
    let samples = args.count.map_or(fresh, |count| count as usize);
    let mut retentions = Vec::new();
    let beyond = args.seed.checked_add(args.seeds).ok_or_else(|| {
        user_error(
            anyhow!("there are no {} seeds from {} on", args.seeds, args.seed),
            "begin lower",
        )
    })?;
    for seed in args.seed..beyond {
        let set = SceneSet::new(seed, Split::Test);
        let scenes = DataSpec::Scenes { set, count: samples };
        let data = DataArgs::default().open(&scenes, task)?;
        let found = retention(engine, &data, &exit)
            .map_err(|error| not_measured(error, "`mue help verify` says what is checked"))?;
        retentions.push(found.ok_or_else(|| {
            let error = anyhow!("full depth has no quality on {scenes}, so there is none to keep");
            user_error(error, "check on more samples (--count)")
        })?);
    }
    let kept = retentions.iter().filter(|retention| **retention >= promise).count();
    let task = task.name();
    Ok(Verdict { task, samples, fresh, promise, confidence, kept, retention: retentions })
}

fn print(args: &VerifyArgs, verdicts: &[Verdict], out: &mut dyn Write) -> anyhow::Result<()> {
    match args.model.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(verdicts)?)?,
        false => verdicts.iter().try_for_each(|verdict| print_line(verdict, out))?,
    }
    Ok(out.flush()?)
}

fn print_line(verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    let Verdict { task, samples, fresh, promise, confidence, kept, retention } = verdict;
    let least = retention.iter().copied().fold(f64::INFINITY, f64::min);
    writeln!(
        out,
        "{task}: a retention of at least {promise:.4} is promised at {:.0}% confidence; kept on \
         {kept} of {} seeds of {samples} samples, the lowest was {least:.4}",
        100.0 * confidence,
        retention.len()
    )?;
    match samples < fresh {
        true => writeln!(out, "{task}: on fewer than {fresh} samples nothing is promised"),
        false => Ok(()),
    }
}

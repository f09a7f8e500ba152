//! The data that a command asks a model about, and what is said of data that cannot be used.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use mue_data::datasets::{DataSpec, DatasetOptions, Problem, Problems};
use mue_eval::EvalData;

use crate::error::user_error;
use crate::eval::TaskArg;

/// How the files of a data set are read.
#[derive(Debug, Default, Args)]
pub(crate) struct DataArgs {
    /// Split to take of a file that holds several, as Karpathy's does; may be repeated
    #[arg(long = "split", value_name = "SPLIT")]
    splits: Vec<String>,
    /// Folder of the pictures [default: around the annotations]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Entries, and pictures in each pass, that may be unusable; they are left out
    #[arg(long, value_name = "N", default_value_t = 0)]
    problems_max: usize,
}

impl DataArgs {
    /// Opens the data that the user named, and says what is left out of it.
    pub(crate) fn open(&self, spec: &DataSpec, task: TaskArg) -> anyhow::Result<EvalData> {
        self.open_splits(spec, task, &self.splits)
    }

    /// Opens other data that is read alike, and other splits of it.
    pub(crate) fn open_splits(
        &self,
        spec: &DataSpec,
        task: TaskArg,
        splits: &[String],
    ) -> anyhow::Result<EvalData> {
        let options = DatasetOptions {
            images: self.images.clone(),
            splits: splits.to_vec(),
            problems_max: self.problems_max,
        };
        let data = EvalData::open(spec, task.into(), &options).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("cannot use the data {spec}"));
            user_error(
                error,
                "name scenes:seed=S,count=N, an annotation file, or a folder with one",
            )
        })?;
        let dataset = data.dataset();
        if !splits.is_empty() && dataset.splits().is_empty() {
            let error =
                anyhow::anyhow!("{spec} tells no splits apart, so {splits:?} cannot be taken");
            return Err(user_error(error, "name no split of it"));
        }
        left_out(dataset.problems().first(), dataset.problems().count());
        if dataset.disputed() > 0 {
            let disputed = dataset.disputed();
            say("left out", &format!("{disputed} of {spec} whose annotators do not agree"));
        }
        Ok(data)
    }
}

/// Says which samples were left out, once all passes over the data are done.
pub(crate) fn report_unusable(data: &EvalData) {
    let unusable = data.unusable();
    left_out(&unusable[..unusable.len().min(Problems::KEPT)], unusable.len());
}

/// Says the first things that cannot be used, and how many more there are.
pub(crate) fn left_out(first: &[Problem], count: usize) {
    first.iter().for_each(warn);
    let more = count.saturating_sub(first.len());
    if more > 0 {
        say("left out", &format!("{more} more, {count} in all"));
    }
}

/// Says what cannot be used.
pub(crate) fn warn(problem: &Problem) {
    say("left out", &problem.to_string());
}

/// Says something on standard error, free of what a terminal would obey.
pub(crate) fn say(what: &str, why: &str) {
    let why = why.replace(char::is_control, " ");
    // Nobody is left to be told when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{what}: {why}");
}

//! The data that a command asks a model about.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use mue_data::datasets::{DataSpec, DatasetOptions};
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
    /// The splits to take.
    pub(crate) fn splits(&self) -> &[String] {
        &self.splits
    }

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
        for problem in dataset.problems().first() {
            note(format_args!("left out: {problem}"));
        }
        if dataset.disputed() > 0 {
            let disputed = dataset.disputed();
            note(format_args!("left out: {disputed} of {spec} whose annotators do not agree"));
        }
        Ok(data)
    }
}

/// Says which pictures were left out, once all passes over the data are done.
pub(crate) fn report_unreadable(data: &EvalData) {
    for problem in data.unreadable() {
        note(format_args!("left out: {problem}"));
    }
}

/// A line on stderr; if nobody reads it, so be it.
fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

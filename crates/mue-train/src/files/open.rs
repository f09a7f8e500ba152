//! Which data set serves which task.

use std::path::Path;

use mue_data::datasets::{DataError, DataSpec, Dataset, DatasetOptions, Task};

use crate::config::DataConfig;

/// Why data sets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One cannot be opened or read.
    #[error("cannot use the data {name}")]
    Data {
        /// As the recipe names it.
        name: String,
        /// Why.
        source: DataError,
    },
    /// A name is none.
    #[error("{name:?} names no data set")]
    Name {
        /// As the recipe has it.
        name: String,
        /// Why.
        source: mue_data::datasets::SpecError,
    },
    /// Two are for one task.
    #[error("{name} is a second data set for one task; name one file or folder for each")]
    Twice {
        /// As the recipe names it.
        name: String,
    },
    /// None is for a task that is learned.
    #[error("{names} has nothing for the tasks that are learned")]
    NoTask {
        /// As the recipe names them.
        names: String,
    },
    /// No file has splits.
    #[error("{names} tells no splits apart; leave data.splits and data.dev_splits out")]
    NoSplits {
        /// As the recipe names them.
        names: String,
    },
    /// A task would have no picture.
    #[error("data.caption_share leaves a task without any of the {pictures} pictures of a group")]
    Share {
        /// Pictures of a group.
        pictures: usize,
    },
}

/// How the files of a recipe are read.
pub(super) fn options(config: &DataConfig, splits: &[String]) -> DatasetOptions {
    DatasetOptions {
        images: config.images.clone(),
        splits: splits.to_vec(),
        problems_max: config.problems_max,
    }
}

/// Opens what is named, captions first, for those tasks that are wanted and that it serves.
pub(super) fn open(
    names: &[String],
    tasks: &[Task],
    options: &DatasetOptions,
) -> Result<Vec<(Task, Dataset)>, FilesError> {
    let mut found = Vec::new();
    for task in [Task::Caption, Task::Entailment] {
        for name in names.iter().filter(|_| tasks.contains(&task)) {
            let spec: DataSpec =
                name.parse().map_err(|source| FilesError::Name { name: name.clone(), source })?;
            if !serves(&spec, task) {
                continue;
            }
            match spec.open(task, options) {
                // A folder may have annotations for one task alone.
                Err(DataError::NoAnnotations { .. }) => {}
                Ok(_) if found.iter().any(|(other, _)| *other == task) => {
                    return Err(FilesError::Twice { name: name.clone() });
                }
                Ok(dataset) => found.push((task, dataset)),
                Err(source) => return Err(FilesError::Data { name: name.clone(), source }),
            }
        }
    }
    let has_splits = found.iter().any(|(_, dataset)| !dataset.splits().is_empty());
    match found.is_empty() {
        true => Err(FilesError::NoTask { names: names.join(", ") }),
        false if !options.splits.is_empty() && !has_splits => {
            Err(FilesError::NoSplits { names: names.join(", ") })
        }
        false => Ok(found),
    }
}

/// Whether a data set may be for a task: files tell by their ending, scenes are for both.
fn serves(spec: &DataSpec, task: Task) -> bool {
    let is_file = |path: &Path, ending: &str| path.extension().is_some_and(|it| it == ending);
    match (spec, task) {
        (DataSpec::Path(path), Task::Caption) => !is_file(path, "jsonl"),
        (DataSpec::Path(path), Task::Entailment) => !is_file(path, "json"),
        (DataSpec::Scenes { .. }, _) => true,
    }
}

//! Why a data set cannot be used.

use std::path::{Path, PathBuf};

use super::problem::Problem;

/// Why a data set cannot be opened or read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder is missing or unreadable.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not JSON, or not of a known shape.
    #[error("{path} is not an annotation file; known are COCO captions and Karpathy's split")]
    Annotations {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        source: serde_json::Error,
    },
    /// The file is COCO's without annotations, as its `image_info` files are.
    #[error("{path} has images without captions; COCO's captions are in captions_*.json")]
    NoCaptions {
        /// The file.
        path: PathBuf,
    },
    /// The folder has no annotation file for the task.
    #[error("{folder} has no {expected}")]
    NoAnnotations {
        /// The folder.
        folder: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// The folder has several.
    #[error("{folder} has several annotation files, {}: name one of them", names.join(", "))]
    SeveralAnnotations {
        /// The folder.
        folder: PathBuf,
        /// The files.
        names: Vec<String>,
    },
    /// The file holds several splits and none was chosen, or not the chosen one.
    #[error("{path} holds the splits {}: choose among them", splits.join(", "))]
    Splits {
        /// The file.
        path: PathBuf,
        /// The splits.
        splits: Vec<String>,
    },
    /// A file of this kind serves the other task.
    #[error("{path} is for {kind}")]
    OtherTask {
        /// The file.
        path: PathBuf,
        /// What it is for.
        kind: &'static str,
    },
    /// Nothing is left.
    #[error("{path} has no usable sample")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A sample that was there is not there any more.
    #[error("{0}")]
    Sample(Problem),
    /// More went wrong than is borne.
    #[error("more than {count_max} samples cannot be used; the last is {last}")]
    TooManyProblems {
        /// How many are borne.
        count_max: usize,
        /// The one too many.
        last: Problem,
    },
    /// A thread for decoding cannot be started.
    #[error("cannot start a thread for decoding pictures")]
    Thread(#[source] std::io::Error),
    /// A thread broke down.
    #[error("a thread that decodes pictures broke down at sample {0}")]
    ThreadBroke(usize),
}

impl DataError {
    pub(super) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}

//! Why training fails.

use mue_data::datasets::DataError;
use mue_model::ConfigError;
use mue_model::weights::{CheckpointError, LoadError};

use crate::checkpoint::ResumeError;

/// Why training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The first weights do not make the model.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The configuration cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The worker threads cannot be made.
    #[error("cannot start the worker threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] ResumeError),
    /// The weights cannot be exported.
    #[error(transparent)]
    Export(#[from] CheckpointError),
    /// The log cannot be written.
    #[error("cannot write the log")]
    Log(#[from] std::io::Error),
    /// The data cannot be read on.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There are no more batches.
    #[error("the data ended at step {0}")]
    DataEnded(u64),
    /// Nothing says what captions are rewarded for.
    #[error("self-critical training needs captions to be rewarded by")]
    NoReward,
    /// The loss is not a number any more.
    #[error(
        "the loss is not finite at step {0}; start anew with a lower learning rate, or from the last \
         checkpoint's model (`mue train --export`) by model.from"
    )]
    NotFinite(u64),
}

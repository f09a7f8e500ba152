//! Why a model cannot be evaluated.

use mue_data::datasets::DataError;
use mue_engine::InvalidRequest;
use mue_engine::batcher::SubmitError;
use thiserror::Error;

use crate::{BootstrapError, ScoreError};

/// Why a model cannot be evaluated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The data cannot be read.
    #[error("cannot read the data")]
    Data(#[from] DataError),
    /// A sample, or the way to exit, is not for this model.
    #[error("cannot ask the model about sample {sample}")]
    Request {
        /// The sample's name.
        sample: String,
        /// Why.
        source: InvalidRequest,
    },
    /// The model failed on a sample.
    #[error("the model has no answer to sample {sample}: {reason}")]
    Answer {
        /// The sample's name.
        sample: String,
        /// Why.
        reason: String,
    },
    /// The engine takes no requests.
    #[error("the engine takes no requests")]
    Submit(#[from] SubmitError),
    /// The answers cannot be scored.
    #[error("cannot score the answers")]
    Score(#[from] ScoreError),
    /// There is no interval.
    #[error("cannot say how sure the scores are")]
    Bootstrap(#[from] BootstrapError),
}

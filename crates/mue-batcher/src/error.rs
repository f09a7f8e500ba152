//! What can go wrong with a request, and where.

use std::fmt;
use std::time::Duration;

/// Where a request is between its arrival and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Waiting to be admitted.
    Queue,
    /// In a cohort, or encoded and about to join the decode set.
    Encode,
    /// In the decode set.
    Decode,
}

impl Stage {
    /// Every stage, in the order that a request goes through them.
    pub const ALL: [Self; 3] = [Self::Queue, Self::Encode, Self::Decode];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Encode => "encode",
            Self::Decode => "decode",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why a list of requests was not accepted. None of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue has no room now.
    #[error("the queue is full")]
    QueueFull {
        /// When there will be room at the rate at which rows have been leaving, if any have.
        retry_after: Option<Duration>,
    },
    /// It could never be accepted.
    #[error("{rows} rows are more than the {rows_max} that can be taken at once")]
    TooLarge {
        /// Rows asked for.
        rows: usize,
        /// Rows possible.
        rows_max: usize,
    },
    /// The batcher is draining, or its worker has ended.
    #[error("shutting down")]
    ShuttingDown,
    /// The model could not be built again after a panic.
    #[error("the model is unavailable")]
    ModelUnavailable,
}

/// Why an accepted request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError<E> {
    /// Its deadline passed.
    #[error("the deadline passed in the {stage} stage")]
    DeadlineExceeded {
        /// Where it was then.
        stage: Stage,
    },
    /// The model failed on this request alone.
    #[error("the model failed on the request")]
    Model(#[source] E),
    /// The model panicked while the request was in flight.
    #[error("the model panicked")]
    ModelPanicked,
    /// The model could not be built again after a panic.
    #[error("the model is unavailable")]
    ModelUnavailable,
    /// The drain's deadline passed, or the worker ended.
    #[error("shutting down")]
    ShuttingDown,
}

//! Whose fault it is that there is no answer: that of who asks, or the model's.

use mue_data::datasets::DataError;
use mue_engine::batcher::SubmitError;
use mue_eval::EvalError;

use crate::error::{failure, user_error};

/// Requests that an engine does not take. The remedy is for those that are too large.
pub(crate) fn not_taken(error: SubmitError, remedy: &str) -> anyhow::Error {
    match error {
        SubmitError::TooLarge { .. } => user_error(error, remedy),
        _ => error.into(),
    }
}

/// A model that cannot be measured. The remedy is for what is asked of it.
pub(crate) fn not_measured(error: EvalError, remedy: &str) -> anyhow::Error {
    match error {
        EvalError::Answer { .. } => failure(error, "check the model's weights"),
        EvalError::Submit(SubmitError::TooLarge { .. }) => {
            user_error(error, "lower search.beam_size in the model's mue.json")
        }
        EvalError::Submit(_)
        | EvalError::Data(DataError::Thread(_) | DataError::ThreadBroke(_)) => error.into(),
        _ => user_error(error, remedy),
    }
}

#[cfg(test)]
mod tests {
    use mue_engine::InvalidRequest;

    use super::*;
    use crate::error::exit_code;

    #[test]
    fn what_the_model_fails_at_is_not_the_users_error() {
        let code = |error| exit_code(&not_measured(error, "name other data"));
        let sample = || "17".to_owned();
        let reason = "the model panicked".to_owned();
        assert_eq!(code(EvalError::Answer { sample: sample(), reason }), 1);
        assert_eq!(code(EvalError::Submit(SubmitError::ShuttingDown)), 1);
        assert_eq!(code(EvalError::Data(DataError::ThreadBroke(17))), 1);
        let source = InvalidRequest::NotCalibrated;
        assert_eq!(code(EvalError::Request { sample: sample(), source }), 2);
        let too_large = SubmitError::TooLarge { rows: 100, rows_max: 64 };
        assert_eq!(code(EvalError::Submit(too_large)), 2);
    }
}

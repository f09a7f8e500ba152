//! Bounds of a recipe's values; what lies outside is refused by its key.

use super::RecipeError;

/// Numbers that must not be 0.
pub(super) fn positive(values: &[(&str, u64)]) -> Result<(), RecipeError> {
    match values.iter().find(|(_, value)| *value == 0) {
        Some((key, _)) => Err(RecipeError::Value(format!("{key} must not be 0"))),
        None => Ok(()),
    }
}

/// Numbers with a limit.
pub(super) fn at_most(values: &[(&str, u64, u64)]) -> Result<(), RecipeError> {
    match values.iter().find(|(_, value, most)| value > most) {
        Some((key, value, most)) => {
            Err(RecipeError::Value(format!("{key} is {value}; at most {most} is possible")))
        }
        None => Ok(()),
    }
}

/// Shares and probabilities, between 0 and 1.
pub(super) fn shares(values: &[(&str, f32)]) -> Result<(), RecipeError> {
    match values.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
        Some((key, value)) => {
            Err(RecipeError::Value(format!("{key} is {value}, not between 0 and 1")))
        }
        None => Ok(()),
    }
}

/// Weights and rates: finite, and 0 or more.
pub(super) fn not_negative(values: &[(&str, f32)]) -> Result<(), RecipeError> {
    match values.iter().find(|(_, value)| !(0.0..f32::INFINITY).contains(value)) {
        Some((key, value)) => {
            Err(RecipeError::Value(format!("{key} is {value}, not a number of 0 or more")))
        }
        None => Ok(()),
    }
}

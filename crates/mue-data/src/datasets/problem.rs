//! What could not be read, and how much of it is too much.

use std::error::Error;
use std::fmt;

use super::error::DataError;

/// Something that could not be read, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `file:line`, or `file: images[index]`.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    pub(super) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    /// With the error's causes in one line.
    pub(super) fn of_error(place: impl Into<String>, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::new(place, message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Problems met so far: how many, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    count: usize,
    count_max: usize,
    first: Vec<Problem>,
}

impl Problems {
    /// Problems beyond this many are counted and not kept.
    pub const KEPT: usize = 20;

    /// None yet, of which at most this many are borne.
    pub fn at_most(count_max: usize) -> Self {
        Self { count: 0, count_max, first: Vec::new() }
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first [`Problems::KEPT`] of them.
    pub fn first(&self) -> &[Problem] {
        &self.first
    }

    /// Counts a problem.
    ///
    /// # Errors
    ///
    /// If that is one too many.
    pub fn record(&mut self, problem: Problem) -> Result<(), DataError> {
        self.count += 1;
        if self.count > self.count_max {
            let count_max = self.count_max;
            return Err(DataError::TooManyProblems { count_max, last: problem });
        }
        if self.first.len() < Self::KEPT {
            self.first.push(problem);
        }
        Ok(())
    }
}

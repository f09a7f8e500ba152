//! The batcher's settings.

use std::time::Duration;

use crate::policy::Policy;

/// Limits and policy of one batcher.
///
/// Rows in flight are bounded by [`queue_rows_max`](Self::queue_rows_max) (reserved and queued) plus
/// [`rows_max`](Self::rows_max) (encoding and decoding).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Rows that may wait: queued, or reserved by a [`Permit`](crate::Permit).
    pub queue_rows_max: usize,
    /// Rows that may encode and decode at once.
    pub rows_max: usize,
    /// Rows that may encode together.
    pub cohort_rows_max: usize,
    /// How long a cohort that is not full waits for company, counted from the oldest arrival.
    /// Zero: a free worker starts at once.
    pub wait_max: Duration,
    /// How much later than it arrived a request counts as arriving, per class below the highest.
    pub aging: Duration,
    /// Who goes next, newcomers or the decode set.
    pub policy: Policy,
    /// Attempts in a row to build the model; when the last fails, everything is refused.
    pub build_attempts_max: u32,
    /// Wait between two such attempts. Requests stay queued meanwhile.
    pub build_wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_rows_max: 512,
            rows_max: 64,
            cohort_rows_max: 12,
            wait_max: Duration::ZERO,
            aging: Duration::from_secs(1),
            policy: Policy::default(),
            build_attempts_max: 5,
            build_wait: Duration::from_secs(1),
        }
    }
}

/// Why a [`Config`] makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A limit that has to let something through is zero.
    #[error("{key} must be at least 1")]
    Zero {
        /// Which.
        key: &'static str,
    },
    /// A duration is longer than a day.
    #[error("{key} must be at most a day")]
    TooLong {
        /// Which.
        key: &'static str,
    },
}

impl Config {
    /// Checks what the types leave open.
    ///
    /// # Errors
    ///
    /// If a limit is zero or a duration longer than a day.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut limits = vec![
            ("queue_rows_max", self.queue_rows_max),
            ("rows_max", self.rows_max),
            ("cohort_rows_max", self.cohort_rows_max),
            ("build_attempts_max", self.build_attempts_max as usize),
        ];
        if let Policy::Continuous { encode_steps_max, decode_steps_max, .. } = self.policy {
            limits.push(("encode_steps_max", encode_steps_max as usize));
            limits.push(("decode_steps_max", decode_steps_max as usize));
        }
        if let Some((key, _)) = limits.into_iter().find(|(_, limit)| *limit == 0) {
            return Err(ConfigError::Zero { key });
        }
        let durations =
            [("wait_max", self.wait_max), ("aging", self.aging), ("build_wait", self.build_wait)];
        match durations.into_iter().find(|(_, duration)| *duration > Duration::from_secs(86_400)) {
            Some((key, _)) => Err(ConfigError::TooLong { key }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_each_broken_key_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let config = Config { cohort_rows_max: 0, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Zero { key: "cohort_rows_max" }));
        let policy =
            Policy::Continuous { encode_steps_max: 1, decode_steps_max: 0, refill_rows_min: 0 };
        let config = Config { policy, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Zero { key: "decode_steps_max" }));
        let config = Config { aging: Duration::MAX, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::TooLong { key: "aging" }));
    }
}

//! Trying again after a failure that may pass, with pauses that double.

use std::thread;
use std::time::Duration;

use super::error::PullError;
use super::progress::Progress;

const RETRIES_MAX: u32 = 5;
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Counts the failures in a row of one piece of work.
pub(super) struct Retry<'a> {
    failures: u32,
    progress: &'a Progress,
}

impl<'a> Retry<'a> {
    pub(super) fn new(progress: &'a Progress) -> Self {
        Self { failures: 0, progress }
    }

    /// Waits until the next attempt.
    ///
    /// # Errors
    ///
    /// Gives `error` back when it will not pass or the attempts are used up.
    pub(super) fn pause(&mut self, error: PullError) -> Result<(), PullError> {
        if !error.is_transient() || self.failures == RETRIES_MAX {
            return Err(error);
        }
        let asked = match &error {
            PullError::Hub { source, .. } => source.retry_after().unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let pause = (PAUSE_FIRST * 2_u32.pow(self.failures)).max(asked).min(PAUSE_MAX);
        self.failures += 1;
        let why = anyhow::Error::new(error);
        self.progress.note(&format!(
            "{why:#}; trying again in {} s ({} of {RETRIES_MAX})",
            pause.as_secs_f32(),
            self.failures
        ));
        thread::sleep(pause);
        Ok(())
    }

    /// The work has come further: failures before this point no longer count.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Repeats `attempt` until it succeeds or fails for good.
pub(super) fn retrying<T>(
    progress: &Progress,
    mut attempt: impl FnMut() -> Result<T, PullError>,
) -> Result<T, PullError> {
    let mut retry = Retry::new(progress);
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => retry.pause(error)?,
        }
    }
}

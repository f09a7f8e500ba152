//! How often a key may ask: a bucket that holds a minute's requests and refills steadily.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a full bucket holds.
const PERIOD: Duration = Duration::from_secs(60);

/// The generic cell rate algorithm: all there is to remember is when the bucket will be full.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// What a request takes.
    interval: Duration,
    full_at: Mutex<Instant>,
}

impl RateLimit {
    /// So many requests per minute, at least 1, all of which may come at once.
    pub(crate) fn per_minute(requests: u32, now: Instant) -> Self {
        Self { interval: PERIOD / requests.max(1), full_at: Mutex::new(now) }
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// If the bucket is empty: how long until there is room for one.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Duration> {
        // An instant is whole even if another thread panicked.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*full_at).max(now) + self.interval;
        match after.duration_since(now).checked_sub(PERIOD) {
            None | Some(Duration::ZERO) => {
                *full_at = after;
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_requests_may_come_at_once_and_then_steadily() {
        let start = Instant::now();
        let limit = RateLimit::per_minute(3, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!([(); 3].map(|()| limit.take(start)), [Ok(()); 3]);
        assert_eq!(limit.take(start), Err(Duration::from_secs(20)));
        assert_eq!(limit.take(at(15)), Err(Duration::from_secs(5)));
        assert_eq!(limit.take(at(20)), Ok(()));
        assert_eq!(limit.take(at(20)), Err(Duration::from_secs(20)));
        assert_eq!([(); 3].map(|()| limit.take(at(600))), [Ok(()); 3], "it holds no more");
        assert!(limit.take(at(600)).is_err());
    }

    #[test]
    fn a_rate_that_does_not_divide_a_minute_is_let_through_whole() {
        let start = Instant::now();
        let limit = RateLimit::per_minute(7, start);
        assert_eq!([(); 7].map(|()| limit.take(start)), [Ok(()); 7]);
        assert!(limit.take(start).is_err());
    }
}

//! The end of the server: whether it has been told to stop, and until when what it has begun may
//! finish.

use std::future::pending;
use std::time::Instant;

use tokio::sync::watch;

use crate::problem::{Code, Problem};

/// Shared by all who have to know. Nothing once begun is taken back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain(watch::Sender<Option<Instant>>);

impl Drain {
    /// Gives what was begun until `deadline`; beginning again can only shorten that.
    pub(crate) fn begin(&self, deadline: Instant) {
        self.0.send_modify(|told| {
            *told = Some(told.map_or(deadline, |earlier| earlier.min(deadline)));
        });
    }

    /// Whether nothing new is accepted any more.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until the time of what was begun is over.
    pub(crate) async fn over(&self) {
        let mut told = self.0.subscribe();
        loop {
            let deadline = *told.borrow_and_update();
            let passed = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                // Its sender is here, so there is always another to wait for.
                _ = told.changed() => {}
            }
        }
    }

    /// What comes of some work, if it is done before that.
    ///
    /// # Errors
    ///
    /// Those of the work, and that the server shuts down.
    pub(crate) async fn refuse_late<T>(
        &self,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.over() => Err(Problem::new(Code::ShuttingDown, "shutting down")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_not_done_when_the_drain_is_over_is_refused() {
        let drain = Drain::default();
        assert!(!drain.has_begun());
        assert_eq!(drain.refuse_late(async { Ok(1) }).await, Ok(1));
        drain.clone().begin(Instant::now());
        assert!(drain.has_begun());
        let late = drain.refuse_late(pending::<Result<(), Problem>>()).await;
        assert_eq!(late.unwrap_err().code, Code::ShuttingDown);
        assert_eq!(drain.refuse_late(async { Ok(2) }).await, Ok(2), "it is done");
    }

    #[tokio::test]
    async fn a_drain_may_be_cut_short_and_no_longer_drawn_out() {
        let (drain, hour) = (Drain::default(), Duration::from_secs(3600));
        drain.begin(Instant::now() + hour);
        let refused = drain.refuse_late(pending::<Result<(), Problem>>());
        let cut = async {
            tokio::task::yield_now().await;
            drain.begin(Instant::now());
            drain.begin(Instant::now() + hour);
        };
        let (refused, ()) = tokio::join!(refused, cut);
        assert_eq!(refused.unwrap_err().code, Code::ShuttingDown);
    }
}

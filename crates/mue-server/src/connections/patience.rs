//! How long the head of the next request may take: a while from its first byte on, and much longer until
//! that comes, since clients and proxies keep connections for later; but no longer than that while, if
//! all places are taken.
//!
//! hyper knows one time for both, so it is given a clock of ours, which the stream tells when bytes come.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// The clock of one connection. All that hyper asks it is to wait for a head.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    head_max: Duration,
    /// Whether no more clients may come.
    is_full: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a request has been there: nobody connects only to wait.
    is_kept: bool,
    /// When the first byte came of the head that is waited for.
    begun: Option<Instant>,
}

impl Patience {
    pub(super) fn new(head_max: Duration, is_full: Arc<AtomicBool>) -> Self {
        Self { head_max, is_full, state: Arc::default() }
    }

    /// Notes that bytes have come.
    pub(super) fn bytes_came(&self) {
        self.with(|state| *state.begun.get_or_insert_with(now));
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(now() + duration)
    }

    fn now(&self) -> Instant {
        now()
    }

    /// Waits for a head, which begins until the deadline.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let soon = now() + self.head_max;
        let is_kept = self.with(|state| {
            state.begun = None;
            std::mem::replace(&mut state.is_kept, true)
        });
        let idle_until = if is_kept { deadline } else { soon };
        let sleep = Box::pin(tokio::time::sleep_until(soon.min(idle_until).into()));
        Box::pin(Waiting { patience: self.clone(), idle_until, sleep, begun: false })
    }
}

/// Waits for a head.
struct Waiting {
    patience: Patience,
    /// When to give up if none has begun.
    idle_until: Instant,
    /// Until the head has to be there, or, if none has begun, it is time to look who else wants to come.
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// Whether it has begun to come.
    begun: bool,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let head_max = self.patience.head_max;
        if !self.begun
            && let Some(begun) = self.patience.with(|state| state.begun)
        {
            self.begun = true;
            self.sleep.as_mut().reset((begun + head_max).into());
        }
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let is_over = self.begun || now() >= self.idle_until;
            if is_over || self.patience.is_full.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            let look = self.idle_until.min(now() + head_max);
            self.sleep.as_mut().reset(look.into());
        }
    }
}

impl Sleep for Waiting {}

/// The time as the runtime's clock has it.
fn now() -> Instant {
    tokio::time::Instant::now().into()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::connections::reader::Reader;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    /// For how long a head is waited for whose first byte comes after some time, if it does.
    async fn patience_with(patience: &Patience, first_byte: Option<Duration>) -> Duration {
        let start = now();
        let mut waiting = patience.sleep(IDLE);
        if let Some(after) = first_byte {
            assert!(tokio::time::timeout(after, &mut waiting).await.is_err());
            let stream = tokio::io::join(&b"GET"[..], tokio::io::sink());
            Reader::new(stream, HEAD, patience.clone()).read_u8().await.unwrap();
        }
        waiting.await;
        now() - start
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
        let is_full = Arc::new(AtomicBool::new(false));
        let patience = Patience::new(HEAD, Arc::clone(&is_full));
        let second = Duration::from_secs(1);
        assert_eq!(patience_with(&patience, None).await.as_secs(), 10, "nobody connects to wait");
        assert_eq!(patience_with(&patience, None).await.as_secs(), 75);
        assert_eq!(patience_with(&patience, Some(60 * second)).await.as_secs(), 70);
        is_full.store(true, Ordering::Relaxed);
        assert_eq!(patience_with(&patience, None).await.as_secs(), 10, "others want to come");
        assert_eq!(patience_with(&patience, Some(9 * second)).await.as_secs(), 19);
    }
}

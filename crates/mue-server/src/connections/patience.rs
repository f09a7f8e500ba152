//! How long the head of the next request may take: a while from its first byte on, and much longer until
//! that comes, since clients and proxies keep connections for later; but no longer than that while, if
//! all places are taken.
//!
//! hyper knows one time for both, so it is given a clock of ours, which sees when the first byte comes.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;

/// The clock of one connection. All that hyper asks it is to wait for a head.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    head_max: Duration,
    /// Free where more clients may come.
    places: Arc<Semaphore>,
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
    pub(super) fn new(head_max: Duration, places: Arc<Semaphore>) -> Self {
        Self { head_max, places, state: Arc::default() }
    }

    /// A connection whose bytes are seen.
    pub(super) fn watch<S>(&self, stream: S) -> Watched<S> {
        Watched { stream, patience: self.clone() }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    /// Waits for a head, which begins until the deadline.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let look = deadline.min(Instant::now() + self.head_max);
        let is_kept = self.with(|state| {
            state.begun = None;
            std::mem::replace(&mut state.is_kept, true)
        });
        let idle_until = if is_kept { deadline } else { look };
        let sleep = Box::pin(tokio::time::sleep_until(look.into()));
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
            let is_over = self.begun || Instant::now() >= self.idle_until;
            if is_over || self.patience.places.available_permits() == 0 {
                return Poll::Ready(());
            }
            let look = self.idle_until.min(Instant::now() + head_max);
            self.sleep.as_mut().reset(look.into());
        }
    }
}

impl Sleep for Waiting {}

/// A stream that notes when bytes come.
pub(super) struct Watched<S> {
    stream: S,
    patience: Patience,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            let begun = |state: &mut State| *state.begun.get_or_insert_with(Instant::now);
            self.patience.with(begun);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

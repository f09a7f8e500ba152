//! Requests sent at their times, whatever becomes of the others.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::client::Client;
use super::request::{Ask, Sent};

/// An open loop that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// When its time began.
    pub(super) start: Instant,
    /// Requests that were due while as many as allowed were under way.
    pub(super) unsent: usize,
}

/// Sends requests at their times after the start, at most `in_flight_max` at once, and hands each
/// to `ended` when its answer is there.
///
/// A thread of its own keeps the time, since timers of an async runtime are only good to a millisecond.
pub(super) async fn run(
    client: &Client,
    asks: Vec<(Duration, Ask)>,
    in_flight_max: usize,
    mut ended: impl FnMut(Sent),
) -> Run {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (runtime, client) = (Handle::current(), client.clone());
    let places = Arc::new(Semaphore::new(in_flight_max.min(Semaphore::MAX_PERMITS)));
    let pacer = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        let mut unsent = 0;
        for (after, ask) in asks {
            let due = start + after;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                unsent += 1;
                continue;
            };
            let (client, sender) = (client.clone(), sender.clone());
            runtime.spawn(async move {
                let sent = ask.send(&client, due).await;
                drop(place);
                // Nobody listens only if the whole load was given up.
                drop(sender.send(sent));
            });
        }
        Run { start, unsent }
    });
    // Ends when every sender is gone: the pacer's, and one per request.
    while let Some(sent) = receiver.recv().await {
        ended(sent);
    }
    pacer.await.expect("keeping the time does not panic")
}

//! More requests than a server can answer, from one thread that costs little.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::Client;
use super::open_loop::Run;
use super::request::{Ask, Sent};

/// Sends requests at their times after the start, at most `in_flight_max` at once, and hands each
/// to `ended` when its answer is there.
///
/// As the [open loop](super::open_loop), but paced by the runtime's own timer: what is due within a
/// millisecond is sent together, without a thread that wakes for each. Where server and generator
/// share cores, that is the server's gain.
pub(super) async fn run(
    client: &Client,
    asks: Vec<(Duration, Ask)>,
    in_flight_max: usize,
    mut ended: impl FnMut(Sent),
) -> Run {
    let start = Instant::now();
    let (mut under_way, mut unsent) = (JoinSet::new(), 0);
    for (after, ask) in asks {
        let due = start + after;
        while Instant::now() < due {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                Some(sent) = under_way.join_next() => ended(sent.expect("a request does not panic")),
            }
        }
        while let Some(sent) = under_way.try_join_next() {
            ended(sent.expect("a request does not panic"));
        }
        if under_way.len() >= in_flight_max {
            unsent += 1;
            continue;
        }
        let client = client.clone();
        under_way.spawn(async move { ask.send(&client, due).await });
    }
    while let Some(sent) = under_way.join_next().await {
        ended(sent.expect("a request does not panic"));
    }
    Run { start, unsent }
}

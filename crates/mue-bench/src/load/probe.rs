//! Health and memory, looked at while a load runs.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::client::Client;
use super::memory::{Memory, resident_bytes};
use super::percentiles::Percentiles;
use super::point::millis;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(100);

/// How a server's health answered.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Health {
    /// Times it was asked.
    pub asked: usize,
    /// Times it did not answer 200.
    pub failed: usize,
    /// How long it took.
    pub latency_ms: Option<Percentiles>,
}

/// Asks for `/health/live` every [`PERIOD`], over a connection of its own.
pub(super) struct Probe {
    task: JoinHandle<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    latencies_ms: Vec<f64>,
    failed: usize,
    resident_bytes: Vec<u64>,
}

impl Probe {
    /// Looks for so long; at this process's memory too if the server is in it.
    pub(super) fn start(client: &Client, span: Duration, in_process: bool) -> Self {
        let client = client.apart();
        let look = async move {
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (start, mut seen) = (Instant::now(), Seen::default());
            while start.elapsed() < span {
                ticks.tick().await;
                seen.resident_bytes.extend(in_process.then(resident_bytes).flatten());
                let asked = Instant::now();
                let answer = client.send(Method::GET, "/health/live", Default::default()).await;
                seen.failed += usize::from(!answer.is_ok_and(|it| it.status == StatusCode::OK));
                seen.latencies_ms.push(millis(asked.elapsed()));
            }
            seen
        };
        // A thread of its own, which does not wait for the load's turn.
        let task = tokio::task::spawn_blocking(move || {
            match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(look),
                // Who cannot look has seen no health.
                Err(_) => Seen { failed: 1, ..Seen::default() },
            }
        });
        Self { task }
    }

    /// What was seen.
    pub(super) async fn end(self) -> (Health, Option<Memory>) {
        let Seen { latencies_ms, failed, resident_bytes } =
            self.task.await.expect("looking does not panic");
        let (asked, memory) = (latencies_ms.len(), Memory::of(&resident_bytes));
        (Health { asked, failed, latency_ms: Percentiles::of(latencies_ms) }, memory)
    }
}

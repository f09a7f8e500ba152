//! Health and memory, looked at while a load runs.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::client::Client;
use super::memory::Memory;
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
    task: JoinHandle<()>,
    results: tokio::sync::watch::Receiver<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    latencies_ms: Vec<f64>,
    failed: usize,
    memory: Option<Memory>,
}

impl Probe {
    /// Begins; looks at this process's memory too if the server is in it.
    pub(super) fn start(client: &Client, in_process: bool) -> Self {
        let memory = in_process.then(Memory::start).flatten();
        let (sender, results) = tokio::sync::watch::channel(Seen { memory, ..Seen::default() });
        let client = client.apart();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let start = Instant::now();
                let answer = client.send(Method::GET, "/health/live", Bytes::new()).await;
                let well = answer.is_ok_and(|answer| answer.status == StatusCode::OK);
                sender.send_modify(|seen| seen.note(millis(start.elapsed()), well));
            }
        });
        Self { task, results }
    }

    /// Ends, with a last look at the memory.
    pub(super) fn end(self) -> (Health, Option<Memory>) {
        self.task.abort();
        let Seen { latencies_ms, failed, mut memory } = self.results.borrow().clone();
        if let Some(memory) = &mut memory {
            memory.look();
        }
        let asked = latencies_ms.len();
        (Health { asked, failed, latency_ms: Percentiles::of(latencies_ms) }, memory)
    }
}

impl Seen {
    fn note(&mut self, latency_ms: f64, well: bool) {
        self.latencies_ms.push(latency_ms);
        self.failed += usize::from(!well);
        if let Some(memory) = &mut self.memory {
            memory.look();
        }
    }
}

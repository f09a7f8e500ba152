//! Ways to load an engine, and what is measured.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use mue_engine::batcher::{Priority, Submission};
use mue_engine::{Engine, Pending, Request, block_on};

/// Latencies of answers, and how long they took together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    latencies: Vec<Duration>,
    elapsed: Duration,
}

impl Measured {
    pub(crate) fn answers_per_s(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that a share of the answers did not exceed, in milliseconds.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        let place = (sorted.len() as f64 * share) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(0.0, millis)
    }

    /// A duration as a share of how long it took.
    pub(crate) fn share(&self, duration: Duration) -> f64 {
        duration.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    fn add(&mut self, latencies: Vec<Duration>, elapsed: Duration) {
        self.latencies.extend(latencies);
        self.elapsed += elapsed;
    }
}

fn millis(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A fixed number of callers, each asking again when answered.
pub(crate) fn saturate(
    engine: &Engine,
    requests: Vec<Request>,
    callers: usize,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let requests = Mutex::new(requests.into_iter());
    let start = Instant::now();
    let answered = thread::scope(|scope| {
        let caller = || -> anyhow::Result<Vec<Duration>> {
            let mut latencies = Vec::new();
            loop {
                let next = requests.lock().expect("no caller panics").next();
                let Some(request) = next else { return Ok(latencies) };
                latencies.push(answer(submit(engine, request)?)?);
            }
        };
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        let answered = callers.into_iter().map(|caller| caller.join().expect("no caller panics"));
        answered.collect::<anyhow::Result<Vec<_>>>()
    })?;
    measured.add(answered.concat(), start.elapsed());
    Ok(())
}

/// Poisson arrivals.
pub(crate) fn at_rate(
    engine: &Engine,
    requests: Vec<Request>,
    rate: f64,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(requests.len() as u64);
    let start = Instant::now();
    let mut due = start;
    let mut pending = Vec::with_capacity(requests.len());
    for request in requests {
        let unit = (random.next_u32() as f64 + 0.5) / 2f64.powi(32);
        due += Duration::from_secs_f64(-unit.ln() / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        pending.push(submit(engine, request)?);
    }
    let latencies = pending.into_iter().map(answer).collect::<anyhow::Result<_>>()?;
    measured.add(latencies, start.elapsed());
    Ok(())
}

fn submit(engine: &Engine, request: Request) -> anyhow::Result<Pending> {
    let inputs = vec![request];
    let submission =
        Submission { inputs, priority: Priority::Normal, deadline: None, stream: false };
    Ok(engine.submit(submission)?.remove(0))
}

/// Waits for an answer and says how long it took since its arrival.
fn answer(ticket: Pending) -> anyhow::Result<Duration> {
    Ok(block_on(ticket)?.timing.total())
}

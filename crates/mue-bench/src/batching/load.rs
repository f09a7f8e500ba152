//! Ways to load an engine, and what is measured.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use mue_bench::load::{arrivals, nearest_rank};
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
        nearest_rank(&sorted, share).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
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

/// Poisson arrivals, others in each round; latency counts from when a request was due, not from when
/// it was submitted.
pub(crate) fn at_rate(
    engine: &Engine,
    requests: Vec<Request>,
    (rate, round): (f64, u64),
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let arrivals = arrivals(rate, round);
    let start = Instant::now();
    let mut pending = Vec::with_capacity(requests.len());
    for (request, after) in requests.into_iter().zip(arrivals) {
        let due = start + after;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        pending.push(Due::submit(engine, request, due)?);
    }
    let latencies = pending.into_iter().map(Due::latency).collect::<anyhow::Result<_>>()?;
    measured.add(latencies, start.elapsed());
    Ok(())
}

/// A request that was due at some time.
struct Due {
    /// By how much it was submitted late.
    late: Duration,
    ticket: Pending,
}

impl Due {
    fn submit(engine: &Engine, request: Request, due: Instant) -> anyhow::Result<Self> {
        let late = due.elapsed();
        Ok(Self { late, ticket: submit(engine, request)? })
    }

    /// From when it was due to its answer, which is waited for.
    fn latency(self) -> anyhow::Result<Duration> {
        Ok(self.late + answer(self.ticket)?)
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mue_engine::batcher::NoObserver;
    use mue_engine::{DeviceChoice, EngineSettings, ModelSource};

    use super::*;
    use crate::requests::{self, Exits, Mix};

    #[test]
    fn a_request_that_is_submitted_late_took_that_long_too() {
        let device = DeviceChoice::Flex;
        let settings = EngineSettings { device, warm_up: false, ..EngineSettings::default() };
        let engine = Engine::open(ModelSource::Demo, settings, Arc::new(NoObserver)).unwrap();
        let mix = Mix { exits: Exits::Off, entailments: 0.0 };
        let request = requests::make(&engine, mix, 1, 0).unwrap().remove(0);
        let late = Duration::from_secs(2);
        let due = Instant::now().checked_sub(late).unwrap();
        assert!(Due::submit(&engine, request, due).unwrap().latency().unwrap() > late);
    }
}

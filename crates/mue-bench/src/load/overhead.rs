//! What the service adds to the engine's own time.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::client::Client;
use super::closed_loop::warm_up;
use super::corpus::Corpus;
use super::curve::LoadError;
use super::exits::ExitSetting;
use super::percentiles::Percentiles;
use super::point::millis;

/// Requests before anything is measured: the first ones open the connection and fill tables.
const WARM_UP: usize = 20;

/// Where the time of lone requests goes, one at a time over one connection.
///
/// `latency` is what the client sees, from before it writes the body to the last byte of the answer.
/// `engine` is the server's `preprocess` + `encode` + `decode`: base64, decoding and resizing the
/// picture, and the model. The server measures `preprocess` from outside: the wait for a place, and the
/// way to the thread that does it and back, are in it. `overhead` is the difference, request by
/// request: HTTP on both sides, JSON, the batcher's queue and every other change of threads. Of it,
/// `inside` is the server's own (its `total` without `engine`), from a request's head to its answer
/// before that is written as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Overhead {
    /// How requests were asked to exit.
    pub exit: String,
    /// Requests measured.
    pub requests: usize,
    /// What the client sees.
    pub latency_ms: Percentiles,
    /// The engine's own time.
    pub engine_ms: Percentiles,
    /// What is added to it.
    pub overhead_ms: Percentiles,
    /// The part of that between a request's head and its answer.
    pub inside_ms: Percentiles,
}

/// Sends lone requests for `span`.
///
/// # Errors
///
/// If a picture cannot be had, or a request is not answered with 200: an idle server refuses nothing.
pub async fn overhead(
    client: &Client,
    corpus: &mut Corpus,
    exit: &ExitSetting,
    span: Duration,
) -> Result<Overhead, LoadError> {
    warm_up(client, corpus, exit, WARM_UP).await?;
    let mut times = Times::default();
    let start = Instant::now();
    while times.latency.is_empty() || start.elapsed() < span {
        for ask in corpus.asks(1, exit)? {
            let sent = ask.send(client, Instant::now()).await;
            let timing = sent.outcome.answer().map_err(LoadError::NoAnswer)?.timing_ms;
            times.add(millis(sent.latency), timing.engine_ms(), timing.total);
        }
    }
    times.overhead(exit).ok_or_else(|| LoadError::NoAnswer("nothing was asked".to_owned()))
}

#[derive(Debug, Default)]
struct Times {
    latency: Vec<f64>,
    engine: Vec<f64>,
    overhead: Vec<f64>,
    inside: Vec<f64>,
}

impl Times {
    fn add(&mut self, latency_ms: f64, engine_ms: f64, total_ms: f64) {
        self.latency.push(latency_ms);
        self.engine.push(engine_ms);
        self.overhead.push(latency_ms - engine_ms);
        self.inside.push(total_ms - engine_ms);
    }

    fn overhead(self, exit: &ExitSetting) -> Option<Overhead> {
        Some(Overhead {
            exit: exit.to_string(),
            requests: self.latency.len(),
            latency_ms: Percentiles::of(self.latency)?,
            engine_ms: Percentiles::of(self.engine)?,
            overhead_ms: Percentiles::of(self.overhead)?,
            inside_ms: Percentiles::of(self.inside)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::load) fn made_up() -> Overhead {
        let mut times = Times::default();
        times.add(12.0, 9.0, 11.0);
        times.add(30.0, 29.0, 29.5);
        times.overhead(&"auto".parse().expect("a setting")).expect("times")
    }

    #[test]
    fn overhead_is_taken_request_by_request() {
        let found = made_up();
        assert_eq!((found.overhead_ms.p50, found.overhead_ms.max), (1.0, 3.0));
        assert_eq!((found.inside_ms.p50, found.inside_ms.max), (0.5, 2.0));
        assert_eq!(found.requests, 2);
    }
}

//! What happens at many times the capacity.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::arrivals::poisson;
use super::client::Client;
use super::closed_loop::saturation;
use super::corpus::Corpus;
use super::curve::LoadError;
use super::exits::ExitSetting;
use super::memory::Memory;
use super::open_loop;
use super::percentiles::Percentiles;
use super::point::Tally;
use super::probe::{Health, Probe};
use super::request::Outcome;

/// What a server may answer under any load: done, refused at the door, or too late.
const SOUND_STATUSES: [u16; 3] = [200, 429, 504];

/// How a server is overloaded.
#[derive(Clone, Debug)]
pub struct OverloadPlan {
    /// How requests are asked to exit.
    pub exit: ExitSetting,
    /// Arrivals as a multiple of the capacity.
    pub times: f64,
    /// For how long.
    pub span: Duration,
    /// Which arrivals.
    pub seed: u64,
    /// Callers of the closed loop that measures the capacity.
    pub callers: usize,
    /// Requests that may be under way at once.
    pub in_flight_max: usize,
    /// Whether the server is in this process.
    pub in_process: bool,
}

/// What a server did under overload.
#[derive(Clone, Debug, Serialize)]
pub struct Overload {
    /// How requests were asked to exit.
    pub exit: String,
    /// Answers with status 200 per second in a closed loop, measured just before.
    pub capacity_per_s: f64,
    /// Arrivals per second.
    pub rate: f64,
    /// For how many seconds.
    pub seconds: f64,
    /// Requests that were due.
    pub offered: usize,
    /// Answers by status.
    pub statuses: BTreeMap<u16, usize>,
    /// Requests without a readable answer.
    pub failed: usize,
    /// The reason of one of them.
    pub failure: Option<String>,
    /// Requests not sent, because as many as allowed were under way.
    pub unsent: usize,
    /// Answers with status 200 per second while requests arrived.
    pub accepted_per_s: f64,
    /// The same as a share of the capacity.
    pub share_of_capacity: f64,
    /// Latency of answers with status 200.
    pub latency_ms: Option<Percentiles>,
    /// How the health route answered meanwhile.
    pub health: Health,
    /// Memory of this process, if the server is in it and the system tells.
    pub memory: Option<Memory>,
}

/// Measures the capacity, and then sends so many times as much.
///
/// # Errors
///
/// If a picture cannot be had, or the server answers nothing in the closed loop.
pub async fn overload(
    client: &Client,
    corpus: &mut Corpus,
    plan: &OverloadPlan,
    progress: &mut dyn FnMut(&str),
) -> Result<Overload, LoadError> {
    let exit = &plan.exit;
    progress(&format!("capacity, exits {exit}"));
    let capacity_per_s = saturation(client, corpus, exit, (plan.callers, plan.span)).await?;
    let rate = plan.times * capacity_per_s;
    progress(&format!("{rate:.1} requests/s, exits {exit}"));
    let arrivals = poisson(rate, plan.span, plan.seed);
    let offered = arrivals.len();
    let asks = arrivals.into_iter().zip(corpus.asks(offered, exit)?).collect();
    let (mut tally, mut accepted) = (Tally::default(), Vec::new());
    let probe = Probe::start(client, plan.in_process);
    let run = open_loop::run(client, asks, plan.in_flight_max, |sent| {
        if matches!(sent.outcome, Outcome::Answered(_)) {
            accepted.push(sent.ended);
        }
        tally.add(sent);
    });
    let run = run.await;
    let (health, memory) = probe.end();
    // What is answered later was queued meanwhile; nobody was refused for it.
    accepted.retain(|ended| ended.saturating_duration_since(run.start) <= plan.span);
    let accepted_per_s = accepted.len() as f64 / plan.span.as_secs_f64();
    Ok(Overload {
        exit: exit.to_string(),
        capacity_per_s,
        rate,
        seconds: plan.span.as_secs_f64(),
        offered,
        latency_ms: tally.latency(),
        statuses: tally.statuses,
        failed: tally.failed,
        failure: tally.failure,
        unsent: run.unsent,
        accepted_per_s,
        share_of_capacity: accepted_per_s / capacity_per_s,
        health,
        memory,
    })
}

impl Overload {
    /// What a sound server does not do under overload, in words; `None` if it did none of it.
    pub fn complaint(&self) -> Option<String> {
        let strange = self.statuses.iter().filter(|(status, _)| !SOUND_STATUSES.contains(status));
        let mut seen: Vec<String> = strange
            .map(|(status, count)| format!("{count} answers with status {status}"))
            .collect();
        if self.failed > 0 {
            let reason = self.failure.as_deref().unwrap_or("no reason is known");
            seen.push(format!("{} requests without an answer ({reason})", self.failed));
        }
        if self.health.failed > 0 {
            seen.push(format!("{} health checks that failed", self.health.failed));
        }
        (!seen.is_empty()).then(|| seen.join(", "))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::load) fn made_up() -> Overload {
        Overload {
            exit: "auto".to_owned(),
            capacity_per_s: 100.0,
            rate: 1000.0,
            seconds: 60.0,
            offered: 60_000,
            statuses: BTreeMap::from([(200, 5800), (429, 54_000), (504, 200)]),
            failed: 0,
            failure: None,
            unsent: 0,
            accepted_per_s: 96.0,
            share_of_capacity: 0.96,
            latency_ms: Percentiles::of(vec![10.0]),
            health: Health { asked: 600, failed: 0, latency_ms: Percentiles::of(vec![2.0]) },
            memory: Some(Memory { bytes_start: 1 << 20, bytes_end: 1 << 20, bytes_peak: 2 << 20 }),
        }
    }

    #[test]
    fn a_sound_server_answers_200_429_or_504() {
        assert_eq!(made_up().complaint(), None);
    }

    #[test]
    fn anything_else_is_named() {
        let mut strange = made_up();
        strange.statuses.insert(500, 3);
        strange.failed = 2;
        strange.failure = Some("connection reset".to_owned());
        strange.health.failed = 1;
        let complaint = strange.complaint().unwrap();
        for words in ["3 answers with status 500", "2 requests", "connection reset", "1 health"] {
            assert!(complaint.contains(words), "{complaint}");
        }
    }
}

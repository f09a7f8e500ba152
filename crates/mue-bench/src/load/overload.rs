//! What happens at many times the capacity.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::arrivals::poisson;
use super::client::Client;
use super::closed_loop::saturation;
use super::corpus::Corpus;
use super::cpu::runtime_time;
use super::curve::LoadError;
use super::exits::ExitSetting;
use super::flood;
use super::memory::Memory;
use super::percentiles::Percentiles;
use super::point::Tally;
use super::probe::{Health, Probe};
use super::request::Outcome;
use super::targets::{SOUND_STATUSES, Target, targets};

/// No request that measures the capacity is sent later than this.
const CAPACITY_SPAN_MAX: Duration = Duration::from_secs(15);

/// How often it is said how far the load is.
const PROGRESS: Duration = Duration::from_secs(10);

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
    /// From when a request was due to when it was sent.
    pub late_ms: Option<Percentiles>,
    /// Cores that the generator kept busy, which the server did not have if it shares them; known
    /// if it ran in a runtime of one thread.
    pub generator_cores: Option<f64>,
    /// How the health route answered meanwhile.
    pub health: Health,
    /// Memory of this process, if the server is in it and the system tells.
    pub memory: Option<Memory>,
    /// What was asked of the server, and whether it did it.
    pub targets: Vec<Target>,
}

impl OverloadPlan {
    /// For how long the capacity is measured at most, without the answers awaited at its end.
    fn capacity_span(&self) -> Duration {
        self.span.min(CAPACITY_SPAN_MAX)
    }

    /// What will happen, and how long it takes.
    fn summary(&self) -> String {
        let (capacity, span) = (self.capacity_span().as_secs_f64(), self.span.as_secs_f64());
        let Self { times, exit, .. } = self;
        format!(
            "exits {exit}: requests for at most {capacity:.0} s to find the capacity, then for {span:.0} s \
             {times} times as many, {:.0} s in all and the time of those under way at the end of each",
            capacity + span
        )
    }
}

/// Measures the capacity, and then sends so many times as much.
///
/// In a runtime of one thread the generator costs the server least, and what it costs is known.
///
/// # Errors
///
/// If a picture cannot be had, or the server refuses more than a few requests of the closed loop.
pub async fn overload(
    client: &Client,
    corpus: &mut Corpus,
    plan: &OverloadPlan,
    progress: &mut dyn FnMut(&str),
) -> Result<Overload, LoadError> {
    let OverloadPlan { exit, span, .. } = plan;
    progress(&plan.summary());
    let closed_loop = (plan.callers, plan.capacity_span());
    let capacity_per_s = saturation(client, corpus, exit, closed_loop).await?;
    let rate = plan.times * capacity_per_s;
    progress(&format!("capacity {capacity_per_s:.1}/s; {rate:.1} requests/s for {span:?}"));
    let arrivals = poisson(rate, *span, plan.seed);
    let offered = arrivals.len();
    let asks = arrivals.into_iter().zip(corpus.asks(offered, exit)?).collect();
    let (mut tally, mut accepted, mut told) = (Tally::default(), Vec::new(), Instant::now());
    let probe = Probe::start(client, *span, plan.in_process);
    let (started, computed) = (Instant::now(), runtime_time());
    let run = flood::run(client, asks, plan.in_flight_max, |sent| {
        if matches!(sent.outcome, Outcome::Answered(_)) {
            accepted.push(sent.ended);
        }
        tally.add(sent);
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let (seconds, statuses) = (started.elapsed().as_secs(), &tally.statuses);
            progress(&format!("{seconds} s, answers by status: {statuses:?}"));
        }
    });
    let run = run.await;
    let computed = runtime_time().zip(computed).map(|(after, before)| after - before);
    let elapsed_s = started.elapsed().as_secs_f64();
    let (health, memory) = probe.end().await;
    // What is answered later was queued meanwhile; nobody was refused for it.
    accepted.retain(|ended| ended.saturating_duration_since(run.start) <= *span);
    let accepted_per_s = accepted.len() as f64 / span.as_secs_f64();
    let found = Overload {
        exit: exit.to_string(),
        capacity_per_s,
        rate,
        seconds: span.as_secs_f64(),
        offered,
        latency_ms: tally.latency(),
        late_ms: tally.late(),
        generator_cores: computed.map(|computed| computed.as_secs_f64() / elapsed_s),
        statuses: tally.statuses,
        failed: tally.failed,
        failure: tally.failure,
        unsent: run.unsent,
        accepted_per_s,
        share_of_capacity: accepted_per_s / capacity_per_s,
        health,
        memory,
        targets: Vec::new(),
    };
    Ok(Overload { targets: targets(&found), ..found })
}

impl Overload {
    /// What a sound server does not do under overload, in words; `None` if it did none of it.
    pub fn complaint(&self) -> Option<String> {
        let mut seen = self.unsound_answers();
        if self.health.failed > 0 {
            seen.push(format!("{} health checks that failed", self.health.failed));
        }
        (!seen.is_empty()).then(|| seen.join(", "))
    }

    /// Answers that no sound server gives, and requests without one, in words.
    pub(super) fn unsound_answers(&self) -> Vec<String> {
        let strange = self.statuses.iter().filter(|(status, _)| !SOUND_STATUSES.contains(status));
        let mut seen: Vec<String> = strange
            .map(|(status, count)| format!("{count} answers with status {status}"))
            .collect();
        if self.failed > 0 {
            let reason = self.failure.as_deref().unwrap_or("no reason is known");
            seen.push(format!("{} requests without an answer ({reason})", self.failed));
        }
        seen
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::load) fn made_up() -> Overload {
        let found = Overload {
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
            late_ms: Percentiles::of(vec![0.5]),
            generator_cores: Some(0.25),
            health: Health { asked: 600, failed: 0, latency_ms: Percentiles::of(vec![2.0]) },
            memory: Memory::of(&[1 << 20, 3 << 20, 2 << 20, 2 << 20]),
            targets: Vec::new(),
        };
        Overload { targets: targets(&found), ..found }
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

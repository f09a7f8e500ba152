//! The real batcher in virtual time: one simulation is one policy under one load.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mue_batcher::{Config, Handle, Priority, Submission, SubmitError, Ticket, Turn, Worker, pair};

use crate::clock::Clock;
use crate::costs::Costs;
use crate::jobs::{Job, Mix};
use crate::model::SimulatedModel;
use crate::random::{Purpose, Random};
use crate::record::Record;
use crate::summary::Summary;

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// Open loop: whether or not anybody is answered, so many a second on average (Poisson).
    Open {
        /// Requests per second.
        rate_per_s: f64,
    },
    /// Closed loop: so many clients, each with one request at a time and no pause. The queue never
    /// runs dry if there are more than the batcher holds rows.
    Saturated {
        /// Requests in the system at any time.
        clients: usize,
    },
}

impl fmt::Display for Load {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { rate_per_s } => write!(formatter, "{rate_per_s}/s"),
            Self::Saturated { .. } => formatter.write_str("saturated"),
        }
    }
}

/// What a policy has to deal with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scenario {
    /// What the requests need.
    pub(crate) mix: Mix,
    /// How they come.
    pub(crate) load: Load,
    /// What steps take.
    pub(crate) costs: Costs,
    /// Answers to measure.
    pub(crate) requests: usize,
    /// Decides every random number.
    pub(crate) seed: u64,
}

/// Runs the batcher until enough answers were given after a fifth as many that do not count.
///
/// # Errors
///
/// If the settings make no sense, or can never answer the requests.
pub(crate) fn simulate(config: &Config, scenario: &Scenario) -> anyhow::Result<Summary> {
    let mut simulation = Simulation::new(config, scenario)?;
    simulation.run_until(scenario.requests / 5)?;
    simulation.record.open_window();
    let start = simulation.clock.elapsed();
    simulation.run_until(scenario.requests / 5 + scenario.requests)?;
    Ok(simulation.record.summary(simulation.clock.elapsed() - start))
}

struct Simulation {
    handle: Handle<SimulatedModel>,
    worker: Worker<SimulatedModel>,
    clock: Clock,
    record: Arc<Record>,
    arrivals: Arrivals,
    /// Requests accepted. Their tickets are kept, as to drop one is to cancel.
    tickets: Vec<Ticket<SimulatedModel>>,
}

impl Simulation {
    fn new(config: &Config, scenario: &Scenario) -> anyhow::Result<Self> {
        let (clock, record) = (Clock::new(), Arc::new(Record::default()));
        let factory = {
            let (clock, record, costs) = (clock.clone(), Arc::clone(&record), scenario.costs);
            move || Ok(SimulatedModel { clock: clock.clone(), record: Arc::clone(&record), costs })
        };
        let mut config = config.clone();
        if let Load::Saturated { clients } = scenario.load {
            config.queue_rows_max = config.queue_rows_max.max(clients * scenario.mix.beam_size);
        }
        let (handle, worker) = pair(config, factory, record.clone())?;
        let arrivals = Arrivals::new(scenario);
        Ok(Self { handle, worker, clock, record, arrivals, tickets: Vec::new() })
    }

    /// Takes turns until so many answers have been given since the start.
    fn run_until(&mut self, answered: usize) -> anyhow::Result<()> {
        while self.record.answered() < answered {
            self.submit_due()?;
            let clock = self.clock.clone();
            match self.worker.turn(&move || clock.now()) {
                Turn::Again => {}
                Turn::Idle { until } => {
                    let until = until.map(|until| self.clock.since_start(until));
                    let next = [until, self.arrivals.next_at()].into_iter().flatten().min();
                    self.clock.advance_to(next.context("nothing will ever happen again")?);
                }
                Turn::Finished => anyhow::bail!("the worker ended early"),
            }
        }
        Ok(())
    }

    /// Submits what has arrived, which may have been during the last step.
    fn submit_due(&mut self) -> anyhow::Result<()> {
        let (now, waiting) = (self.clock.elapsed(), self.tickets.len() - self.record.answered());
        for (job, arrived) in self.arrivals.due(now, waiting) {
            let submission = Submission {
                inputs: vec![job],
                priority: Priority::Normal,
                deadline: None,
                stream: false,
            };
            match self.handle.submit(submission, self.clock.at(arrived)) {
                Ok(tickets) => self.tickets.extend(tickets),
                // The record has heard of it.
                Err(SubmitError::QueueFull { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The requests to come.
struct Arrivals {
    scenario: Scenario,
    random: Random,
    /// When the next one comes, in an open loop.
    next_at: Duration,
    /// Its number.
    number: usize,
}

impl Arrivals {
    fn new(scenario: &Scenario) -> Self {
        let random = Random::new(scenario.seed, Purpose::Arrivals, 0);
        let mut new = Self { scenario: *scenario, random, next_at: Duration::ZERO, number: 0 };
        new.schedule();
        new
    }

    /// When the next comes, if that does not depend on an answer.
    fn next_at(&self) -> Option<Duration> {
        matches!(self.scenario.load, Load::Open { .. }).then_some(self.next_at)
    }

    /// What has arrived, and when, if so many are without an answer now.
    fn due(&mut self, now: Duration, waiting: usize) -> Vec<(Job, Duration)> {
        let mut due = Vec::new();
        while match self.scenario.load {
            Load::Open { .. } => self.next_at <= now,
            Load::Saturated { clients } => waiting + due.len() < clients,
        } {
            let arrived = self.next_at().unwrap_or(now);
            due.push((self.scenario.mix.job(self.scenario.seed, self.number), arrived));
            self.number += 1;
            self.schedule();
        }
        due
    }

    fn schedule(&mut self) {
        if let Load::Open { rate_per_s } = self.scenario.load {
            self.next_at += Duration::from_secs_f64(self.random.exponential(1.0 / rate_per_s));
        }
    }
}

#[cfg(test)]
mod tests;

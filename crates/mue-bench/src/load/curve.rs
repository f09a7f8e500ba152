//! Throughput and latency by rate and exit setting.

use std::time::Duration;

use serde::Serialize;

use super::arrivals::poisson;
use super::client::Client;
use super::closed_loop::{saturation, warm_up};
use super::corpus::{Corpus, CorpusError};
use super::exits::ExitSetting;
use super::open_loop;
use super::point::{Point, Setting, Tally};

/// Requests of each exit setting before anything is measured.
const WARM_UP: usize = 8;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Exit settings, all at every rate.
    pub exits: Vec<ExitSetting>,
    /// Rates of arrivals.
    pub rates: Rates,
    /// For how long requests arrive at each point.
    pub span: Duration,
    /// Which arrivals.
    pub seed: u64,
    /// Callers of the closed loops that measure saturation.
    pub callers: usize,
    /// Requests that may be under way at once.
    pub in_flight_max: usize,
}

/// Rates of arrivals.
#[derive(Clone, Debug, PartialEq)]
pub enum Rates {
    /// Shares of the highest saturation of the exit settings, which is measured first.
    Shares(Vec<f64>),
    /// Requests per second.
    PerSecond(Vec<f64>),
}

/// The most that a server answers with an exit setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saturation {
    /// How requests were asked to exit.
    pub exit: String,
    /// Answers with status 200 per second.
    pub answers_per_s: f64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// By exit setting; empty if rates were given.
    pub saturation: Vec<Saturation>,
    /// By rate, and in it by exit setting.
    pub points: Vec<Point>,
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A picture cannot be read or made.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// No request of a warm-up or a closed loop was answered.
    #[error("the server answers no request: {0}")]
    NoAnswer(String),
    /// Too few requests of a closed loop were answered for the rest to be all that the server can.
    #[error("{refused} of {requests} requests that measure the saturation had no answer: {first}")]
    Refused {
        /// Without an answer of status 200.
        refused: usize,
        /// All that were sent.
        requests: usize,
        /// Why the first of them had none.
        first: String,
    },
}

/// Measures every exit setting at every rate, telling `progress` what comes next.
///
/// At a rate all settings meet the same arrivals, one setting after the other, and which is first
/// alternates, so that a change of the machine's speed meets all of them.
///
/// # Errors
///
/// If a picture cannot be had, or before the load begins the server answers nothing at all, or
/// refuses more than a few requests of a closed loop.
pub async fn curve(
    client: &Client,
    corpus: &mut Corpus,
    plan: &Plan,
    progress: &mut dyn FnMut(&str),
) -> Result<Curve, LoadError> {
    for exit in &plan.exits {
        warm_up(client, corpus, exit, WARM_UP).await?;
    }
    let (rates, saturation) = rates(client, corpus, plan, progress).await?;
    let mut points = Vec::new();
    for (place, (rate, share)) in rates.into_iter().enumerate() {
        let mut of_rate = Vec::new();
        for exit in in_turn(&plan.exits, place) {
            progress(&format!("{rate:.1} requests/s, exits {exit}"));
            let arrivals = poisson(rate, plan.span, plan.seed.wrapping_add(place as u64));
            let asks = corpus.asks(arrivals.len(), exit)?;
            let asks = arrivals.into_iter().zip(asks).collect();
            let mut tally = Tally::default();
            let run =
                open_loop::run(client, asks, plan.in_flight_max, |sent| tally.add(sent)).await;
            let setting = Setting { exit: exit.to_string(), rate, share, span: plan.span };
            of_rate.push(tally.point(setting, (run.start, run.unsent)));
        }
        if place % 2 == 1 {
            of_rate.reverse();
        }
        points.append(&mut of_rate);
    }
    Ok(Curve { saturation, points })
}

/// The settings in their order, or in every second turn backwards.
fn in_turn(exits: &[ExitSetting], turn: usize) -> Vec<&ExitSetting> {
    match turn % 2 {
        0 => exits.iter().collect(),
        _ => exits.iter().rev().collect(),
    }
}

/// Rates with their shares of the highest saturation, if that is measured.
type RateShares = Vec<(f64, Option<f64>)>;

async fn rates(
    client: &Client,
    corpus: &mut Corpus,
    plan: &Plan,
    progress: &mut dyn FnMut(&str),
) -> Result<(RateShares, Vec<Saturation>), LoadError> {
    let shares = match &plan.rates {
        Rates::PerSecond(rates) => {
            return Ok((rates.iter().map(|rate| (*rate, None)).collect(), Vec::new()));
        }
        Rates::Shares(shares) => shares,
    };
    let mut saturations = Vec::new();
    for exit in &plan.exits {
        progress(&format!("saturation, exits {exit}"));
        let answers_per_s = saturation(client, corpus, exit, (plan.callers, plan.span)).await?;
        saturations.push(Saturation { exit: exit.to_string(), answers_per_s });
    }
    let highest = saturations.iter().map(|found| found.answers_per_s).fold(0.0, f64::max);
    Ok((shares.iter().map(|share| (share * highest, Some(*share))).collect(), saturations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_take_turns_at_being_first() {
        let exits: Vec<ExitSetting> =
            ["off", "auto"].iter().map(|text| text.parse().unwrap()).collect();
        let names =
            |turn| in_turn(&exits, turn).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(0), ["off", "auto"]);
        assert_eq!(names(1), ["auto", "off"]);
    }
}

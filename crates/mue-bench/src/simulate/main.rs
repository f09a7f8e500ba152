//! `batch-sim`: compares batching policies without a model.
//!
//! The real queue, admission and scheduling of `mue-batcher` run in virtual time over a model that
//! only passes time: steps take what a cost model says, requests exit where a synthetic
//! distribution says. A day of traffic takes seconds, and a seed decides everything.

mod clock;
mod costs;
mod jobs;
mod model;
mod random;
mod record;
mod report;
mod simulation;
mod summary;

use std::io::Write;

use clap::Parser;

use crate::costs::Costs;
use crate::jobs::{Distribution, Mix};
use crate::report::Outcome;
use crate::simulation::{Load, Scenario, simulate};
use mue_bench::setup::{Axis, Setup, combinations};

/// Compares batching policies without a model, in virtual time.
#[derive(Debug, Parser)]
struct Args {
    /// Settings to compare: continuous or static, then the knobs that differ from the defaults
    #[arg(
        long = "policy",
        value_name = "POLICY:KEY=VALUE,..",
        default_values = ["continuous", "static", "static:cohort_rows_max=64"]
    )]
    setups: Vec<Setup>,
    /// Adds continuous batching with every combination of these values of a knob
    #[arg(long = "vary", value_name = "KEY=VALUE,..")]
    axes: Vec<Axis>,
    /// Where requests exit
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["early", "late", "bimodal", "full"])]
    exits: Vec<Distribution>,
    /// Open loop: requests per second
    #[arg(long = "rate", value_name = "PER_S", value_delimiter = ',', value_parser = rate)]
    rates: Vec<f64>,
    /// Closed loop; the default if there is no rate
    #[arg(long)]
    saturate: bool,
    /// Requests in the system at any time in the closed loop
    #[arg(long, default_value_t = 128, value_parser = at_least_one)]
    clients: usize,
    /// Share of entailments
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    entailments: f64,
    /// Rows that a caption decodes
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    beam_size: usize,
    /// Layers of the encoder, and of the decoder
    #[arg(long, default_value_t = 6, value_parser = at_least_one)]
    layers: usize,
    /// Answers to measure in each simulation
    #[arg(long, default_value_t = 5000, value_parser = at_least_one)]
    requests: usize,
    /// Decides every random number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    costs: Costs,
    /// Ratios to the first policy, over all distributions, instead of every simulation
    #[arg(long)]
    rank: bool,
    /// JSON instead of a table
    #[arg(long, conflicts_with = "rank")]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let outcomes = args.simulate()?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", report::json(&outcomes))?;
    } else if args.rank {
        report::ranking(&mut out, &outcomes)?;
    } else {
        report::table(&mut out, &outcomes)?;
    }
    Ok(())
}

impl Args {
    /// Every policy under every load and distribution.
    fn simulate(&self) -> anyhow::Result<Vec<Outcome>> {
        let mut setups = self.setups.clone();
        if !self.axes.is_empty() {
            setups.extend(combinations(&self.axes)?);
        }
        if let Some(Setup { name, .. }) = setups.iter().find(|setup| !setup.shrinks) {
            anyhow::bail!("{name}: a simulated batch always shrinks");
        }
        let mut outcomes = Vec::new();
        for &distribution in &self.exits {
            for load in self.loads() {
                let scenario = self.scenario(distribution, load);
                for Setup { name, config, .. } in &setups {
                    let summary = simulate(config, &scenario)?;
                    outcomes.push(Outcome { setup: name.clone(), distribution, load, summary });
                }
            }
        }
        Ok(outcomes)
    }

    fn loads(&self) -> Vec<Load> {
        let open = self.rates.iter().map(|&rate_per_s| Load::Open { rate_per_s });
        let saturate = self.saturate || self.rates.is_empty();
        let closed = saturate.then_some(Load::Saturated { clients: self.clients });
        open.chain(closed).collect()
    }

    fn scenario(&self, distribution: Distribution, load: Load) -> Scenario {
        let &Self { entailments, beam_size, layers, costs, requests, seed, .. } = self;
        let mix = Mix { distribution, entailments, beam_size, layers };
        Scenario { mix, load, costs, requests, seed }
    }
}

fn at_least_one(text: &str) -> anyhow::Result<usize> {
    let number = text.parse()?;
    anyhow::ensure!(number >= 1, "must be at least 1");
    Ok(number)
}

fn share(text: &str) -> anyhow::Result<f64> {
    let share = text.parse()?;
    anyhow::ensure!((0.0..=1.0).contains(&share), "must be from 0 to 1");
    Ok(share)
}

fn rate(text: &str) -> anyhow::Result<f64> {
    let rate_per_s = text.parse()?;
    anyhow::ensure!((1e-3..=1e6).contains(&rate_per_s), "must be from 0.001 to a million");
    Ok(rate_per_s)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }
}

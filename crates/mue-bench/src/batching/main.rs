//! `batching`: the engine under load, continuous beside static batches, in one run.
//!
//! A static batch is encoded whole, then decoded to its slowest, and nobody joins; rows that exit are
//! gathered out, and answers leave when they are complete. In a padded one exits save nothing until the
//! slowest row leaves a branch: till then a layer computes all rows. (A finished caption still frees its
//! row.) Both have larger cohorts by default, which suit them better.
//!
//! Requests are about fresh scenes, captions and entailments mixed; nothing is cached. Saturated,
//! a fixed number of callers ask again as soon as they are answered. At a rate, requests arrive at
//! random (Poisson), whether or not the engine keeps up, and latency counts from when they were due.
//! The policies take turns, round by round, so that a change of the machine's speed meets both.

mod load;
mod requests;
mod work;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use mue_bench::setup::Setup;
use mue_engine::{DeviceChoice, Engine, EngineSettings};
use mue_model::Execution;

use crate::load::Measured;
use crate::requests::{Exits, Mix};
use crate::work::Work;

/// As the product's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compares continuous with static batches on a model.
#[derive(Debug, Parser)]
struct Args {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Device: auto, flex, ndarray or wgpu
    #[arg(long, default_value = "flex")]
    device: DeviceChoice,
    /// How requests exit
    #[arg(long, value_enum, default_value_t = Exits::Auto)]
    exit: Exits,
    /// Share of entailments
    #[arg(long, default_value_t = 0.5)]
    entailments: f64,
    /// Requests of each policy per load and round
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Callers that keep the engine saturated
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// Arrivals per second, besides saturation
    #[arg(long, value_delimiter = ',')]
    rates: Vec<f64>,
    /// Rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Rows that encode together, under every policy
    #[arg(long)]
    cohort_rows_max: Option<usize>,
    /// Settings to compare: continuous, static or padded, then the knobs that differ from the
    /// defaults
    #[arg(
        long = "policy",
        value_name = "POLICY:KEY=VALUE,..",
        default_values = ["continuous", "static:cohort_rows_max=32", "padded:cohort_rows_max=32"]
    )]
    setups: Vec<Setup>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mix = Mix { exits: args.exit, entailments: args.entailments };
    let engines =
        args.setups.iter().map(|setup| open(&args, setup)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| load | policy | answers/s | p50 ms | p99 ms | time with encoding | a cohort's rows | time with decoding | a step's rows |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    let loads = std::iter::once(None).chain(args.rates.iter().copied().map(Some));
    for rate in loads {
        let mut measured = vec![Measured::default(); engines.len()];
        for round in 0..args.rounds as u64 {
            for ((engine, _), measured) in engines.iter().zip(&mut measured) {
                let requests = requests::make(engine, mix, args.requests, round)?;
                match rate {
                    None => load::saturate(engine, requests, args.callers, measured)?,
                    Some(rate) => load::at_rate(engine, requests, (rate, round), measured)?,
                }
            }
        }
        let load = rate.map_or_else(|| "saturated".to_owned(), |rate| format!("{rate}/s"));
        let engines = args.setups.iter().zip(&engines);
        for ((Setup { name, .. }, (_, work)), measured) in engines.zip(&measured) {
            let sums = work.take();
            let [p50, p99] = [0.5, 0.99].map(|share| measured.latency_ms(share));
            let [encoding, decoding] = [sums.encode, sums.decode].map(|it| measured.share(it));
            writeln!(
                out,
                "| {load} | {name} | {:.1} | {p50:.1} | {p99:.1} | {:.0}% | {:.1} | {:.0}% | {:.1} |",
                measured.answers_per_s(),
                100.0 * encoding,
                sums.cohort_rows_mean(),
                100.0 * decoding,
                sums.decode_rows_mean(),
            )?;
        }
    }
    Ok(())
}

fn open(args: &Args, setup: &Setup) -> anyhow::Result<(Engine, Arc<Work>)> {
    let mut settings = EngineSettings { device: args.device, ..EngineSettings::default() };
    settings.image_cache_bytes_max = 0;
    settings.batcher = setup.config.clone();
    if !setup.shrinks {
        settings.options.execution = Execution::Masked;
    }
    if let Some(rows) = args.cohort_rows_max {
        settings.batcher.cohort_rows_max = rows;
    }
    settings.batcher.queue_rows_max = 4 * args.requests;
    let work = Arc::new(Work::default());
    let observer = Arc::clone(&work);
    Ok((Engine::open(args.model.as_path(), settings, observer)?, work))
}

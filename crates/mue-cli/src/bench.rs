//! `mue bench`: the service under load.

mod exits;
mod measure;
mod page;
mod server;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use mue_bench::load::{Client, Corpus, ExitSetting, Report, html};
use mue_data::datasets::DataSpec;
use mue_engine::DeviceChoice;
use tokio::runtime::{Builder, Runtime};

use crate::bench::exits::exit_settings;
use crate::bench::measure::measure;
use crate::bench::server::Server;
use crate::error::{failure, user_error};
use crate::model::share;
use crate::output::conclude;

const LONG_ABOUT: &str = "\
Load the service over HTTP and report throughput, latency and exits.

Starts the server in this process with the default settings, but for its image cache, which is off, and
loads it over a socket; --url loads another one. Requests arrive at random (Poisson) at a given rate,
whether or not the server keeps up, and latency counts from when a request was due. First the
saturation of each exit setting is measured in a closed loop, then every setting at shares of the
highest, in turn. Pictures are distinct until all have come once; a server at --url may answer those
that come again from its cache.

--overhead sends lone requests and reports their latency without the engine's own time (preprocess,
encode and decode of timing_ms; preprocess includes its wait for a thread). --overload measures the
capacity (it sends for 15 s at most, and awaits what is under way then), sends many times as much for
--seconds, and holds the server to its targets; the exit code is 1 if any answer is not 200, 429 or
504, if there is none, or if a health check fails.";

const EXAMPLES: &str = "\
Examples:
  mue bench --html bench.html
  mue bench --url http://127.0.0.1:8080 --key SECRET --rates 10,20,40 --json
  mue bench --data photos --hypothesis \"a dog is running\" --model ofa-base
  mue bench --overhead
  mue bench --overload --seconds 60";

/// Load the service over HTTP
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// Load the server at this address, instead of one in this process
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// API key of that server [default: MUE_BENCH_KEY of the environment]
    #[arg(long, value_name = "KEY", requires = "url")]
    key: Option<String>,
    /// Model folder, as `mue import` writes it [default: the demo model in this binary]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    model: Option<PathBuf>,
    /// Device to run on: auto, flex, ndarray or wgpu
    #[arg(long, default_value = "auto", conflicts_with = "url")]
    device: DeviceChoice,
    /// Pictures: scenes:seed=S,count=N or a folder
    #[arg(long, value_name = "WHAT", default_value = "scenes:seed=1,count=4000")]
    data: DataSpec,
    /// A sentence to judge pictures by; repeatable [default: the scenes' own]
    #[arg(long = "hypothesis", value_name = "TEXT")]
    hypotheses: Vec<String>,
    /// Share of captions, 0 to 1; the other requests are entailments
    #[arg(long = "mix", value_name = "SHARE", default_value = "0.5", value_parser = share)]
    captions: f64,
    /// Exit settings, with commas between them: off, auto, quality=0.99, or thresholds such as
    /// image=0.9+decoder=0.95; repeatable [default: off,auto; with --overhead or --overload, auto]
    #[arg(long, value_name = "HOW", value_parser = exit_settings)]
    exits: Vec<Vec<ExitSetting>>,
    /// Arrivals per second of each point, instead of shares of the saturation
    #[arg(long, value_delimiter = ',', value_name = "RATE", value_parser = rate)]
    rates: Vec<f64>,
    /// Points of the curve, as shares of the highest saturation
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "SHARE",
        default_value = "0.2,0.4,0.6,0.8,0.9,1.0,1.2",
        value_parser = rate,
        conflicts_with = "rates"
    )]
    shares: Vec<f64>,
    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value = "10", value_parser = rate)]
    seconds: f64,
    /// Which arrivals
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Callers of the closed loop that measures the saturation
    #[arg(long, value_name = "N", default_value = "64", value_parser = count)]
    callers: usize,
    /// Requests under way at once, each on a connection; those due beyond are counted as unsent
    #[arg(long, value_name = "N", default_value = "1024", value_parser = count)]
    in_flight_max: usize,
    /// Measure what the service adds to the engine's own time
    #[arg(
        long,
        conflicts_with_all = ["overload", "rates", "shares", "seed", "callers", "in_flight_max"]
    )]
    overhead: bool,
    /// Send this multiple of the capacity [default: 10]
    #[arg(
        long,
        value_name = "TIMES",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = rate,
        conflicts_with_all = ["rates", "shares"]
    )]
    overload: Option<f64>,
    /// Write a page with plots
    #[arg(long, value_name = "FILE", conflicts_with_all = ["overhead", "overload"])]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// That of the command line, which is only taken with an address, or else of the environment,
    /// where it may be for other runs.
    fn key(&self) -> Option<String> {
        let exported = || std::env::var("MUE_BENCH_KEY").ok().filter(|key| !key.is_empty());
        self.url.as_ref().and_then(|_| self.key.clone().or_else(exported))
    }
}

/// Loads a server and prints what was found.
pub(crate) fn run(args: &BenchArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let corpus = Corpus::open(&args.data, args.hypotheses.clone(), args.captions);
    let mut corpus = corpus.map_err(|error| {
        user_error(error, "name a folder of pictures with --data, and sentences with --hypothesis")
    })?;
    // Now, so that no load runs for a page that cannot be written.
    if let Some(path) = &args.html {
        page::check(path)?;
    }
    let runtime = runtime(args).context("cannot start the threads")?;
    let server = match args.url {
        Some(_) => None,
        None => Some(Server::start(args.model.clone(), args.device)?),
    };
    let url = server.as_ref().map_or_else(|| args.url.clone().unwrap_or_default(), Server::url);
    let client = Client::new(&url, args.key().as_deref())
        .map_err(|error| user_error(error, "give an address such as http://127.0.0.1:8080"))?;
    let report = runtime.block_on(measure(args, &client, &mut corpus))?;
    drop(server);
    let written = args.html.as_ref().map_or(Ok(()), |path| write_page(path, &report));
    // A page that cannot be written must not cost the figures.
    conclude(print(args, &report, out), written.and_then(|()| judge(&report)))
}

fn write_page(path: &Path, report: &Report) -> anyhow::Result<()> {
    page::write(path, &html(report)?.context("there is no curve to plot")?)
}

/// Whether the server did under overload what it should.
fn judge(report: &Report) -> anyhow::Result<()> {
    let complaints = report.overload.iter().filter_map(|overload| overload.complaint());
    match complaints.reduce(|all, next| format!("{all}; {next}")) {
        Some(seen) => {
            Err(failure(anyhow!("under overload: {seen}"), "the server's log may say why"))
        }
        None => Ok(()),
    }
}

fn print(args: &BenchArgs, report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(report)?)?,
        false => report.write_text(out)?,
    }
    Ok(out.flush()?)
}

/// Under overload one thread: it costs the server least where they share cores.
fn runtime(args: &BenchArgs) -> std::io::Result<Runtime> {
    match args.overload {
        Some(_) => Builder::new_current_thread().enable_all().build(),
        None => Runtime::new(),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= 1e6);
    rate.ok_or_else(|| "it is a number above 0, and a million at most".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "it is a whole number from 1".to_owned())
}

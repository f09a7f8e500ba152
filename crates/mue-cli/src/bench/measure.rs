//! Which of the loads runs, and with what.

use std::io::Write;
use std::time::Duration;

use mue_bench::load::{
    Client, Corpus, Curve, ExitSetting, LoadError, OverloadPlan, Plan, Rates, Report, Setup, curve,
    in_flight_within, overhead, overload,
};

use super::BenchArgs;
use crate::error::{failure, user_error};

/// Measures what the arguments ask for.
pub(super) async fn measure(
    args: &BenchArgs,
    client: &Client,
    corpus: &mut Corpus,
) -> anyhow::Result<Report> {
    let server = client.server().await.map_err(|error| {
        user_error(error, "check --url and --key, and that the server is ready")
    })?;
    let load = Load::of(args);
    let mut report = Report {
        server,
        setup: load.setup(args, corpus),
        curve: None,
        overhead: Vec::new(),
        overload: Vec::new(),
    };
    let measured = load.measure(args, (client, corpus), &mut report).await;
    measured.map_err(|error| match error {
        LoadError::Corpus(_) => user_error(error, "check the pictures of --data"),
        LoadError::Refused { .. } if args.overload.is_some() => failure(error, "lower --callers"),
        LoadError::Refused { .. } => failure(error, "lower --callers, or name --rates"),
        error => failure(error, "`mue help bench` says what is asked of a server"),
    })?;
    report.setup.requests = corpus.asked();
    Ok(report)
}

/// What every measurement of a run shares.
struct Load {
    exits: Vec<ExitSetting>,
    span: Duration,
    in_flight_max: usize,
}

impl Load {
    fn of(args: &BenchArgs) -> Self {
        let of_curve = ["off", "auto"];
        let names = match args.overhead || args.overload.is_some() {
            true => &of_curve[1..],
            false => &of_curve[..],
        };
        let exits = match args.exits.as_slice() {
            [] => {
                names.iter().map(|name| name.parse().expect("exits of this name exist")).collect()
            }
            given => given.concat(),
        };
        let sockets_each = if args.url.is_some() { 1 } else { 2 };
        Self {
            exits,
            span: Duration::from_secs_f64(args.seconds),
            in_flight_max: in_flight_within(args.in_flight_max, sockets_each),
        }
    }

    fn setup(&self, args: &BenchArgs, corpus: &Corpus) -> Setup {
        Setup {
            url: args.url.clone(),
            seconds: args.seconds,
            seed: args.seed,
            captions: args.captions,
            data: args.data.to_string(),
            pictures: corpus.pictures(),
            requests: corpus.asked(),
            callers: args.callers,
            in_flight_max: self.in_flight_max,
        }
    }

    async fn measure(
        &self,
        args: &BenchArgs,
        (client, corpus): (&Client, &mut Corpus),
        report: &mut Report,
    ) -> Result<(), LoadError> {
        // Progress goes to standard error, so that JSON stays alone on standard output.
        let mut progress = |what: &str| drop(writeln!(std::io::stderr(), "mue bench: {what}"));
        if args.overhead {
            for exit in &self.exits {
                progress(&format!("lone requests, exits {exit}"));
                report.overhead.push(overhead(client, corpus, exit, self.span).await?);
            }
        } else if let Some(times) = args.overload {
            for exit in &self.exits {
                let plan = self.overload_plan(args, exit, times);
                report.overload.push(overload(client, corpus, &plan, &mut progress).await?);
            }
        } else {
            report.curve = Some(self.curve(args, (client, corpus), &mut progress).await?);
        }
        Ok(())
    }

    async fn curve(
        &self,
        args: &BenchArgs,
        (client, corpus): (&Client, &mut Corpus),
        progress: &mut dyn FnMut(&str),
    ) -> Result<Curve, LoadError> {
        let rates = match args.rates.as_slice() {
            [] => Rates::Shares(args.shares.clone()),
            rates => Rates::PerSecond(rates.to_vec()),
        };
        let plan = Plan {
            exits: self.exits.clone(),
            rates,
            span: self.span,
            seed: args.seed,
            callers: args.callers,
            in_flight_max: self.in_flight_max,
        };
        curve(client, corpus, &plan, progress).await
    }

    fn overload_plan(&self, args: &BenchArgs, exit: &ExitSetting, times: f64) -> OverloadPlan {
        OverloadPlan {
            exit: exit.clone(),
            times,
            span: self.span,
            seed: args.seed,
            callers: args.callers,
            in_flight_max: self.in_flight_max,
            in_process: args.url.is_none(),
        }
    }
}

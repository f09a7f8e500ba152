//! `mue health`: is a server ready? For containers, whose health checks should need no other tool.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::TlsConfig;

/// An orchestrator should not wait longer for an answer that takes a millisecond.
const PATIENCE: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Examples:
  mue health                            ask the server that MUE_LISTEN names
  mue health http://10.0.0.5:8080       ask another
  mue health https://10.0.0.5:8080 --insecure

The server of this environment is asked by TLS if it talks that, and its certificate is not checked: it
is for the name by which others reach it.

Exit code: 0 the server is ready; 1 it is not, or does not answer.";

/// Ask whether a server is ready for requests
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HealthArgs {
    /// The server [default: what MUE_LISTEN says, else http://127.0.0.1:8080]
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Do not check the certificate of the server at URL
    #[arg(long)]
    insecure: bool,
    /// The address that the server of this environment listens on
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MUE_LISTEN",
        default_value = "127.0.0.1:8080",
        hide = true
    )]
    listen: String,
    /// The certificate of that server, if it has one
    #[arg(long, value_name = "FILE", env = "MUE_TLS_CERTIFICATE", default_value = "", hide = true)]
    tls_certificate: String,
}

/// Asks once.
pub(crate) fn run(args: &HealthArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let scheme = if args.tls_certificate.is_empty() { "http" } else { "https" };
    let own = || format!("{scheme}://{}", reachable(&args.listen));
    let mut base = args.url.clone().unwrap_or_else(own);
    let agent = agent(args.insecure || args.url.is_none());
    let mut status = ask(&agent, &base);
    // The certificate may be named in settings that are the server's alone.
    if args.url.is_none() && matches!(status, Err(ureq::Error::Protocol(_))) {
        base = format!("https://{}", reachable(&args.listen));
        status = ask(&agent, &base);
    }
    let status = status.with_context(|| format!("{base} does not answer"))?;
    if status != 200 {
        bail!("{base} says {status}");
    }
    writeln!(out, "ready")?;
    Ok(())
}

fn agent(is_insecure: bool) -> Agent {
    let tls = TlsConfig::builder().disable_verification(is_insecure).build();
    // Past any proxy: the server is near.
    let config = Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE)).tls_config(tls);
    Agent::new_with_config(config.http_status_as_error(false).build())
}

fn ask(agent: &Agent, base: &str) -> Result<StatusCode, ureq::Error> {
    let url = format!("{}/health/ready", base.trim_end_matches('/'));
    agent.get(url).call().map(|answer| answer.status())
}

/// Where a server that listens on an address is reached from its own machine.
fn reachable(listen: &str) -> String {
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, "8080"));
    match host {
        "0.0.0.0" => format!("127.0.0.1:{port}"),
        "[::]" => format!("[::1]:{port}"),
        host => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_its_own_machine() {
        assert_eq!(reachable("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reachable("[::]:8080"), "[::1]:8080");
        assert_eq!(reachable("10.0.0.5:8080"), "10.0.0.5:8080");
    }
}

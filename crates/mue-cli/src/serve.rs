//! `mue serve`: captions and entailment over HTTP.

mod certificate;
mod layers;
mod logs;
mod spans;
mod welcome;

use std::io::Write;
use std::net::{TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use mue_engine::{DeviceChoice, Engine, ModelFolder, ModelSource};
use mue_server::{App, Config, Listener, Loaded, Metrics, Server, Tls};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::Targets;

use crate::error::user_error;
use crate::runtime::run_server;
use crate::serve::certificate::{Pem, Watch};
use crate::serve::spans::Exporter;
use crate::serve::welcome::{greet, welcome};

const EXAMPLES: &str = "\
Examples:
  mue serve
  mue serve --model ofa-base
  mue serve --config config/server.toml --listen 0.0.0.0:8080
  MUE_MODEL=ofa-base MUE_QUEUE_ROWS_MAX=128 mue serve --check

Every key of config/server.toml can be set by a variable: listen by MUE_LISTEN, and so on.
Flags go before variables, variables before the file. SIGTERM and ctrl-c drain and leave; a second one
does not wait for the drain. SIGHUP loads settings, certificate and model anew without dropping a request.";

/// Serve captions and entailment over HTTP
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Settings; config/server.toml has every key with its default
    #[arg(long, value_name = "FILE", env = "MUE_CONFIG")]
    config: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Model folder, as `mue import` writes it [default: the demo model in this binary]
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
    /// Device to run on: auto, flex, ndarray or wgpu [default: auto]
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// Threads that compute on the CPU [default: as many as the CPU quota allows]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Where spans are sent by OTLP, such as http://127.0.0.1:4318; in builds with the feature `otlp`
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Check the settings and the model folder, and leave
    #[arg(long)]
    check: bool,
}

/// Settings, and what is made of them before there is a model.
struct Sound {
    config: Config,
    /// Which lines are logged.
    lines: Targets,
    /// Where spans are sent.
    destination: Option<String>,
    pem: Option<Pem>,
    tls: Option<Tls>,
}

impl Sound {
    /// Those that the arguments ask for, at the start as at a reload.
    fn read(args: &ServeArgs) -> anyhow::Result<Self> {
        layers::check_environment(std::env::vars_os())?;
        let config = settings(args, environment)?;
        let lines = logs::filter(&config)?;
        let destination = spans::destination(&config, environment)?;
        let pem = Pem::read(&config)?;
        let tls = pem.as_ref().map(Pem::tls).transpose()?;
        Ok(Self { config, lines, destination, pem, tls })
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(args: &ServeArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let Sound { config, lines, destination, pem, tls } = Sound::read(args)?;
    let unknown = layers::unknown_variables(&config, std::env::vars_os())?.join(", ");
    if args.check {
        check(&config)?;
        if !unknown.is_empty() {
            writeln!(out, "no setting has the name of {unknown}")?;
        }
        writeln!(out, "the settings and the model are valid")?;
        return Ok(());
    }
    let exporter = Exporter::start(destination.as_deref(), &config.otlp_service)?;
    logs::start(config.log_format, lines, exporter.as_ref())?;
    if !unknown.is_empty() {
        tracing::warn!(variables = unknown, "no setting has the name of these variables");
    }
    open_files_for(config.connections_max);
    mue_engine::set_threads(config.threads).context("cannot start the threads")?;
    let served = run_server(serve(args, config, (pem, tls), out));
    let served = served.context("cannot start the threads")?;
    // Requests that were answered while draining have spans too.
    if let Some(exporter) = exporter {
        exporter.flush();
    }
    served
}

/// Files that a server opens beside connections: its own, the model's, and those of pictures' hosts.
const OTHER_FILES: u64 = 256;

/// Lets the process have as many files open as it may have connections; the system's soft limit is mostly
/// far lower.
fn open_files_for(connections_max: usize) {
    let needed = (connections_max as u64).saturating_add(OTHER_FILES);
    match rlimit::increase_nofile_limit(needed) {
        Ok(limit) if limit < needed => tracing::warn!(
            limit,
            connections_max,
            "the system lets this process have fewer files open than connections_max needs"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files is not known"),
    }
}

/// Opens the model and answers requests, until the process is told to stop.
async fn serve(
    args: &ServeArgs,
    config: Config,
    (pem, tls): (Option<Pem>, Option<Tls>),
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    // Before anything can be seen of the server, whose model may take long to be ready.
    let mut stops = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let hangups = signal(SignalKind::hangup())?;
    let listener = listen(&config.listen)?;
    let address = listener.local_addr()?;
    let metrics = Metrics::new()?;
    // From now on it is alive, however long the model takes.
    let tcp = tokio::net::TcpListener::from_std(listener)?;
    let server = match tls.clone() {
        Some(tls) => Server::start(Listener::tls(tcp, tls), &config),
        None => Server::start(tcp, &config),
    };
    tracing::info!(%address, "alive, and opening the model");
    let (opening, observer) = (config.clone(), Arc::clone(&metrics));
    let opened = tokio::task::spawn_blocking(move || open(&opening, observer));
    let engine = tokio::select! {
        opened = opened => opened.context("the model's opening broke down")??,
        () = next(&mut stops) => {
            tracing::info!("told to stop before the model was ready");
            return Ok(());
        }
    };
    let welcome = welcome(address, &engine, tls.is_some());
    let (again, shown) = (args.clone(), tls.clone());
    let app = App::reloadable(engine, config, metrics, move |metrics| {
        reload(&again, shown.as_ref(), metrics).map_err(Into::into)
    });
    server.open(&app);
    greet(&welcome, out)?;
    if let Some(tls) = tls {
        tokio::spawn(Watch::new(tls, pem).run(Arc::clone(&app)));
    }
    tokio::spawn(reload_at(hangups, Arc::clone(&app)));
    let shutdown = told_to_stop(stops, Arc::clone(&app));
    server.run(app, shutdown).await.context("the server failed")
}

/// Ends when the process is told to stop. When it is told again, nothing is waited for any more.
async fn told_to_stop(mut stops: [Signal; 2], app: Arc<App>) {
    next(&mut stops).await;
    tokio::spawn(async move {
        next(&mut stops).await;
        tracing::warn!("told to stop again: what is in flight is refused");
        app.end_drain();
    });
}

async fn next([terminate, interrupt]: &mut [Signal; 2]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn reload_at(mut hangups: Signal, app: Arc<App>) {
    while hangups.recv().await.is_some() {
        app.reload().await;
    }
}

/// What is to be served from now on, by the same arguments.
fn reload(args: &ServeArgs, tls: Option<&Tls>, metrics: Arc<Metrics>) -> anyhow::Result<Loaded> {
    // What only a restart puts into effect is looked at too: it is not to fail then.
    let Sound { config, pem, .. } = Sound::read(args)?;
    let engine = open(&config, metrics)?;
    // Last, as nothing can fail behind it.
    if let (Some(tls), Some(pem)) = (tls, pem) {
        pem.replace(tls)?;
    }
    Ok(Loaded { engine, config })
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether the model and the device are there, and the address is one.
fn check(config: &Config) -> anyhow::Result<()> {
    let source = source(config);
    ModelFolder::open(source.clone()).map_err(|error| unusable(error, &source))?;
    device(config)?.open().map_err(|error| user_error(error, DEVICE_REMEDY))?;
    // Whether the port is free is another matter: a server may be running beside this.
    let address = config.listen.to_socket_addrs();
    address.map(drop).map_err(|error| no_address(&config.listen, error))
}

const DEVICE_REMEDY: &str = "`auto` takes the best one there is";

fn device(config: &Config) -> anyhow::Result<DeviceChoice> {
    config.device.parse().map_err(|error| user_error(anyhow!("{error}"), DEVICE_REMEDY))
}

/// The settings that hold, checked.
fn settings(args: &ServeArgs, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Config> {
    let file = match &args.config {
        Some(path) => {
            let what = || format!("cannot use the settings {}", path.display());
            let remedy = "config/server.toml has every key with its default";
            let text = std::fs::read_to_string(path)
                .with_context(what)
                .map_err(|error| user_error(error, "check the path"))?;
            layers::from_file(&text).map_err(|error| user_error(error.context(what()), remedy))?
        }
        None => Config::default(),
    };
    let mut config = layers::with_environment(&file, variable)?;
    if let Some(listen) = &args.listen {
        config.listen.clone_from(listen);
    }
    if let Some(model) = &args.model {
        config.model.clone_from(model);
    }
    if let Some(device) = args.device {
        config.device = device.to_string();
    }
    if let Some(threads) = args.threads {
        config.threads = threads;
    }
    if let Some(endpoint) = &args.otlp_endpoint {
        config.otlp_endpoint.clone_from(endpoint);
    }
    config.validate().map_err(|error| user_error(error, "config/server.toml explains the key"))?;
    Ok(config)
}

fn listen(address: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| no_address(address, error))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn no_address(address: &str, error: std::io::Error) -> anyhow::Error {
    let error = anyhow::Error::new(error).context(format!("cannot listen on {address}"));
    user_error(error, "choose another address with `--listen`, such as 127.0.0.1:0")
}

fn open(config: &Config, metrics: Arc<Metrics>) -> anyhow::Result<Engine> {
    let (source, settings) = (source(config), config.engine(device(config)?));
    Engine::open(source.clone(), settings, metrics).map_err(|error| unusable(error, &source))
}

fn source(config: &Config) -> ModelSource {
    match config.model.as_str() {
        "" => ModelSource::Demo,
        folder => ModelSource::Folder(folder.into()),
    }
}

fn unusable(
    error: impl std::error::Error + Send + Sync + 'static,
    source: &ModelSource,
) -> anyhow::Error {
    let what = format!("cannot open the model {source}");
    let remedy = "give the folder that `mue import` wrote, and a device that this machine has";
    user_error(anyhow::Error::new(error).context(what), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ARGS: ServeArgs = ServeArgs {
        config: None,
        listen: None,
        model: None,
        device: None,
        threads: None,
        otlp_endpoint: None,
        check: false,
    };

    #[test]
    fn flags_go_before_the_environment() {
        let args = ServeArgs { listen: Some("127.0.0.1:0".into()), ..NO_ARGS };
        let variable = |name: &str| match name {
            "MUE_LISTEN" => Some(String::from("127.0.0.1:1")),
            "MUE_MODEL" => Some(String::from("scenes")),
            _ => None,
        };
        let config = settings(&args, variable).unwrap();
        assert_eq!((config.listen.as_str(), config.model.as_str()), ("127.0.0.1:0", "scenes"));
    }

    #[test]
    fn a_port_in_use_is_said() {
        let taken = listen("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = listen(&address).unwrap_err().to_string();
        assert!(error.contains(&address), "{error}");
    }
}

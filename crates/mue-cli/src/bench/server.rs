//! A server in this process, to be loaded over a socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use mue_engine::{DeviceChoice, ModelSource};
use mue_server::{App, Config, Metrics};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::model::open_observed;
use crate::runtime::server_runtime;

/// A server on a free port, on threads of its own as in a process of its own.
///
/// It stops when this is dropped.
pub(super) struct Server {
    address: SocketAddr,
    runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Opens a model and serves it with the default settings, but for the image cache: a picture
    /// that comes again is encoded again, so that a load may be longer than its corpus.
    pub(super) fn start(model: Option<PathBuf>, device: DeviceChoice) -> anyhow::Result<Self> {
        let config = Config { image_cache_bytes_max: 0, ..Config::default() };
        let source = model.map_or(ModelSource::Demo, ModelSource::Folder);
        let metrics = Metrics::new()?;
        let observer = Arc::clone(&metrics);
        let engine = open_observed(source, config.engine(device), observer)?;
        let app = App::new(engine, config, metrics);
        let runtime = server_runtime().context("cannot start the server's threads")?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.context("cannot listen on a free port")?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let running = runtime.spawn(mue_server::run(listener, app, shutdown));
        Ok(Self { address, runtime, stop: Some(stop), running })
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The engine's worker ends with the server; what it did has been reported.
        drop(self.runtime.block_on(&mut self.running));
    }
}

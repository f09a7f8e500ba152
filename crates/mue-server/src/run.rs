//! The life of the server: until it is told to stop, and then a drain.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::{App, router};
use crate::config::Config;
use crate::connections::{self, Listener};
use crate::front::{self, Front};

/// How often histograms are brought up to date.
const UPKEEP: Duration = Duration::from_secs(5);

/// A server that is alive. Until it is [open](Self::open), it is not ready, and whoever asks it something
/// waits.
pub struct Server {
    opens: front::Opens,
    /// Ends the listening.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens from now on, in a runtime, though what serves may still have to be opened.
    pub fn start(listener: impl Into<Listener>, config: &Config) -> Self {
        let (opens, front) = Front::new();
        let (stop, stopped) = oneshot::channel::<()>();
        let (listener, config) = (listener.into(), config.clone());
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            connections::serve(listener, front, &config, stopped).await;
        });
        Self { opens, stop, task }
    }

    /// Lets everybody in.
    pub fn open(&self, app: &Arc<App>) {
        self.opens.open(router(Arc::clone(app)));
    }

    /// Answers requests until `shutdown`, then drains: readiness goes off, new requests are refused,
    /// and those in flight have `drain_s_max` to finish.
    ///
    /// # Errors
    ///
    /// If the server dies.
    pub async fn run(self, app: Arc<App>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { opens: _opens, stop, task: mut server } = self;
        tokio::select! {
            ended = &mut server => return Ok(ended?),
            () = upkeep(&app) => {}
            () = shutdown => {}
        }
        tracing::info!("draining");
        let patience = app.drain().await;
        drop(stop);
        match tokio::time::timeout_at(patience.into(), &mut server).await {
            Ok(ended) => Ok(ended?),
            // A client that does not read its answer cannot hold the process.
            Err(_) => {
                server.abort();
                Ok(())
            }
        }
    }
}

/// As [`Server::run`], of what need not be opened before.
///
/// # Errors
///
/// If the server dies.
pub async fn run(
    listener: impl Into<Listener>,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let server = Server::start(listener, &app.config());
    server.open(&app);
    server.run(app, shutdown).await
}

/// Never ends.
async fn upkeep(app: &App) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        app.metrics.keep_up();
    }
}

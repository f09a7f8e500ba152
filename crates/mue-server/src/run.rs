//! The life of the server: until it is told to stop, and then a drain.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::app::{App, router};
use crate::connections::{self, Listener};

/// How often histograms are brought up to date.
const UPKEEP: Duration = Duration::from_secs(5);

/// Answers requests until `shutdown`, then drains: readiness goes off, new requests are refused,
/// and those in flight have `drain_s_max` to finish.
///
/// # Errors
///
/// If the server dies.
pub async fn run(
    listener: impl Into<Listener>,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (listener, router) = (listener.into(), router(Arc::clone(&app)));
    let config = app.now().config.clone();
    let mut server = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        connections::serve(listener, router, &config, stopped).await;
    });
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

/// Never ends.
async fn upkeep(app: &App) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        app.metrics.keep_up();
    }
}

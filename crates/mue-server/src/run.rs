//! The life of the server: until it is told to stop, and then a drain.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::{App, DRAIN_MARGIN, router};

/// How often histograms are brought up to date.
const UPKEEP: Duration = Duration::from_secs(5);

/// Answers requests until `shutdown`, then drains: readiness goes off, new requests are refused,
/// and those in flight have `drain_s_max` to finish.
///
/// # Errors
///
/// If the listener fails.
pub async fn run(
    listener: TcpListener,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router(Arc::clone(&app)));
    let server = server.with_graceful_shutdown(async { drop(stopped.await) });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        ended = &mut server => return ended?,
        () = upkeep(&app) => {}
        () = shutdown => {}
    }
    app.drain().await;
    drop(stop);
    match tokio::time::timeout(DRAIN_MARGIN, &mut server).await {
        Ok(ended) => ended?,
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

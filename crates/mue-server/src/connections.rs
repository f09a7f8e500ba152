//! Connections: how many there may be, how long and how large the head of a request, and TLS.
//!
//! A client that sends its head slowly, or none, is cut off after `header_ms_max`, one that asks nothing
//! more after `idle_ms_max`, one that reads nothing of its answer after `write_ms_max`; one whose head is
//! too large is answered 431. Clients that come when there are `connections_max` wait in the system's
//! backlog.

mod patience;
mod reader;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::patience::Patience;
use self::reader::Reader;
use crate::config::Config;
use crate::front::Front;
use crate::tls::Tls;

/// How long to wait when the system has no more files to open.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Where clients come from: a socket, with TLS or without.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Tls>,
}

impl Listener {
    /// Connections that speak TLS.
    pub fn tls(tcp: TcpListener, tls: Tls) -> Self {
        Self { tcp, tls: Some(tls) }
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}

/// Where a request comes from: the client, or the last proxy before this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// How connections are served.
#[derive(Clone)]
struct Connection {
    http: http1::Builder,
    front: Front,
    tls: Option<Tls>,
    /// Whether no more may come.
    is_full: Arc<AtomicBool>,
    head_max: Duration,
    stall_max: Duration,
}

/// Serves connections until `stop`, then closes those that are idle and lets the others end with
/// the answer that they wait for.
///
/// Dropping the future closes all of them.
pub(crate) async fn serve(
    Listener { tcp, tls }: Listener,
    front: Front,
    config: &Config,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
    let is_full = Arc::new(AtomicBool::new(false));
    let connection = Connection::new(config, (front, tls), Arc::clone(&is_full));
    let watch = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            is_full.store(places.available_permits() == 0, Ordering::Relaxed);
            let place = Arc::clone(&places).acquire_owned().await;
            is_full.store(false, Ordering::Relaxed);
            (place, tcp.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let served = connection.clone().serve((stream, peer), watch.watcher());
                tasks.spawn(async move {
                    let _place = place;
                    served.await;
                });
            }
            Err(error) if of_the_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(tcp);
    watch.shutdown().await;
}

impl Connection {
    fn new(config: &Config, (front, tls): (Front, Option<Tls>), is_full: Arc<AtomicBool>) -> Self {
        let head_max = Duration::from_millis(config.header_ms_max);
        let mut http = http1::Builder::new();
        http.header_read_timeout(Duration::from_millis(config.idle_ms_max))
            .max_header_size(config.header_bytes_max);
        let stall_max = Duration::from_millis(config.write_ms_max);
        Self { http, front, tls, is_full, head_max, stall_max }
    }

    async fn serve(self, (stream, peer): (TcpStream, SocketAddr), watcher: Watcher) {
        // Events of a stream are small and should not wait for each other.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let patience = Patience::new(self.head_max, Arc::clone(&self.is_full));
        let stream = Reader::new(stream, self.stall_max, patience.clone());
        let Some(tls) = &self.tls else {
            return self.http(stream, (peer, patience), watcher).await;
        };
        match tokio::time::timeout(self.head_max, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, (peer, patience), watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        }
    }

    async fn http<S>(&self, stream: S, (peer, patience): (SocketAddr, Patience), watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let front = self.front.clone();
        let service = service_fn(move |request| front.clone().answer(request, Peer(peer)));
        let mut http = self.http.clone();
        let connection = http.timer(patience).serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

fn of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

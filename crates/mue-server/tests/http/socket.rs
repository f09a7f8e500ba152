//! A server on a real port, and clients that write what they like.

use std::net::SocketAddr;
use std::sync::Arc;

use mue_server::{Listener, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::server::Server;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn new(server: &Server) -> Self {
        Self::with(server, None).await
    }

    pub(crate) async fn with(server: &Server, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = match tls {
            Some(tls) => Listener::tls(listener, tls),
            None => listener.into(),
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let server = tokio::spawn(mue_server::run(listener, Arc::clone(&server.app), shutdown));
        Self { address, stop: Some(stop), server }
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has.
    pub(crate) async fn stopped(self) {
        self.server.await.unwrap().unwrap();
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own; returns all of the response.
    pub(crate) async fn call(&self, head: &str, body: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request(head, body).as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

/// A request after which the connection is closed.
pub(crate) fn request(head: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Whatever comes until the other side closes the connection.
pub(crate) async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

pub(crate) fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

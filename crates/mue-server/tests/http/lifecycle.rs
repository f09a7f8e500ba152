//! A server on a real port, from its start to the end of its drain.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use mue_server::Config;

use crate::server::{Server, picture};

/// One request on a connection of its own.
async fn call(address: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_is_in_flight_and_refuses_the_rest() {
    let config = Config { cohort_wait_ms_max: 3_600_000, drain_s_max: 3600, ..Config::default() };
    let server = Server::with(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let running =
        tokio::spawn(mue_server::run(listener, std::sync::Arc::clone(&server.app), shutdown));
    assert_eq!(status(&call(address, "GET /health/ready", "").await), "200");

    let asked = json!({"image": picture([1, 1, 1]), "beam_size": 1, "max_tokens": 3}).to_string();
    let in_flight = tokio::spawn(async move { call(address, "POST /v1/caption", &asked).await });
    server.until_queued(1).await;
    stop.send(()).unwrap();
    let answer = in_flight.await.unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
    running.await.unwrap().unwrap();

    server.get("/health/live").await;
    server.get("/health/ready").await.assert_problem(503, "shutting_down");
    let refused = server.post("/v1/caption", &json!({"image": "?"})).await;
    refused.assert_problem(503, "shutting_down");
}

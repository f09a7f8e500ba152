//! Clients that take their time or send too much, on real connections.

use std::time::Duration;

use mue_server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::server::Server;
use crate::socket::{Running, request, rest, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_cut_off() {
    let server = Server::with(Config { header_ms_max: 50, ..Config::default() });
    let running = Running::new(&server).await;
    for head in ["", "GET /health/live", "GET /health/live HTTP/1.1\r\nhost: localhost\r\n"] {
        let mut stream = running.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_ne!(status(&rest(&mut stream).await), "200", "{head}");
    }
    assert_eq!(status(&running.call("GET /health/live", "").await), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let server = Server::with(Config { idle_ms_max: 50, ..Config::default() });
    let running = Running::new(&server).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let answer = rest(&mut stream).await;
    assert_eq!(status(&answer), "200", "and then the connection ends: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_makes_room_for_others() {
    let hour = 3_600_000;
    let config =
        Config { header_ms_max: 1000, idle_ms_max: hour, connections_max: 1, ..Config::default() };
    let running = Running::new(&Server::with(config)).await;
    let mut idle = running.connect().await;
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let other = tokio::time::timeout(Duration::from_secs(60), running.call("GET /health/live", ""));
    assert_eq!(status(&other.await.unwrap()), "200");
    assert_eq!(status(&rest(&mut idle).await), "200", "and then it was closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_a_size() {
    let server = Server::with(Config { header_bytes_max: 1024, ..Config::default() });
    let running = Running::new(&server).await;
    let padded = |bytes: usize| format!("GET /health/live?{}", "x".repeat(bytes));
    assert_eq!(status(&running.call(&padded(500), "").await), "200");
    assert_eq!(status(&running.call(&padded(2000), "").await), "431");
    let fields =
        |count: usize| format!("GET /health/live HTTP/1.1\r\n{}", "a: b\r\n".repeat(count));
    for (count, expected) in [(50, "200"), (101, "431")] {
        let mut stream = running.connect().await;
        let head = format!("{}host: a\r\nconnection: close\r\n\r\n", fields(count));
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(status(&rest(&mut stream).await), expected, "{count} fields");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_given_up() {
    let server = Server::with(Config { connections_max: 1, write_ms_max: 50, ..Config::default() });
    let running = Running::new(&server).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut deaf = socket.connect(running.address).await.unwrap();
    let ask = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n";
    deaf.write_all(&ask.repeat(8)).await.unwrap();
    assert_eq!(status(&running.call("GET /health/live", "").await), "200");
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let server = Server::with(Config { connections_max: 1, ..Config::default() });
    let running = Running::new(&server).await;
    let mut first = running.connect().await;
    let ask = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut answer = [0; 12];
    first.write_all(ask).await.unwrap();
    first.read_exact(&mut answer).await.unwrap();
    let mut second = running.connect().await;
    second.write_all(request("GET /health/live", "").as_bytes()).await.unwrap();
    for _ in 0..10 {
        first.write_all(ask).await.unwrap();
        first.read_exact(&mut answer).await.unwrap();
    }
    let early = second.try_read(&mut answer).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert_eq!(status(&rest(&mut second).await), "200");
}

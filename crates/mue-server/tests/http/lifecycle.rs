//! A server on a real port, from its start to the end of its drain.

use mue_server::Config;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Server, picture};
use crate::socket::{Running, request, rest, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_is_in_flight_and_refuses_the_rest() {
    let config = Config { cohort_wait_ms_max: 3_600_000, drain_s_max: 3600, ..Config::default() };
    let server = Server::with(config);
    let mut running = Running::new(&server).await;
    assert_eq!(status(&running.call("GET /health/ready", "").await), "200");

    let asked = json!({"image": picture([1, 1, 1]), "beam_size": 1, "max_tokens": 3}).to_string();
    let mut in_flight = running.connect().await;
    in_flight.write_all(request("POST /v1/caption", &asked).as_bytes()).await.unwrap();
    server.until_queued(1).await;
    // Half a request, which keeps the server from ending.
    let slow = request("POST /v1/caption", &asked);
    let (first, second) = slow.split_at(slow.len() - 10);
    let mut slow = running.connect().await;
    slow.write_all(first.as_bytes()).await.unwrap();
    server.until_metric("mue_requests_active 2").await;

    running.stop();
    let answer = rest(&mut in_flight).await;
    assert_eq!(status(&answer), "200", "{answer}");
    let refused = running.call("GET /health/ready", "").await;
    assert_eq!(status(&refused), "503");
    assert!(refused.contains("shutting_down"), "{refused}");
    assert_eq!(status(&running.call("GET /health/live", "").await), "200");
    let refused = running.call("POST /v1/caption", &asked).await;
    assert_eq!(status(&refused), "503");
    assert!(refused.contains("retry-after: 5"), "{refused}");
    slow.write_all(second.as_bytes()).await.unwrap();
    assert_eq!(status(&rest(&mut slow).await), "200", "it was let in before the drain began");
    running.stopped().await;
}

/// A request that was let in and whose body ends too early.
async fn half_asked(server: &Server, running: &Running) -> TcpStream {
    let mut slow = running.connect().await;
    let half = request("POST /v1/caption", &"x".repeat(100));
    slow.write_all(&half.as_bytes()[..half.len() - 10]).await.unwrap();
    server.until_metric("mue_requests_active 1").await;
    slow
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_may_be_ended_at_once() {
    let server = Server::with(Config { drain_s_max: 3600, ..Config::default() });
    let mut running = Running::new(&server).await;
    let mut slow = half_asked(&server, &running).await;
    running.stop();
    while status(&running.call("GET /health/ready", "").await) != "503" {}
    for _ in 0..20 {
        let metrics = server.get("/metrics").await.text;
        let active = metrics.lines().find(|line| line.starts_with("mue_requests_active "));
        assert_eq!(active, Some("mue_requests_active 1"), "a drain takes no place of its own");
    }
    server.app.end_drain();
    assert_eq!(status(&rest(&mut slow).await), "503");
    running.stopped().await;
    server.until_metric("mue_ended_total{outcome=\"refused\",stage=\"body\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_preparation_when_a_drain_ends_is_refused() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let server = Server::with(Config {
        drain_s_max: 0,
        image_url_hosts: vec![format!("127.0.0.1:{port}")],
        image_url_networks: vec!["127.0.0.0/8".parse().unwrap()],
        image_url_ms_max: 3_600_000,
        ..Config::default()
    });
    let mut running = Running::new(&server).await;
    let asked = json!({"image": format!("http://127.0.0.1:{port}/"), "beam_size": 1}).to_string();
    let mut waits = running.connect().await;
    waits.write_all(request("POST /v1/caption", &asked).as_bytes()).await.unwrap();
    let fetching = silent.accept().await.unwrap();
    running.stop();
    let answer = rest(&mut waits).await;
    assert_eq!(status(&answer), "503", "{answer}");
    assert!(answer.contains("shutting_down"), "{answer}");
    running.stopped().await;
    server.until_metric("mue_ended_total{outcome=\"refused\",stage=\"preprocess\"} 1").await;
    drop(fetching);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_there_when_a_drain_ends_is_refused() {
    let server = Server::with(Config { drain_s_max: 0, ..Config::default() });
    let mut running = Running::new(&server).await;
    let mut slow = half_asked(&server, &running).await;
    running.stop();
    assert_eq!(status(&rest(&mut slow).await), "503");
    running.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_though_a_client_does_not() {
    let server = Server::with(Config { drain_s_max: 0, ..Config::default() });
    let mut running = Running::new(&server).await;
    let mut slow = running.connect().await;
    let half = "POST /v1/caption HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(half.as_bytes()).await.unwrap();
    running.stop();
    running.stopped().await;
}

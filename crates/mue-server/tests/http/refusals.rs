//! Clients that are refused before anybody has read their body: the connection goes on, or they are
//! told that it ends.

use axum::body::Bytes;
use mue_server::{ApiKey, Config, Digest};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::server::{Server, picture};
use crate::socket::{Running, request, rest, status};

/// More than lies around in buffers.
const BODY: Bytes = Bytes::from_static(&[b' '; 400_000]);

/// The answers to a request with a body and, on the same connection, to the next one.
async fn ask_on(running: &Running, head: &str) -> (String, String) {
    let mut stream = running.connect().await;
    let head = format!("{head}host: localhost\r\ncontent-length: {}\r\n\r\n", BODY.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&BODY).await.unwrap();
    stream.write_all(request("GET /health/live", "").as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    let next = answers.rfind("HTTP/1.1 ").unwrap();
    (answers[..next].to_owned(), answers[next..].to_owned())
}

async fn assert_goes_on(running: &Running, head: &str, code: &str) {
    let (refused, next) = ask_on(running, head).await;
    assert!(refused.contains(&format!("\"code\":\"{code}\"")), "{head}: {refused}");
    assert!(!refused.contains("connection: close"), "{head}: {refused}");
    assert_eq!(status(&next), "200", "{head}: {next}");
}

fn guarded() -> Config {
    let key =
        ApiKey { name: "alice".into(), sha256: Digest::of("sesame"), requests_per_minute_max: 1 };
    Config { api_keys: vec![key], ..Config::default() }
}

const CAPTION: &str = "POST /v1/caption HTTP/1.1\r\ncontent-type: application/json\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_at_the_door_may_go_on() {
    let server = Server::with(guarded());
    let running = Running::new(&server).await;
    assert_goes_on(&running, CAPTION, "unauthorized").await;
    let key = "authorization: Bearer sesame\r\n";
    let models = format!("GET /v1/models HTTP/1.1\r\n{key}");
    assert_eq!(status(&ask_on(&running, &models).await.0), "200");
    assert_goes_on(&running, &format!("{CAPTION}{key}"), "rate_limited").await;
    assert_goes_on(&running, "POST /v2/caption HTTP/1.1\r\n", "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_further_in_may_go_on() {
    let config = Config { requests_max: 1, cohort_wait_ms_max: 3_600_000, ..Config::default() };
    let server = Server::with(config);
    let running = Running::new(&server).await;
    let text = "POST /v1/caption HTTP/1.1\r\ncontent-type: text/plain\r\n";
    assert_goes_on(&running, text, "unsupported_media_type").await;
    let asked = json!({"image": picture([1, 1, 1]), "beam_size": 1}).to_string();
    let mut first = running.connect().await;
    first.write_all(request("POST /v1/caption", &asked).as_bytes()).await.unwrap();
    server.until_queued(1).await;
    assert_goes_on(&running, CAPTION, "too_many_requests").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_body_is_announced_too_large_is_answered_at_once() {
    let server = Server::with(Config { body_bytes_max: 1000, ..Config::default() });
    let running = Running::new(&server).await;
    for (expect, part) in [("", ""), ("", "{\"image\": \""), ("expect: 100-continue\r\n", "")] {
        let mut stream = running.connect().await;
        let head =
            format!("{CAPTION}host: localhost\r\ncontent-length: 1000000000\r\n{expect}\r\n");
        stream.write_all(format!("{head}{part}").as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert_eq!(status(&answer), "413", "{answer}");
        assert!(answer.contains("\"code\":\"body_too_large\""), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(!answer.contains("100 Continue"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_large_a_body_finds_the_answer() {
    let server = Server::with(Config { body_bytes_max: 1_000, ..Config::default() });
    let running = Running::new(&server).await;
    for bytes in [1_001, 4_000_000] {
        let mut stream = running.connect().await;
        let head = format!("{CAPTION}host: localhost\r\ncontent-length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; bytes]).await.unwrap();
        assert_eq!(status(&rest(&mut stream).await), "413");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_too_late_how_much_it_sends_finds_the_answer() {
    let server = Server::with(Config { body_bytes_max: 1_000, ..Config::default() });
    let running = Running::new(&server).await;
    let bytes = vec![b' '; 4_000_000];
    for expect in ["", "expect: 100-continue\r\n"] {
        let mut stream = running.connect().await;
        let head =
            format!("{CAPTION}host: localhost\r\ntransfer-encoding: chunked\r\n{expect}\r\n");
        stream.write_all(format!("{head}{:x}\r\n", bytes.len()).as_bytes()).await.unwrap();
        // A server that waits no longer breaks these off.
        drop(stream.write_all(&bytes).await);
        drop(stream.write_all(b"\r\n0\r\n\r\n").await);
        let answer = rest(&mut stream).await;
        assert!(answer.contains("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_slowly_finds_the_answer() {
    let server = Server::with(Config { body_ms_max: 50, ..Config::default() });
    let running = Running::new(&server).await;
    let mut stream = running.connect().await;
    let bytes = vec![b' '; 4_000_000];
    let head = format!("{CAPTION}host: localhost\r\ncontent-length: {}\r\n\r\n", bytes.len() + 1);
    stream.write_all(format!("{head} ").as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    // A server that waits no longer breaks this off.
    drop(stream.write_all(&bytes).await);
    let answer = rest(&mut stream).await;
    assert_eq!(status(&answer), "408", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_body_is_not_read_to_its_end_is_told() {
    let sent = format!("{CAPTION}host: localhost\r\ncontent-length: 400\r\n");
    let (half, whole) = (" ".repeat(200), " ".repeat(400));
    let small = Config { body_bytes_max: 100, ..guarded() };
    let fast = Config { body_ms_max: 1, ..guarded() };
    for (config, head, body) in [
        (small, sent.clone(), whole),
        (fast, sent.clone(), half),
        // Who waits to be told to send the body is not kept waiting.
        (guarded(), format!("{sent}expect: 100-continue\r\n"), String::new()),
    ] {
        let server = Server::with(config);
        let running = Running::new(&server).await;
        let mut stream = running.connect().await;
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert_eq!(status(&answer), "401", "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

//! Clients that hang up: their rows are free at the next step, wherever they were.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use mue_engine::EngineObserver;
use mue_engine::batcher::{DecodeStep, EncodeStep, End, Load, Observer, RequestId};
use mue_server::{Config, Metrics};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::server::{Server, picture, post, while_others_block};
use crate::socket::{Running, request};

/// Stops the worker behind its first step of a kind, until the gate is opened.
struct Gate {
    metrics: Arc<Metrics>,
    stage: &'static str,
    reached: Arc<Notify>,
    /// Disconnected when it is opened.
    closed: Mutex<Receiver<()>>,
}

impl Gate {
    fn pass(&self, stage: &'static str) {
        if stage == self.stage {
            self.reached.notify_one();
            self.closed.lock().unwrap().recv().unwrap_err();
        }
    }
}

impl Observer for Gate {
    fn encode_step(&self, _: &EncodeStep) {
        self.pass("encode");
    }

    fn decode_step(&self, _: &DecodeStep<'_>) {
        self.pass("decode");
    }

    fn ended(&self, id: RequestId, end: &End) {
        self.metrics.ended(id, end);
    }
}

impl EngineObserver for Gate {}

/// A server whose worker stops in a stage, the sign that it has, and what holds it there.
fn gated(stage: &'static str) -> (Server, Arc<Notify>, Sender<()>) {
    let reached = Arc::new(Notify::new());
    let (open, closed) = mpsc::channel();
    let sign = Arc::clone(&reached);
    let config = match stage {
        "queue" => Config { cohort_wait_ms_max: 3_600_000, ..Config::default() },
        _ => Config::default(),
    };
    let server = Server::observed(config, |metrics| {
        Arc::new(Gate { metrics, stage, reached: sign, closed: Mutex::new(closed) })
    });
    (server, reached, open)
}

async fn hang_up_in(stage: &'static str, stream: bool) {
    let (server, reached, open) = gated(stage);
    let running = Running::new(&server).await;
    let asked = json!({
        "image": picture([9, 9, 9]), "beam_size": 1, "max_tokens": 16, "exit": "off",
        "stream": stream,
    });
    let mut client = running.connect().await;
    let asked = request("POST /v1/caption", &asked.to_string());
    client.write_all(asked.as_bytes()).await.unwrap();
    match stage {
        "queue" => server.until_queued(1).await,
        _ => reached.notified().await,
    }
    drop(client);
    let cancelled = "mue_requests_total{task=\"caption\",outcome=\"cancelled\"} 1";
    server.until_metric(cancelled).await;
    drop(open);
    let ended = format!("mue_ended_total{{outcome=\"cancelled\",stage=\"{stage}\"}} 1");
    server.until_metric(&ended).await;
    server.until_at_rest().await;
    assert_eq!(server.batcher.load(), Load::default());
    server.until_metric("mue_requests_active 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_body_arrives() {
    let server = Server::new();
    let running = Running::new(&server).await;
    let mut client = running.connect().await;
    let asked = request("POST /v1/caption", &"x".repeat(100));
    client.write_all(&asked.as_bytes()[..asked.len() - 10]).await.unwrap();
    server.until_metric("mue_requests_active 1").await;
    drop(client);
    server.until_metric("mue_ended_total{outcome=\"cancelled\",stage=\"body\"} 1").await;
    server.until_metric("mue_requests_active 0").await;
}

#[test]
fn while_its_body_waits_to_be_parsed() {
    while_others_block(async || {
        let server = Server::new();
        let asked = post("/v1/caption", " ".repeat(1 << 20));
        let client = tokio::spawn(tower::ServiceExt::oneshot(server.router(), asked));
        server.until_metric("mue_requests_active 1").await;
        client.abort();
        server.until_metric("mue_ended_total{outcome=\"cancelled\",stage=\"body\"} 1").await;
        server.until_metric("mue_requests_active 0").await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_queue() {
    hang_up_in("queue", false).await;
    hang_up_in("queue", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_encodes() {
    hang_up_in("encode", false).await;
    hang_up_in("encode", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_decodes() {
    hang_up_in("decode", false).await;
    hang_up_in("decode", true).await;
}

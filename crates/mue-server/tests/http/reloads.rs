//! Other settings and another model, without dropping a request.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::stream::unfold;
use mue_engine::Encoding;
use mue_engine::batcher::SubmitError;
use mue_server::{ApiKey, Config, Digest, Loaded};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

use crate::folder::Folder;
use crate::server::{Response, Server, open, picture};
use crate::socket::{Running, request, rest, status};

/// What the next reload finds; nothing is a failure.
type Next = Arc<Mutex<Option<(Folder, Config)>>>;

fn with_key(key: &str) -> Config {
    let sha256 = Digest::of(key);
    let api_keys = vec![ApiKey { name: key.into(), sha256, requests_per_minute_max: 0 }];
    Config { api_keys, ..Config::default() }
}

/// A server, and what it is to be after a reload.
fn server(config: Config) -> (Server, Next) {
    let next = Next::default();
    let source = Arc::clone(&next);
    let server = Server::reloadable(config, move |metrics| match &*source.lock().unwrap() {
        Some((folder, config)) => {
            let engine = open(folder.path(), config, metrics);
            Ok(Loaded { engine, config: config.clone() })
        }
        None => Err("the settings are gone".into()),
    });
    (server, next)
}

/// A model folder of another model, that lets captions be four tokens long.
fn other_model() -> Folder {
    let folder = Folder::new(2, Encoding::Decomposed);
    folder.change_settings(|settings| settings.search.tokens_max = 4);
    folder
}

async fn ask(server: &Server, (method, path): (&str, &str), key: &str) -> Response {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {key}"));
    server.send(request.body(Body::empty()).unwrap()).await
}

const RELOAD: (&str, &str) = ("POST", "/v1/admin/reload");
const MODELS: (&str, &str) = ("GET", "/v1/models");

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_model_are_others_after_a_reload() {
    let (server, next) = server(with_key("old"));
    let model = |models: Response| models.json()["models"][0].clone();
    let before = model(ask(&server, MODELS, "old").await);
    let images_max = async || {
        let contract = server.get("/openapi.json").await.json();
        contract["components"]["schemas"]["CaptionRequest"]["properties"]["images"]["maxItems"]
            .clone()
    };
    assert_eq!((images_max().await, images_max().await), (json!(32), json!(32)));
    let config = Config { images_max: 7, connections_max: 5, ..with_key("new") };
    *next.lock().unwrap() = Some((other_model(), config));

    let reloaded = ask(&server, RELOAD, "old").await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text);
    assert_eq!(reloaded.json()["restart_needed"], json!(["connections_max"]));
    ask(&server, MODELS, "old").await.assert_problem(401, "unauthorized");
    let after = model(ask(&server, MODELS, "new").await);
    assert_eq!(reloaded.json()["model"], after["name"]);
    assert_ne!(before["name"], after["name"]);
    assert_eq!(
        (&after["search"]["max_tokens"], &after["limits"]["images_max"]),
        (&json!(4), &json!(7))
    );
    assert_eq!(images_max().await, 7);
    assert_eq!(server.get("/health/ready").await.status, 200);
    let metrics = ask(&server, ("GET", "/metrics"), "new").await.text;
    assert!(metrics.contains("mue_reloads_total{outcome=\"ok\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_needed_until_there_is_one() {
    let (server, next) = server(with_key("old"));
    for (connections_max, needed) in
        [(5, json!(["connections_max"])), (5, json!(["connections_max"])), (4096, json!([]))]
    {
        let config = Config { connections_max, ..with_key("old") };
        *next.lock().unwrap() = Some((other_model(), config));
        // The turn is given back a moment after the answer.
        let reloaded = loop {
            let reloaded = ask(&server, RELOAD, "old").await;
            if reloaded.status != 409 {
                break reloaded;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(reloaded.json()["restart_needed"], needed, "{}", reloaded.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_reload_changes_nothing_and_says_why() {
    let (server, _next) = server(with_key("old"));
    let failed = ask(&server, RELOAD, "old").await;
    failed.assert_problem(500, "reload_failed");
    assert!(failed.text.contains("the settings are gone"), "{}", failed.text);
    assert_eq!(ask(&server, MODELS, "old").await.status, 200);
    let metrics = ask(&server, ("GET", "/metrics"), "old").await.text;
    assert!(metrics.contains("mue_reloads_total{outcome=\"failed\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nobody_can_reload() {
    let (server, next) = server(Config::default());
    *next.lock().unwrap() = Some((other_model(), Config::default()));
    ask(&server, RELOAD, "any").await.assert_problem(403, "keys_required");
    ask(&server, ("GET", "/v1/admin/reload"), "any")
        .await
        .assert_problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_before_a_reload_ends_as_it_began() {
    let (server, next) = server(with_key("old"));
    *next.lock().unwrap() = Some((other_model(), with_key("new")));
    let name = |models: Response| models.json()["models"][0]["name"].clone();
    let old_model = name(ask(&server, MODELS, "old").await);
    let (begun, body, rest) = slow_body();
    let request = Request::post("/v1/caption").header("content-type", "application/json");
    let request = request.header("authorization", "Bearer old").body(body).unwrap();
    let in_flight = tokio::spawn(server.router().oneshot(request));
    begun.notified().await;

    assert_eq!(ask(&server, RELOAD, "old").await.status, 200);
    let new_model = name(ask(&server, MODELS, "new").await);
    assert_ne!(old_model, new_model);
    ask(&server, RELOAD, "new").await.assert_problem(409, "reload_in_progress");
    let asked = json!({"image": picture([5, 5, 5]), "beam_size": 1, "max_tokens": 2});
    rest.send(asked.to_string().into()).await.unwrap();
    drop(rest);
    let answer = in_flight.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let answer = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["model"], old_model);
    let metrics = ask(&server, ("GET", "/metrics"), "new").await.text;
    let kept = metrics.lines().find(|line| line.starts_with("mue_image_cache_entries "));
    assert_eq!(kept, Some("mue_image_cache_entries 0"), "the new engine keeps nothing yet");

    // And then the old engine is closed, and another reload may come.
    let closed = |error| matches!(error, SubmitError::ShuttingDown);
    while !server.batcher.reserve(1, std::time::Instant::now()).is_err_and(closed) {
        tokio::task::yield_now().await;
    }
    server.app.reload().await;
    assert_eq!(ask(&server, MODELS, "new").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_began_before_a_reload() {
    let config = |key| Config {
        // Company that never comes.
        cohort_wait_ms_max: 3_600_000,
        drain_s_max: 3600,
        ..with_key(key)
    };
    let (server, next) = server(config("old"));
    *next.lock().unwrap() = Some((other_model(), config("new")));
    let mut running = Running::new(&server).await;
    let asked = json!({"image": picture([5, 5, 5]), "beam_size": 1, "max_tokens": 2}).to_string();
    let mut in_flight = running.connect().await;
    let head = "POST /v1/caption HTTP/1.1\r\nauthorization: Bearer old";
    let asked = request(head, &asked).replacen(" HTTP/1.1\r\nhost", "\r\nhost", 1);
    in_flight.write_all(asked.as_bytes()).await.unwrap();
    server.until_queued(1).await;
    assert_eq!(ask(&server, RELOAD, "old").await.status, 200);
    running.stop();
    assert_eq!(status(&rest(&mut in_flight).await), "200");
    running.stopped().await;
}

/// A body that says when it is first asked for, and comes later.
pub(crate) fn slow_body() -> (Arc<Notify>, Body, mpsc::Sender<Bytes>) {
    let begun = Arc::new(Notify::new());
    let (rest, parts) = mpsc::channel::<Bytes>(1);
    let sign = Arc::clone(&begun);
    let stream = unfold(parts, move |mut parts| {
        sign.notify_one();
        async move { parts.recv().await.map(|part| (Ok::<_, std::convert::Infallible>(part), parts)) }
    });
    (begun, Body::from_stream(stream), rest)
}

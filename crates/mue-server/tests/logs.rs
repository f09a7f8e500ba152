//! The line that says how a request ended, and the one that says what a reload waits for.
//!
//! In a process of its own: which events are of interest is decided once for all threads, and here
//! every thread that has some listens to them.

#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions

#[allow(dead_code)] // the engine's own tests use more of it
#[path = "../../mue-engine/tests/engine/folder.rs"]
mod folder;
#[allow(dead_code)] // the other tests use more of it
#[path = "http/server.rs"]
mod server;

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::FutureExt;
use mue_engine::Encoding;
use mue_server::{Config, Loaded};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Level};

use crate::folder::Folder;
use crate::server::{Server, open, picture, post};

/// Log lines, in JSON.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn dispatch(&self) -> Dispatch {
        let log = self.clone();
        let lines =
            tracing_subscriber::fmt().json().flatten_event(true).with_max_level(Level::INFO);
        lines.with_writer(move || log.clone()).finish().into()
    }

    fn lines(&self) -> Vec<Value> {
        let lines = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Fails unless there is one line, and it says this.
    fn assert_only(&self, message: &str, status: Value, outcome: &str) {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert_eq!((&line["message"], &line["status"]), (&message.into(), &status), "{line}");
        assert_eq!(line["span"]["outcome"], outcome, "{line}");
    }
}

fn asked() -> String {
    let image = picture([1, 2, 3]);
    json!({"image": image, "beam_size": 1, "max_tokens": 3, "stream": true}).to_string()
}

#[tokio::test]
async fn of_a_stream_it_comes_at_its_end() {
    let (server, log) = (Server::new(), Log::default());
    let dispatch = log.dispatch();
    let response = server.router().oneshot(post("/v1/caption", asked()));
    let response = response.with_subscriber(dispatch.clone()).await.unwrap();
    assert!(log.lines().is_empty(), "nothing has ended");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20);
    body.with_subscriber(dispatch).await.unwrap();
    log.assert_only("answered", 200.into(), "ok");
}

#[tokio::test]
async fn of_a_stream_that_fails_it_says_so() {
    let server = Server::with(Config { cohort_wait_ms_max: 3_600_000, ..Config::default() });
    let log = Log::default();
    let call = server.send(post("/v1/caption", asked())).with_subscriber(log.dispatch());
    tokio::join!(call, async {
        server.until_queued(1).await;
        server.batcher.drain(Instant::now());
    });
    log.assert_only("answered", 200.into(), "shutting_down");
}

#[tokio::test]
async fn of_a_stream_that_nobody_reads_it_says_so() {
    let server = Server::with(Config { cohort_wait_ms_max: 3_600_000, ..Config::default() });
    let log = Log::default();
    let hang_up = async {
        let response = server.router().oneshot(post("/v1/caption", asked())).await;
        drop(response.unwrap());
    };
    hang_up.with_subscriber(log.dispatch()).await;
    log.assert_only("the client hung up", Value::Null, "cancelled");
}

#[tokio::test]
async fn of_an_answer_it_says_the_outcome() {
    let (server, log) = (Server::new(), Log::default());
    server.send(post("/v1/caption", "{}")).with_subscriber(log.dispatch()).await;
    log.assert_only("answered", 422.into(), "invalid_request");
}

#[tokio::test]
async fn of_a_reload_that_waits_it_says_so() {
    let _listening = tracing::dispatcher::set_default(&Log::default().dispatch());
    let config = Config { cohort_wait_ms_max: 3_600_000, ..Config::default() };
    let (folder, loaded) = (Folder::new(2, Encoding::Decomposed), config.clone());
    let server = Server::reloadable(config, move |metrics| {
        Ok(Loaded { engine: open(folder.path(), &loaded, metrics), config: loaded.clone() })
    });
    let stream = server.router().oneshot(post("/v1/caption", asked())).await.unwrap();
    server.app.reload().await;
    let log = Log::default();
    let mut second = pin!(server.app.reload().with_subscriber(log.dispatch()));
    assert!(second.as_mut().now_or_never().is_none(), "what began before the first holds it up");
    let lines = log.lines();
    let message = "the reload waits for one that is under way, or for requests that began before the last one";
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["message"], message);
    drop(stream);
    second.await;
}
